"""Typed structs from answers, as they came or as they were stored: no client, no network.

Every function takes the whole body, ``{"detail": ..., "result": ...}``, and raises
`UnreadableAnswer` with the path and the value when it cannot be used. An answer in the
contract's own words is decoded in one pass; any other is first rewritten, which costs about twenty
times as much and leaves a note in ``readings`` or ``extra``. Both give the same for the same.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from asleep_pipeline.asleep._dialects import canonical
from asleep_pipeline.asleep.errors import UnreadableAnswer
from asleep_pipeline.asleep.models import (
    AverageStats,
    CreatedUser,
    LeanSession,
    Record,
    Session,
    SessionPage,
    UpdatedUser,
    User,
)

R = TypeVar("R", bound=Record)

_SHORT = 60
_STEP = re.compile(r"(\w+)|\[(\d+)\]")


class _Envelope(msgspec.Struct, Generic[R]):
    result: R


def decode_created_user(body: bytes) -> CreatedUser:
    """Decode an answer of create-user."""
    return _decode(body, CreatedUser, "create_user")


def decode_user(body: bytes) -> User:
    """Decode an answer of get-user; times without offset are UTC."""
    return _decode(body, User, "get_user")


def decode_updated_user(body: bytes) -> UpdatedUser:
    """Decode an answer of update-user."""
    return _decode(body, UpdatedUser, "update_user")


def decode_session_page(body: bytes) -> SessionPage:
    """Decode an answer of list-sessions."""
    return _decode(body, SessionPage, "list_sessions")


def decode_session(body: bytes) -> Session:
    """Decode an answer of get-session."""
    return _decode(body, Session, "get_session")


def decode_lean_session(body: bytes) -> LeanSession | None:
    """Decode an answer of get-session but for its stages, in a third of the time.

    None when it is not in the contract's own words, which `decode_session` may understand. The
    stages are any JSON that is well-formed.
    """
    try:
        envelope: _Envelope[LeanSession] = _fast(LeanSession).decode(body)
    except (ValueError, RecursionError):
        return None
    return envelope.result


def decode_average_stats(body: bytes) -> AverageStats:
    """Decode an answer of average-stats."""
    return _decode(body, AverageStats, "average_stats")


def _decode(body: bytes, kind: type[R], endpoint: str) -> R:
    try:
        envelope: _Envelope[R] = _fast(kind).decode(body)
    except (ValueError, RecursionError):
        return _tolerant(body, kind, endpoint)
    return envelope.result


@cache
def _fast(kind: type[R]) -> msgspec.json.Decoder[_Envelope[R]]:
    return msgspec.json.Decoder(_Envelope[kind])  # type: ignore[valid-type]  # one per kind


def _tolerant(body: bytes, kind: type[R], endpoint: str) -> R:
    readings: list[str] = []
    plain = canonical(kind, _result(body, endpoint), "", readings)
    if isinstance(plain, dict) and "readings" in kind.__struct_fields__:
        plain["$readings"] = readings
    try:
        record: R = msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        raise _unreadable(endpoint, reason, path.strip(".`"), plain) from None
    return record


def _result(body: bytes, endpoint: str) -> Any:
    try:
        envelope = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise _unreadable(endpoint, f"it is no JSON ({error})", "", body) from None
    if not isinstance(envelope, dict) or "result" not in envelope:
        raise _unreadable(endpoint, "it has no result", "", envelope)
    return envelope["result"]


def _unreadable(endpoint: str, reason: str, path: str, plain: Any) -> UnreadableAnswer:
    value = repr(_at(plain, path))
    shown = value if len(value) <= _SHORT else f"{value[:_SHORT]}..."
    return UnreadableAnswer(
        f"The answer of {endpoint} cannot be used: {reason} at {path or 'its top'}, which is {shown}.",
        endpoint=endpoint,
        path=path,
    )


def _at(plain: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        plain = plain[name] if name else plain[int(index)]
    return plain
