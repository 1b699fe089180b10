"""The file of master keys (KEK): outside the data folder, one key a line, the newest first.

```
# asleep-pipeline master keys: whoever holds them can read the data folder
5f1c22aa Zb0v...=
```

A line is an id of 8 hexadecimal digits and 32 bytes in base64. A master key encrypts nothing but the data
keys in `access/keys.sqlite`.
"""

from __future__ import annotations

import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from asleep_pipeline.disk import sync
from asleep_pipeline.errors import ConfigurationError, UsageError

_BYTES: Final = 32
_ID_BYTES: Final = 4
_ID: Final = re.compile(r"[0-9a-f]{8}")
_HEAD: Final = (
    "# asleep-pipeline master keys, the newest first: whoever holds them can read the data.\n"
)


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """The master keys by id, the newest first; never empty."""

    by_id: Mapping[str, bytes] = field(repr=False)

    @property
    def newest(self) -> str:
        """Id of the key by which new data keys are wrapped."""
        return next(iter(self.by_id))


def read_master_keys(file: Path) -> MasterKeys:
    """Read the file.

    Raises:
        ConfigurationError: It cannot be read, or holds something else.
    """
    try:
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(
            f"The file of master keys {file} cannot be read: {why}.",
            fix="Correct encryption_key_file, or restore the file.",
        ) from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = dict(_parsed(file, number, line) for number, line in enumerate(lines, 1))
    if not found or len(found) < len(lines):
        raise ConfigurationError(
            f"The file of master keys {file} holds {'an id twice' if found else 'no key'}.",
            fix="`asleep-pipeline keys create FILE` makes one that is right.",
        )
    return MasterKeys(found)


def create_master_keys(file: Path) -> MasterKeys:
    """Make a file with one new key, which only its owner may read.

    Raises:
        UsageError: There is such a file.
        ConfigurationError: It cannot be written.
    """
    if file.exists():
        raise UsageError(
            f"{str(file)!r} exists; what is encrypted by its keys would be lost.",
            fix="Name another file, or add a key to it by `asleep-pipeline keys rotate`.",
        )
    _write(file, _new_line())
    return read_master_keys(file)


def add_master_key(file: Path) -> MasterKeys:
    """Put a new key before those that are there.

    Raises:
        ConfigurationError: The file cannot be read or written; it stays as it was then.
    """
    known = read_master_keys(file).by_id
    _write(file, _new_line() + "".join(map(_line, known.keys(), known.values())))
    return read_master_keys(file)


def _parsed(file: Path, number: int, line: str) -> tuple[str, bytes]:
    name, _, encoded = line.strip().partition(" ")
    try:
        key = b64decode(encoded.strip(), validate=True)
    except ValueError:
        key = b""
    if not _ID.fullmatch(name) or len(key) != _BYTES:
        # Never the line itself: it may be a key.
        raise ConfigurationError(
            f"Key {number} of {file} is not 8 hexadecimal digits, a space and 32 bytes in base64.",
            fix="`asleep-pipeline keys create FILE` makes a file that is right.",
        )
    return name, key


def _new_line() -> str:
    return _line(secrets.token_hex(_ID_BYTES), secrets.token_bytes(_BYTES))


def _line(name: str, key: bytes) -> str:
    return f"{name} {b64encode(key).decode()}\n"


def _write(file: Path, lines: str) -> None:
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as made:
            made.write(_HEAD + lines)
        sync(aside)
        aside.replace(file)
        sync(file.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ConfigurationError(
            f"The file of master keys {file} cannot be written: {error.strerror}.",
            fix="Check the rights of its folder.",
        ) from error
