"""What a session must be like before its numbers may spread.

A detail that breaks a rule goes to `quarantine` with the rule and the value; its session keeps its
list row. The arithmetic between statistics is no rule here: the contract calls it a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asleep_pipeline.asleep import SessionItem, Stat
from asleep_pipeline.asleep.events import is_id
from asleep_pipeline.normalise.details import KNOWN_STAGES, Detail

STATES = frozenset({"OPEN", "CLOSED", "COMPLETE"})
# Beyond these years is a clock that was never set; at the ends of the calendar a zone overflows.
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_MONTH_S = 31 * 24 * 3600
_SHOWN = 80
# Rounding may carry a ratio a little beyond the whole.
_RATIO_MAX = 1.005
_SCORE_MAX = 100
_COUNT_MAX = 1_000_000
_NOT_NUMBERS = {"extra", "sleep_time", "wake_time", "breathing_pattern", "sleep_cycle_time"}


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that was broken, and the value that broke it (shortened)."""

    rule: str
    value: str


def broken_by_item(item: SessionItem) -> Iterator[Broken]:
    """The rules that a list row breaks."""
    if not is_id(item.session_id):
        yield _broken("session_id is an id", ascii(item.session_id))
    moments = (item.session_start_time, item.session_end_time, item.unexpected_end_time)
    yield from _broken_by_moments(moments)
    if item.state not in STATES:
        yield _broken("state is OPEN, CLOSED or COMPLETE", item.state)
    yield from _broken_by_length(item.session_start_time, item.session_end_time)
    if item.session_end_time is None and item.state == "COMPLETE":
        yield _broken("a COMPLETE session has an end", None)
    if not _fits(item.time_in_bed, _MONTH_S):
        yield _broken("time_in_bed is 0 s to a month", item.time_in_bed)
    if not _fits(item.last_received_seq_num, _COUNT_MAX):
        yield _broken("last_received_seq_num is a chunk's number", item.last_received_seq_num)


def broken_by_detail(detail: Detail, *, asked_for: str) -> Iterator[Broken]:
    """The rules that a session's detail breaks.

    Args:
        detail: The detail.
        asked_for: The session id that was asked for.
    """
    session, about = detail.result, detail.session
    yield from _broken_by_moments((about.start_time, about.end_time, about.unexpected_end_time))
    if about.id != asked_for:
        yield _broken("the answer is about the session that was asked for", about.id)
    if about.state not in STATES:
        yield _broken("state is OPEN, CLOSED or COMPLETE", about.state)
    yield from _broken_by_length(about.start_time, about.end_time)
    if about.end_time is None and about.state == "COMPLETE":
        yield _broken("a COMPLETE session has an end", None)
    if session.missing_data_ratio is not None and not 0 <= session.missing_data_ratio <= 1:
        yield _broken("missing_data_ratio is 0 to 1", session.missing_data_ratio)
    for name, stages in detail.stages.items():
        # Packed ones are known.
        unknown = set(stages) - KNOWN_STAGES[name] if isinstance(stages, list) else ()
        if unknown:
            yield _broken(f"{name} holds known stages", sorted(unknown))
    if session.stat is not None:
        yield from _broken_by_stat(session.stat)


def is_sound(item: SessionItem) -> bool:
    """Whether a list row breaks no rule."""
    return not any(broken_by_item(item))


def _broken_by_moments(moments: Iterable[datetime | None]) -> Iterator[Broken]:
    for moment in moments:
        if moment is not None and not _EARLIEST <= moment < _LATEST:
            yield _broken("a moment lies in the years 2000 to 2099", moment)


def _broken_by_length(start: datetime, end: datetime | None) -> Iterator[Broken]:
    if end is not None and end < start:
        yield _broken("a session ends after its start", end)
    # The seconds of a century do not fit into the marts; a start long ago is told above.
    if end is not None and start >= _EARLIEST and end - start > timedelta(seconds=_MONTH_S):
        yield _broken("a session lasts at most a month", end)


def _broken_by_stat(stat: Stat) -> Iterator[Broken]:
    yield from _broken_by_moments((stat.sleep_time, stat.wake_time, *(stat.sleep_cycle_time or ())))
    for name, largest in _LARGEST.items():
        value = getattr(stat, name)
        if value is not None and not 0 <= value <= largest:
            yield _broken(f"{name} is 0 to {largest:g}", value)


def _largest(name: str) -> float:
    if name.endswith("_ratio") or name == "sleep_efficiency":
        return _RATIO_MAX
    if name == "sleep_index":
        return _SCORE_MAX
    return _COUNT_MAX if name.endswith(("_count", "_index")) else _MONTH_S


_LARGEST = {name: _largest(name) for name in Stat.__struct_fields__ if name not in _NOT_NUMBERS}


def _fits(value: float | None, largest: float) -> bool:
    return value is None or 0 <= value <= largest


def _broken(rule: str, value: object) -> Broken:
    return Broken(rule, str(value)[:_SHOWN])
