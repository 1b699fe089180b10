"""Webhook events in every published envelope (contract section 5).

Asleep posts JSON: V3 puts the facts below ``data``, V1 and V2 below ``callback_data`` (a session's
numbers one step deeper, below ``sleep_data``), and the vendor's guides show a flat form. `read_event`
says who and what an event is about; `read_inference` and `read_session` read what it says. All are
pure functions of the body as it came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec

from asleep_pipeline.asleep.decoding import decode_session
from asleep_pipeline.asleep.errors import UnreadableAnswer
from asleep_pipeline.asleep.models import Session

INFERENCE_COMPLETE: Final = "INFERENCE_COMPLETE"
SESSION_COMPLETE: Final = "SESSION_COMPLETE"
EPOCH_S: Final = 30
"""One chunk of audio, and one value of a series."""
EPOCHS_PER_BLOCK: Final = 10
"""`inference_seq_num` counts blocks of 5 minutes: the floor of ``seq_num / 10``."""

_LARGEST_NUMBER: Final = 10_000_000
LONGEST_ID: Final = 256
"""Longest id that is taken for one."""
_STARTED: Final = re.compile(r"([0-9]{4})" + 5 * r"([0-9]{2})" + r"(?![0-9])")
_Number = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_NUMBER)]
_Stages = tuple[Annotated[int, msgspec.Meta(ge=-1, le=3)], ...]
_SERIES: Final = {
    "sleep_stages": ("sleep_stages", "stage_list"),
    "breath_stages": ("breath_stages", "osa_stage_list"),
    "snoring_stages": ("snoring_stages",),
}
_OF_EVENT: Final = frozenset({"user_id", "session_id", "event", "version", "timestamp"})


@dataclass(frozen=True, slots=True)
class Event:
    """Whom and what an event is about, as far as its body says.

    Attributes:
        name: INFERENCE_COMPLETE, SESSION_COMPLETE, or one that nobody documented; "" when there is
            none.
        version: V1, V2 or V3 as the envelope says; V1 does not say it; "flat" without an envelope.
        user_id: The user; None when the body names none by an id that can be one.
        session_id: The session; None likewise.
        block: Which 5-minute block of the session, from 0; None when it does not say.
    """

    name: str
    version: str
    user_id: str | None
    session_id: str | None
    block: int | None


@dataclass(frozen=True, slots=True)
class Inference:
    """The newest window of a session in progress; one value each 30 s, provisional.

    Attributes:
        last_epoch: The epoch of the windows' last value, from 0 at the session's start.
        sleep_stages: -1 unknown, 0 wake, 1 light (asleep on a 2-stage plan), 2 deep, 3 REM.
        breath_stages: 0 stable, 1 unstable breathing; None where the plan lacks it.
        snoring_stages: 0 no, 1 snoring; None where the plan lacks it.
    """

    last_epoch: int
    sleep_stages: tuple[int, ...] | None
    breath_stages: tuple[int, ...] | None
    snoring_stages: tuple[int, ...] | None


class NotJsonError(ValueError):
    """A body is no JSON object in UTF-8."""


class _Session(msgspec.Struct):
    id: str | None = None


class _Facts(msgspec.Struct):
    user_id: str | None = None
    session_id: str | None = None
    seq_num: _Number | None = None
    inference_seq_num: _Number | None = None
    session: _Session | None = None


class _Envelope(_Facts):
    event: str | None = None
    version: str | None = None
    data: _Facts | None = None
    callback_event: str | None = None
    callback_version: str | None = None
    callback_data: _Facts | None = None


class _Windows(msgspec.Struct):
    seq_num: _Number
    sleep_stages: _Stages | None = None
    stage_list: _Stages | None = None
    breath_stages: _Stages | None = None
    osa_stage_list: _Stages | None = None
    snoring_stages: _Stages | None = None


class _EnvelopeOfWindows(msgspec.Struct):
    data: _Windows | None = None
    callback_data: _Windows | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_windows = msgspec.json.Decoder(_EnvelopeOfWindows).decode


def read_event(body: bytes) -> Event:
    """Say whom and what an event is about.

    Args:
        body: The request's body.

    Raises:
        NotJsonError: It is no JSON object in UTF-8.
    """
    try:
        # The decoder does not look into strings that it skips.
        body.decode()
        return _described(_decode_envelope(body))
    except msgspec.ValidationError:
        return _described(_tolerant_envelope(body))
    except (ValueError, RecursionError) as error:
        raise NotJsonError(_reason(error)) from None


def read_inference(body: bytes) -> Inference:
    """Read the windows of an INFERENCE_COMPLETE.

    Raises:
        UnreadableAnswer: It has no place in the session, or values that are no stages.
    """
    try:
        said = _decode_windows(body)
        windows = said.data or said.callback_data
    except (ValueError, RecursionError):
        windows = None
    # A sixth of what the flat form takes, and whatever else is to be looked at closely.
    return _inference(windows) if windows else _read_closely(body)


def read_session(body: bytes) -> Session:
    """Read the session of a SESSION_COMPLETE, as get-session would tell it.

    Raises:
        UnreadableAnswer: It cannot be used; names the place and the value.
    """
    facts = _facts(body)
    inner = facts.get("sleep_data", facts)
    if not isinstance(inner, dict):
        raise _unreadable("sleep_data is no object")
    result = {name: value for name, value in inner.items() if name not in _OF_EVENT}
    return decode_session(msgspec.json.encode({"result": result}))


def is_id(text: str) -> bool:
    """Whether the lake can hold it as an id: a NUL would cut its catalog's queries short."""
    return text != "" and text.isprintable() and len(text) <= LONGEST_ID


