"""How one value is sealed: compressed, then encrypted by the data key of the user whom it is about.

A sealed value is a format byte, the 8 bytes that name the data key, a nonce of 12 bytes, and AES-256-GCM
over the content. What the value is about (its table, session, ...) is associated data, so a value that was
moved to another row or user does not open. The id names the key, not the user: a value of a user whose key
is gone is told from one that was changed.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from asleep_pipeline.errors import LakeError

_SQUEEZED: Final = b"\x01"
_PLAIN: Final = b"\x02"
FORMATS: Final = (_SQUEEZED, _PLAIN)
"""First bytes of sealed values; no JSON begins with one."""
_ID: Final = 8
_NONCE: Final = 12
_HEAD: Final = 1 + _ID
_SIZE: Final = 4
_ZSTD: Final = pa.Codec("zstd", 3)
MARK: Final = "~"
"""First character of a sealed hash; it comes after all hexadecimal digits."""


@dataclass(frozen=True)
class UserKey:
    """The data key of one user, and what is derived from it."""

    key: bytes

    def __repr__(self) -> str:
        """Without the key."""
        return f"UserKey({self.id.hex()})"

    @cached_property
    def id(self) -> bytes:
        """Names the key in what it has sealed."""
        return sha256(b"id" + self.key).digest()[:_ID]

    @cached_property
    def cipher(self) -> AESGCM:
        """Seals values."""
        return AESGCM(self.key)

    @cached_property
    def hashes(self) -> AESSIV:
        """Seals hashes: equal ones equally, so that they can be compared."""
        return AESSIV(self.derived(b"hashes", 64))

    def derived(self, purpose: bytes, size: int = 32) -> bytes:
        """A key for something else, which is gone with this one."""
        return HKDFExpand(SHA256(), size, purpose).derive(self.key)


def is_sealed(value: bytes) -> bool:
    """Whether it was sealed; a JSON text never looks like it."""
    return value[:1] in FORMATS


def is_sealed_by(key: UserKey | None, value: bytes) -> bool:
    """Whether a sealed value belongs to this key; if not, its own key is gone."""
    return key is not None and value[1:_HEAD] == key.id


def seal(key: UserKey, content: bytes, about: bytes, *, squeeze: bool = True) -> bytes:
    """Seal a value.

    Args:
        key: Of the user whom it is about.
        content: The value.
        about: Where it belongs; the same is needed to open it.
        squeeze: Whether to compress it, as nothing compresses it later.
    """
    head = (_SQUEEZED if squeeze else _PLAIN) + key.id
    nonce = os.urandom(_NONCE)
    if squeeze:
        content = len(content).to_bytes(_SIZE, "little") + _ZSTD.compress(content, asbytes=True)
    return head + nonce + key.cipher.encrypt(nonce, content, head + about)


def unseal(key: UserKey | None, value: bytes, about: bytes) -> bytes | None:
    """The content; None when its key is gone.

    Raises:
        LakeError: It was changed, or moved to where it does not belong.
    """
    if key is None or not is_sealed_by(key, value):
        return None
    head, nonce, rest = value[:_HEAD], value[_HEAD : _HEAD + _NONCE], value[_HEAD + _NONCE :]
    try:
        content = key.cipher.decrypt(nonce, rest, head + about)
    except InvalidTag:
        raise LakeError(
            "An encrypted value was changed, or moved to another row.",
            fix="Restore the data folder from a backup.",
        ) from None
    if head[:1] == _PLAIN:
        return content
    size = int.from_bytes(content[:_SIZE], "little")
    opened: bytes = _ZSTD.decompress(content[_SIZE:], size, asbytes=True)
    return opened


def seal_hash(key: UserKey, digest: str) -> str:
    """A hash in hexadecimal, sealed so that equal ones of a user stay equal.

    A hash of what has few possible values tells which it was; and its search needs no key.
    """
    return MARK + urlsafe_b64encode(key.hashes.encrypt(bytes.fromhex(digest), None)).decode()


def unseal_hash(key: UserKey | None, value: str) -> str | None:
    """The hash; None when its key is gone. What was never sealed comes back as it is."""
    if not value.startswith(MARK):
        return value
    try:
        return key.hashes.decrypt(urlsafe_b64decode(value[1:]), None).hex() if key else None
    except (InvalidTag, ValueError):
        return None
