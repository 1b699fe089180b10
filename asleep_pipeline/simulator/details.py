"""The API's shapes: list rows and get-session results, for any instant and any zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from asleep_pipeline.simulator.calendar import Slot
from asleep_pipeline.simulator.nights import Night
from asleep_pipeline.simulator.statistics import (
    BREATHING_KEYS,
    EPOCH_S,
    SNORING_KEYS,
    TWO_STAGE_NULLS,
    Span,
    breathing_statistics,
    sleep_index,
    sleep_span,
    snoring_statistics,
    statistics,
    unpacked,
)

_MINIMUM_S = 300
_MAXIMUM_S = 24 * 3600
_MOST_UNKNOWN = 0.3

# Statistics that mean nothing without sleep; the contract leaves open which are null and which 0.
_NULL_WITHOUT_SLEEP = ("sleep_time", "wake_time", "sleep_latency", "wakeup_latency", "sleep_index")
_MOMENTS = ("sleep_time", "wake_time")


@dataclass(frozen=True, slots=True)
class Analysis:
    """The final result of a session; moments in `stat` are aware UTC datetimes."""

    night: Night
    peculiarities: tuple[str, ...]
    stat: dict[str, Any] | None

    @property
    def slept(self) -> bool:
        """Whether there are statistics of some sleep."""
        return self.stat is not None and "NEVER_SLEPT" not in self.peculiarities


def analyse(slot: Slot, night: Night) -> Analysis:
    """Compute what the API says of a complete session."""
    if slot.length_s < _MINIMUM_S or not night.stages:
        return Analysis(night, ("TOO_SHORT_FOR_ANALYSIS",), None)
    if night.stages.count(b"\xff") > _MOST_UNKNOWN * len(night.stages):
        return Analysis(night, ("TOO_MANY_DEFECTS_IN_SLEEP_STAGES",), None)
    span = sleep_span(night.stages)
    notes = {
        "TOO_LONG_FOR_ANALYSIS": slot.length_s > _MAXIMUM_S,
        "NEVER_SLEPT": span is None,
        "NO_BREATHING_STABILITY": not slot.person.plan.breathing,
    }
    said = tuple(name for name, holds in notes.items() if holds)
    return Analysis(night, said, _stat(slot, night, span))


def _stat(slot: Slot, night: Night, span: Span | None) -> dict[str, Any]:
    stat = statistics(night.stages, slot.start, slot.end)
    stat["sleep_index"] = sleep_index(stat)
    stat |= _event_statistics(night, span, stat)
    nulls: tuple[str, ...] = _NULL_WITHOUT_SLEEP if span is None else ()
    if slot.person.plan.stage_levels == 2:  # noqa: PLR2004 - a two-stage plan
        nulls += TWO_STAGE_NULLS
    return stat | dict.fromkeys(nulls)


def _event_statistics(night: Night, span: Span | None, stat: dict[str, Any]) -> dict[str, Any]:
    keys = dict.fromkeys(BREATHING_KEYS + SNORING_KEYS)
    if span is None:
        return keys
    period_s, asleep_s = stat["time_in_sleep_period"], stat["time_in_sleep"]
    if night.breath is not None:
        keys |= breathing_statistics(night.breath, span, period_s, asleep_s)
    if night.snoring is not None:
        keys |= snoring_statistics(night.snoring, span, period_s)
    return keys


def state_at(slot: Slot, now: datetime) -> str:
    """Return OPEN, CLOSED or COMPLETE."""
    if now < slot.end:
        return "OPEN"
    return "CLOSED" if now < slot.complete_at else "COMPLETE"


def list_row(slot: Slot, state: str, zone: tzinfo) -> dict[str, Any]:
    """Return one row of list-sessions, with its moments shifted to `zone`."""
    is_open = state == "OPEN"
    end = None if is_open else slot.end
    return {
        "session_id": slot.session_id,
        "state": state,
        "session_start_time": _shifted(slot.start, zone),
        "session_end_time": _shifted(end, zone),
        "created_timezone": slot.timezone,
        "unexpected_end_time": _shifted(end if slot.unexpected else None, zone),
        "last_received_seq_num": None if is_open else slot.length_s // EPOCH_S - 1,
        "time_in_bed": None if is_open else slot.length_s,
    }


def complete_result(slot: Slot, analysis: Analysis, zone: tzinfo, zone_name: str) -> dict[str, Any]:
    """Return the get-session `result` of a COMPLETE session."""
    night = analysis.night if analysis.night.stages else None
    return {
        "timezone": zone_name,
        "peculiarities": list(analysis.peculiarities),
        "missing_data_ratio": analysis.night.missing_data_ratio,
        "session": _session(slot, "COMPLETE", night, zone),
        "stat": _shifted_stat(analysis.stat, zone),
    }


def unfinished_result(
    slot: Slot, state: str, night: Night | None, zone: tzinfo, zone_name: str
) -> dict[str, Any]:
    """Return the get-session `result` of an OPEN or CLOSED session, with provisional series."""
    readable = slot.person.plan.realtime_polling
    said = ["IN_PROGRESS"] if readable else ["IN_PROGRESS", "NO_REALTIME_POLLING"]
    return {
        "timezone": zone_name,
        "peculiarities": said,
        "missing_data_ratio": 0.0,
        "session": _session(slot, state, night if readable else None, zone),
        "stat": None,
    }


def _session(slot: Slot, state: str, night: Night | None, zone: tzinfo) -> dict[str, Any]:
    end = None if state == "OPEN" else slot.end
    return {
        "id": slot.session_id,
        "state": state,
        "start_time": _shifted(slot.start, zone),
        "end_time": _shifted(end, zone),
        "unexpected_end_time": _shifted(end if slot.unexpected else None, zone),
        "created_timezone": slot.timezone,
        **_series(night),
    }


def _series(night: Night | None) -> dict[str, list[int] | None]:
    series = (night.stages, night.breath, night.snoring) if night else (None, None, None)
    names = ("sleep_stages", "breath_stages", "snoring_stages")
    return {name: _listed(values) for name, values in zip(names, series, strict=True)}


def flat_row(slot: Slot, analysis: Analysis, zone: tzinfo) -> dict[str, Any]:
    """Return one row of average-stats' `slept_sessions`: statistics flattened, no series."""
    stat = _shifted_stat(analysis.stat, zone) or {}
    del stat["sleep_cycle_time"]
    return never_slept_row(slot, zone) | {"created_timezone": slot.timezone} | stat


