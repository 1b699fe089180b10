"""A session's detail, read for its row: its stages one byte each, not one Python number.

A night has about 2,700 stages in three series. Their JSON has one digit each, so it becomes the bytes
of a column by bytes alone, in a fifth of the time and an eighth of the room of three lists. Whatever
looks otherwise, in the lists or around them, is decoded whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from msgspec import Raw
from msgspec.structs import force_setattr

from asleep_pipeline.asleep import Session, UnreadableAnswer, decode_session
from asleep_pipeline.asleep.decoding import decode_lean_session
from asleep_pipeline.asleep.events import read_session
from asleep_pipeline.asleep.models import LeanSession, SessionFacts, SessionResult
from asleep_pipeline.normalise.stored import PUSHED, Body

KNOWN_STAGES: Final = {
    "sleep_stages": frozenset({-1, 0, 1, 2, 3}),
    "breath_stages": frozenset({-1, 0, 1, 2}),
    "snoring_stages": frozenset({-1, 0, 1}),
}
"""The values that a stage may have, by series."""

Stages: TypeAlias = bytes | list[int] | None
"""Known stages as signed bytes, or stages of any value as they were decoded."""

_UNKNOWN: Final = 0x7F
_MINUS_ONE: Final = b"\xff"
_BETWEEN: Final = b"[], \n\r\t"


def _table(known: frozenset[int]) -> bytes:
    """From a digit, or the sign of a -1, to a signed byte; all else is unknown."""
    table = bytearray([_UNKNOWN] * 256)
    for stage in known:
        table[ord(str(stage)) if stage >= 0 else _MINUS_ONE[0]] = stage % 256
    return bytes(table)


_TABLES: Final = {name: _table(known) for name, known in KNOWN_STAGES.items()}


@dataclass(frozen=True, slots=True)
class Detail:
    """What one detail says.

    Attributes:
        session: The session itself.
        result: What is said around it, with its statistics.
        stages: Its series by name.
    """

    session: SessionFacts
    result: SessionResult
    stages: Mapping[str, Stages]


def read_detail(body: Body) -> Detail:
    """Read a detail, whoever brought it.

    Raises:
        UnreadableAnswer: It cannot be used.
    """
    if body.endpoint == PUSHED:
        return whole(read_session(body.content))
    lean = decode_lean_session(body.content)
    return (lean and _packed(lean)) or whole(decode_session(body.content))


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of the body of a detail, and whose words it was in."""

    endpoint: str
    detail: Detail | UnreadableAnswer


def read_body(body: Body) -> Reading:
    """`read_detail`, with the error as a value."""
    try:
        return Reading(body.endpoint, read_detail(body))
    except UnreadableAnswer as error:
        return Reading(body.endpoint, error)


def whole(said: Session) -> Detail:
    """A detail that is decoded already."""
    return Detail(said.session, said, {name: getattr(said.session, name) for name in KNOWN_STAGES})


def _packed(said: LeanSession) -> Detail | None:
    """The detail with its stages packed; None when these are not lists of what is known."""
    stages = {name: _pack(bytes(getattr(said.session, name)), _TABLES[name]) for name in _TABLES}
    if any(series and _UNKNOWN in series for series in stages.values()):
        return None
    for name in _TABLES:
        # A part of the body keeps the whole of it in memory.
        force_setattr(said.session, name, Raw())
    return Detail(said.session, said, stages)


def _pack(json: bytes, table: bytes) -> bytes | None:
    """A series as signed bytes, `_UNKNOWN` among them where it is no list of known stages.

    Args:
        json: One value of JSON, well-formed; empty where the key is absent.
        table: Of `_TABLES`.
    """
    if json in {b"", b"null"}:
        return None
    packed = json.replace(b"-1", _MINUS_ONE).translate(table, _BETWEEN)
    # Each number has a byte at least, so a byte for each means one digit each.
    is_flat = json.startswith(b"[") and json.count(b"[") == 1
    has_one_each = len(packed) == json.count(b",") + bool(packed)
    return packed if is_flat and has_one_each else bytes([_UNKNOWN])
