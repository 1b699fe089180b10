"""Receipts of erasures: what was done, signed with Ed25519.

The private key stands beside the other secrets, the public one beside the receipts. Whoever has the public
key from elsewhere can check a receipt without this deployment.
"""

from __future__ import annotations

import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from asleep_pipeline.disk import sync
from asleep_pipeline.errors import ErasureError
from asleep_pipeline.settings import Settings

PUBLIC_KEY: Final = "public-key.pem"
_PRIVATE_KEY: Final = "receipts.pem"


def sign(settings: Settings, said: Mapping[str, Any]) -> str:
    """A receipt as a JSON document; the key is made with the first one.

    Raises:
        ErasureError: The key cannot be read or made.
    """
    try:
        key = _private_key(settings)
    except (OSError, ValueError, TypeError) as error:
        raise ErasureError(
            f"The key of receipts cannot be used: {type(error).__name__}.",
            fix=f"Check the rights of {settings.secret_path.parent}, or restore {_PRIVATE_KEY} in it.",
        ) from error
    signature = b64encode(key.sign(_canonical(said))).decode()
    return msgspec.json.format(msgspec.json.encode({**said, "signature": signature})).decode()


def verify(receipt: Path, public_key: Path) -> dict[str, Any]:
    """What a receipt says, if it was signed with the key that belongs to a public key.

    Raises:
        ErasureError: It was not, or one of the files cannot be read.
    """
    try:
        said = msgspec.json.decode(receipt.read_bytes(), type=dict[str, Any])
        _public_key(public_key).verify(
            b64decode(said.pop("signature"), validate=True), _canonical(said)
        )
    except InvalidSignature:
        raise ErasureError(
            f"{receipt} was not signed with the key of {public_key}, or was changed since.",
            fix="Take the receipt, and the public key, from whoever has erased.",
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ErasureError(
            f"{receipt} or {public_key} cannot be read: {type(error).__name__}.",
            fix="Name the receipt as it was written, and the public key beside it.",
        ) from error
    return said


def keep(settings: Settings, name: str, receipt: str) -> Path:
    """Write a receipt into its folder, whole or not at all."""
    folder = settings.receipts_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _put(folder / f"{name}.json", receipt.encode(), 0o600)


def _canonical(said: Mapping[str, Any]) -> bytes:
    """The same bytes for the same content, however it was laid out."""
    return msgspec.json.encode(said, order="sorted")


def _private_key(settings: Settings) -> Ed25519PrivateKey:
    file = settings.secret_path.with_name(_PRIVATE_KEY)
    if not file.exists():
        made = Ed25519PrivateKey.generate()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _put(file, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    key = load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("not an Ed25519 key")
    settings.receipts_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _put(settings.receipts_dir / PUBLIC_KEY, public, 0o644)
    return key


def _public_key(file: Path) -> Ed25519PublicKey:
    key = load_pem_public_key(file.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("not an Ed25519 key")
    return key


def _put(file: Path, content: bytes, mode: int) -> Path:
    aside = file.with_name(f"{file.name}.{os.getpid()}-{secrets.token_hex(4)}.unfinished")
    with os.fdopen(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as made:
        made.write(content)
    sync(aside)
    aside.replace(file)
    sync(file.parent)
    return file