def never_slept_row(slot: Slot, zone: tzinfo) -> dict[str, Any]:
    """Return one row of average-stats' `never_slept_sessions`."""
    return {
        "id": slot.session_id,
        "start_time": _shifted(slot.start, zone),
        "end_time": _shifted(slot.end, zone),
        "completed_time": _shifted(slot.complete_at, zone),
    }


def last_session_info(slot: Slot, state: str) -> dict[str, Any]:
    """Return get-user's `last_session_info`: moments in UTC, without an offset."""
    return {
        "session_id": slot.session_id,
        "inference_type": "MELSPECTROGRAM",
        "service": "NOSERVICE",
        "start_time": _bare(slot.start),
        "end_time": None if state == "OPEN" else _bare(slot.end),
        "state": state,
        "complete_time": _bare(slot.complete_at) if state == "COMPLETE" else None,
    }


def _bare(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _shifted(moment: datetime | None, zone: tzinfo) -> str | None:
    return None if moment is None else moment.astimezone(zone).isoformat()


def _shifted_stat(stat: dict[str, Any] | None, zone: tzinfo) -> dict[str, Any] | None:
    if stat is None:
        return None
    moments = {name: _shifted(stat[name], zone) for name in _MOMENTS}
    cycles = [_shifted(moment, zone) for moment in stat["sleep_cycle_time"]]
    return stat | moments | {"sleep_cycle_time": cycles}


def _listed(series: bytes | None) -> list[int] | None:
    return None if series is None else unpacked(series)
