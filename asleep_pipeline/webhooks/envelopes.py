"""The bodies of events at rest: with encryption, sealed by their user's key before they are stored."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.privacy.keys import Keys
from asleep_pipeline.privacy.sealed import UserKey, is_sealed, seal, unseal

_KEYED = b"idempotency"


@dataclass(frozen=True, slots=True)
class Addressed:
    """The body of an event, or None, and what it belongs to."""

    key_name: str
    user_id: str
    session_id: str | None
    name: str
    body: bytes | None

    @property
    def about(self) -> bytes:
        """What its body is bound to."""
        return json.dumps([self.key_name, self.user_id, self.session_id, self.name]).encode()


def keys_of_senders(keys: Keys | None, user_ids: Collection[str]) -> dict[str, UserKey | None]:
    """The keys of users whose events are to be stored, made where they are missing.

    Raises:
        ConfigurationError: They cannot be had.
    """
    return keys.of(set(user_ids), make=True) if keys else {}


def idempotency_secret(key: UserKey | None) -> bytes:
    """What keeps others from trying which body an idempotency key belongs to."""
    return key.derived(_KEYED) if key else b""


def sealed_body(key: UserKey | None, event: Addressed) -> bytes:
    """The body as it is stored. It is not compressed, for it is there for days and taken in by thousands."""
    body = event.body or b""
    return body if key is None else seal(key, body, event.about, squeeze=False)


def opened_bodies(keys: Keys | None, events: Iterable[Addressed]) -> list[bytes | None]:
    """The bodies as they came; None of users whose key is gone.

    Raises:
        ConfigurationError: The keys cannot be had, or there are none for an encrypted body.
        LakeError: A body was changed.
    """
    given = list(events)
    sealed = {e.user_id for e in given if e.body is not None and is_sealed(e.body)}
    if not sealed:
        return [event.body for event in given]
    if keys is None:
        raise ConfigurationError(
            "The inbox is encrypted.", fix="Set encryption_key_file to its file of master keys."
        )
    of = keys.of(sealed)
    return [
        unseal(of[e.user_id], e.body, e.about)
        if e.body is not None and is_sealed(e.body)
        else e.body
        for e in given
    ]
