"""Webhooks: which a session causes, when, and in which words (contract section 5).

A recording app gives a callback URL when it begins a session; most do. While such a session is
recorded, each 5-minute block from the fourth on causes an INFERENCE_COMPLETE at the instant it is
full, or each eighth block on a plan that calls every 40 minutes. The windows hold what real-time
polling shows. A SESSION_COMPLETE follows when the analysis is finished, and another one when the
session is computed again; it says what get-session says in UTC.

The contract leaves open, and this is our guess: what was recorded before a late upload causes no
INFERENCE_COMPLETE, sessions without statistics are complete like any other, and nothing is said of
a session that began more than thirty days ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import msgspec

from asleep_pipeline.simulator.calendar import Slot
from asleep_pipeline.simulator.details import Analysis, complete_result
from asleep_pipeline.simulator.nights import Night
from asleep_pipeline.simulator.statistics import (
    BLOCK_EPOCHS,
    EPOCH_S,
    SNORING_KEYS,
    unpacked,
)
from asleep_pipeline.simulator.world import World

Version: TypeAlias = Literal["V1", "V2", "V3", "flat"]
"""An envelope; the flat one is that of the vendor's guides."""

INFERENCE_COMPLETE = "INFERENCE_COMPLETE"
SESSION_COMPLETE = "SESSION_COMPLETE"

_FIRST_BLOCK = 3
_OLDER_WINDOW = 40
_LONGEST = timedelta(days=30)
_NOT_IN_V1 = (
    *SNORING_KEYS,
    "sleep_index",
    "light_latency",
    "deep_latency",
    "rem_latency",
    "waso_count",
    "longest_waso",
    "sleep_cycle",
    "sleep_cycle_count",
    "sleep_cycle_time",
    "unstable_breath_count",
)


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook before it is sent.

    Attributes:
        at: When it falls due, UTC.
        name: INFERENCE_COMPLETE or SESSION_COMPLETE.
        user_id: Whose session.
        session_id: Which.
        body: JSON in its envelope.
    """

    at: datetime
    name: str
    user_id: str
    session_id: str
    body: bytes


def events_between(
    world: World, since: datetime, until: datetime, version: Version = "V3"
) -> list[Event]:
    """Return all webhooks that fall due after `since` and until `until`, inclusive, in their order.

    They depend on these instants alone, not on the clock.
    """
    first, last = (since - _LONGEST).date(), until.date()
    found = [
        event
        for person in world.people
        for slot in world.calling_slots(person, first, last)
        for event in events_of(world, slot, since, until, version)
    ]
    return sorted(found, key=lambda event: (event.at, event.session_id))


def events_of(
    world: World, slot: Slot, since: datetime, until: datetime, version: Version = "V3"
) -> Iterator[Event]:
    """Yield the webhooks of one session that fall due after `since` and until `until`, inclusive."""
    last = min(until, slot.start + _LONGEST)
    yield from _inferences(world, slot, lambda at: since < at <= last, version)
    for at, number in world.completions(slot):
        if since < at <= last:
            yield completion(slot, world.final(slot, number), at, version)


def _inferences(
    world: World, slot: Slot, is_due: Callable[[datetime], bool], version: Version
) -> Iterator[Event]:
    step = slot.person.plan.callback_blocks
    if step is None:
        return
    blocks = range(step - 1, slot.length_s // (BLOCK_EPOCHS * EPOCH_S), step)
    chunks = [(block + 1) * BLOCK_EPOCHS - 1 for block in blocks if block >= _FIRST_BLOCK]
    due = [chunk for chunk in chunks if is_due(_end(slot, chunk)) and _is_live(slot, chunk)]
    # Only who has something to tell is listened to.
    night = world.heard(slot) if due else None
    if night:
        yield from (inference(slot, night, chunk, version) for chunk in due)


def _end(slot: Slot, chunk: int) -> datetime:
    return slot.start + timedelta(seconds=(chunk + 1) * EPOCH_S)


def _is_live(slot: Slot, chunk: int) -> bool:
    return slot.visible_at <= _end(slot, chunk)


def inference(slot: Slot, night: Night, seq_num: int, version: Version) -> Event:
    """Return the INFERENCE_COMPLETE whose windows end with a chunk.

    Args:
        slot: The session.
        night: Its provisional series, at least as long as that.
        seq_num: The chunk of 30 s, from 0.
        version: The envelope.
    """
    step = slot.person.plan.callback_blocks or 1
    shortest = _OLDER_WINDOW if version in {"V1", "V2"} else BLOCK_EPOCHS
    first = max(0, seq_num + 1 - max(step * BLOCK_EPOCHS, shortest))
    series = (night.stages, night.breath, night.snoring)
    windows = [values and unpacked(values[first : seq_num + 1]) for values in series]
    names = _WINDOWS.get(version, ("sleep_stages", "breath_stages", "snoring_stages"))
    place = {"seq_num": seq_num, "inference_seq_num": seq_num // BLOCK_EPOCHS}
    # The older versions have no third window.
    data = place | dict(zip(names, windows, strict=False))
    return _event(slot, INFERENCE_COMPLETE, _end(slot, seq_num), data, version)


_WINDOWS: dict[str, tuple[str, ...]] = {
    "V1": ("stage_list", "osa_stage_list"),
    "V2": ("stage_list", "breath_stages"),
}


def completion(slot: Slot, analysis: Analysis, at: datetime, version: Version) -> Event:
    """Return the SESSION_COMPLETE that tells a final result.

    Args:
        slot: The session.
        analysis: The result.
        at: When it is told, UTC.
        version: The envelope.
    """
    result = complete_result(slot, analysis, UTC, "UTC")
    if version in {"V1", "V2"}:
        result = {"sleep_data": _as_v1(result) if version == "V1" else result}
    return _event(slot, SESSION_COMPLETE, at, result, version)


def _as_v1(result: dict[str, Any]) -> dict[str, Any]:
    """Return what the older get-session said: no snoring, cycles, interruptions or score."""
    session, stat = dict(result["session"]), result["stat"]
    session["osa_stages"] = session.pop("breath_stages")
    del session["snoring_stages"]
    reason = next(iter(result["peculiarities"]), "UNKNOWN")
    if stat is not None:
        stat = {name: value for name, value in stat.items() if name not in _NOT_IN_V1}
        stat["estimated_ahi"] = stat.pop("breathing_index")
    return {
        "timezone": result["timezone"],
        "validity": "VALID" if stat else f"INVALID: {reason}",
        "session": session,
        "stat": stat,
    }


def _event(slot: Slot, name: str, at: datetime, data: dict[str, Any], version: Version) -> Event:
    user_id, session_id = slot.person.user_id, slot.session_id
    who = {"user_id": user_id, "session_id": session_id}
    if version == "V3" and name == SESSION_COMPLETE:
        # There the session's id is only at `session.id`.
        del who["session_id"]
    body = msgspec.json.encode(_enveloped(name, at, who | data, version))
    return Event(at, name, user_id, session_id, body)


def _enveloped(name: str, at: datetime, data: dict[str, Any], version: Version) -> dict[str, Any]:
    if version == "V3":
        return {"event": name, "version": version, "data": data}
    if version == "flat":
        return {"event": name, "timestamp": at} | data
    stated = {"callback_version": version} if version == "V2" else {}
    return {"callback_event": name, **stated, "callback_data": data}