def started_by_id(session_id: str) -> datetime | None:
    """The start, UTC, that the vendor writes into its session ids; None in an id without."""
    found = _STARTED.match(session_id)
    try:
        # A tenth of what strptime takes.
        return datetime(*map(int, found.groups()), tzinfo=UTC) if found else None  # type: ignore[arg-type,misc]
    except ValueError:
        return None


def _inference(said: _Windows) -> Inference:
    sleep = said.stage_list if said.sleep_stages is None else said.sleep_stages
    breath = said.osa_stage_list if said.breath_stages is None else said.breath_stages
    return Inference(said.seq_num, sleep, breath, said.snoring_stages)


def _read_closely(body: bytes) -> Inference:
    facts = _facts(body)
    last = facts.get("seq_num")
    if not isinstance(last, int) or isinstance(last, bool) or not 0 <= last <= _LARGEST_NUMBER:
        raise _unreadable(f"seq_num is {last!r}, no chunk's number")
    return Inference(last, *(_series(facts, names) for names in _SERIES.values()))


def _described(said: _Envelope) -> Event:
    facts = said.data or said.callback_data or said
    block = facts.inference_seq_num
    if block is None and facts.seq_num is not None:
        block = facts.seq_num // EPOCHS_PER_BLOCK
    return Event(
        name=said.event or said.callback_event or "",
        version=_version(said),
        user_id=_id(facts.user_id),
        session_id=_id(facts.session_id or (facts.session.id if facts.session else None)),
        block=block,
    )


def _id(text: str | None) -> str | None:
    return text if text and is_id(text) else None


def _version(said: _Envelope) -> str:
    stated = said.version or said.callback_version
    if stated:
        return stated
    return "V1" if said.callback_event else "flat"


def _tolerant_envelope(body: bytes) -> _Envelope:
    """The envelope without the values that are of another kind than documented."""
    try:
        said = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(_reason(error)) from None
    if not isinstance(said, dict):
        raise NotJsonError("it is no object")
    envelope = _Envelope(**_of_kind(said, _Envelope))
    envelope.data, envelope.callback_data = (
        _tolerant(said, "data"),
        _tolerant(said, "callback_data"),
    )
    envelope.session = _tolerant_session(said)
    return envelope


def _tolerant(said: dict[str, Any], name: str) -> _Facts | None:
    inner = said.get(name)
    if not isinstance(inner, dict):
        return None
    return _Facts(**_of_kind(inner, _Facts), session=_tolerant_session(inner))


def _tolerant_session(said: dict[str, Any]) -> _Session | None:
    session = said.get("session")
    session_id = session.get("id") if isinstance(session, dict) else None
    return _Session(session_id) if isinstance(session_id, str) else None


def _of_kind(said: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The simple members of an object that are of the kind that the struct wants."""
    found = {}
    for field in msgspec.structs.fields(kind):
        if field.name in said and field.name not in {"data", "callback_data", "session"}:
            try:
                found[field.name] = msgspec.convert(said[field.name], field.type)
            except msgspec.ValidationError:
                continue
    return found


def _facts(body: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"it is no JSON ({_reason(error)})") from None
    if not isinstance(said, dict):
        raise _unreadable("it is no object")
    facts = said.get("data") or said.get("callback_data") or said
    if not isinstance(facts, dict):
        raise _unreadable("its data is no object")
    return facts


def _series(facts: dict[str, Any], names: tuple[str, ...]) -> tuple[int, ...] | None:
    values = next((facts[name] for name in names if facts.get(name) is not None), None)
    if values is None:
        return None
    try:
        return msgspec.convert(values, _Stages)
    except msgspec.ValidationError as error:
        raise _unreadable(f"{names[0]}: {error}") from None


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _unreadable(problem: str) -> UnreadableAnswer:
    return UnreadableAnswer(f"The webhook cannot be used: {problem}.", endpoint="webhook")
