"""Whose key is this? Every key that webhooks may come with, present and previous.

A key is found by a digest under a random key of this process, and then compared in constant time: how
long the search takes says nothing about how much of a guess was right.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import structlog

from asleep_pipeline.access.keys import own_key, previous_key
from asleep_pipeline.access.organisations import organisations
from asleep_pipeline.errors import AccessError, ConfigurationError
from asleep_pipeline.settings import Organisation, Settings

log = structlog.get_logger(__name__)

DEFAULT_KEY: Final = "default"
"""Name of the key of every organisation that has none of its own."""

_Stamp = tuple[int, int, int] | None
_State = tuple[dict[str, Organisation], dict[Path, _Stamp]]


class Keyring:
    """The keys of one deployment.

    A key file is read again when it changes, as are the organisations that are kept in the control
    database; what else is set holds until the end of the process. To rotate by files, write the old key into `previous_api_key_file` before the new one into
    `api_key_file`.

    Args:
        settings: Where the keys are.

    Raises:
        AccessError: The settings of organisations cannot be read.
        ConfigurationError: There is no key, a key file cannot be used, or two organisations share
            a key, so that nobody could say whose event it is. Holds no key.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret = secrets.token_bytes(32)
        self._state = _state(settings)
        self._names = self._read()

    def name_of(self, key: bytes) -> str | None:
        """The organisation whose own key it is, `default` for the default key, None for no key."""
        digest = self._digest(key)
        known, name = self._names.get(digest, (self._secret, None))
        return name if hmac.compare_digest(known, digest) else None

    def refresh(self) -> None:
        """Read the keys again if something has changed; if they cannot be used, keep what was."""
        try:
            state = _state(self._settings)
            if state == self._state:
                return
            self._state = state
            self._names = self._read()
            log.info("webhook_keys_changed")
        except (AccessError, ConfigurationError) as error:
            log.warning("webhook_keys_not_changed", problem=error.problem, fix=error.fix)

    def _digest(self, key: bytes) -> bytes:
        return blake2b(key, key=self._secret, digest_size=32).digest()

    def _read(self) -> dict[bytes, tuple[bytes, str]]:
        found: dict[bytes, tuple[bytes, str]] = {}
        for name, key in _keys(self._settings, self._state[0]):
            digest = self._digest(key)
            if found.setdefault(digest, (digest, name))[1] != name:
                raise _shared(found[digest][1], name)
        if not found:
            raise ConfigurationError(
                "There is no API key, so no webhook could be told from a stranger's.",
                fix="Set ASLEEP_API_KEY, or api_key of an organisation.",
            )
        return found


def _keys(settings: Settings, found: dict[str, Organisation]) -> Iterator[tuple[str, bytes]]:
    for key in (settings.api_key, settings.previous_api_key):
        if key:
            yield DEFAULT_KEY, key.get_secret_value().encode()
    for org_id, organisation in found.items():
        for key in (own_key(organisation, org_id), previous_key(organisation, org_id)):
            if key:
                _check_name(settings, org_id)
                yield org_id, key.get_secret_value().encode()


def _check_name(settings: Settings, org_id: str) -> None:
    if org_id == DEFAULT_KEY and settings.api_key:
        raise ConfigurationError(
            f"The organisation {DEFAULT_KEY!r} has a key of its own beside the default key.",
            fix=f"Keep one of the two, api_key or that of [organisations.{DEFAULT_KEY}].",
        )


def _shared(first: str, second: str) -> ConfigurationError:
    return ConfigurationError(
        f"{first!r} and {second!r} have the same API key, so nobody can say whose event it is.",
        fix=f"Give each its own key, or leave it out where the {DEFAULT_KEY} one is meant.",
    )


def _state(settings: Settings) -> _State:
    """What the keys depend on besides the settings."""
    found = organisations(settings)
    files = [
        path
        for organisation in found.values()
        for path in (organisation.api_key_file, organisation.previous_api_key_file)
        if path
    ]
    return found, {path: _stamp(path) for path in files}


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
