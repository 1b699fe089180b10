"""The deployment's own secret, and what is derived from it: one key for each purpose.

It stands in a file of its own that only its owner may read, made with the first use. Whoever loses it can
neither recognise the people who were erased nor check what was signed; so it belongs into backups.
"""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from asleep_pipeline.disk import sync
from asleep_pipeline.errors import AccessError

_BYTES: Final = 32


def derived_key(file: Path, purpose: str) -> bytes:
    """A key of 32 bytes that tells nothing of the secret, nor of the keys for other purposes.

    Args:
        file: Of the secret; made when it is not there.
        purpose: What the key is for, such as `tombstones`.

    Raises:
        AccessError: The file cannot be read or made, or holds something else.
    """
    secret = _secret(file)
    return HKDF(SHA256(), _BYTES, salt=None, info=purpose.encode()).derive(secret)


def pseudonym(key: bytes, user_id: str) -> str:
    """A name of 32 hexadecimal digits for a user, always the same with one key (HMAC-SHA-256, cut)."""
    return hmac.new(key, user_id.encode(), sha256).hexdigest()[:32]


def _secret(file: Path) -> bytes:
    try:
        if not file.exists():
            _make(file)
        secret = file.read_bytes()
    except OSError as error:
        raise AccessError(
            f"The secret {file} cannot be read: {error.strerror}.",
            fix="Check the folder's rights, or restore the file.",
        ) from error
    if len(secret) != _BYTES:
        raise AccessError(
            f"The secret {file} has {len(secret)} bytes instead of {_BYTES}.",
            fix="Restore the file; a new one would not recognise who was erased.",
        )
    return secret


def _make(file: Path) -> None:
    """Write it whole or not at all; of two processes that make it at once, the first one's holds."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = file.with_name(f"{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as made:
        made.write(secrets.token_bytes(_BYTES))
    sync(aside)
    try:
        os.link(aside, file)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    sync(file.parent)
