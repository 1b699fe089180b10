"""Averages of a user over any period, in the shape and by the rules of the API's average-stats.

The API answers up to 100 days; here the same is computed from the sessions that are stored, for any
length. Sessions belong to a period by the local date of their start. Every figure is averaged on its own,
over the sessions with sleep that have it. Clock times go round in a circle: 23:00 and 01:00 give 00:00.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from datetime import date
from statistics import fmean
from typing import Any, Final

import duckdb
from msgspec import Struct, convert

from asleep_pipeline.lake.tables import DURATIONS, RATIOS

_DAY_S: Final = 86_400
_CLOCKS: Final = {
    "start_time": "started_at",
    "end_time": "ended_at",
    "sleep_time": "sleep_time",
    "wake_time": "wake_time",
}
_SECONDS: Final = (*(column.name for column in DURATIONS), "longest_waso", "sleep_cycle")
_RATIOS: Final = tuple(column.name for column in RATIOS)
_COUNTS: Final = (
    "breathing_index",
    "unstable_breath_count",
    "waso_count",
    "sleep_cycle_count",
    "snoring_count",
)
_FIGURES: Final = (*_SECONDS, *_RATIOS, *_COUNTS)
_RATIO_DIGITS: Final = 3
_COUNT_DIGITS: Final = 2


class AveragedPeriod(Struct, frozen=True, kw_only=True):
    """What is averaged over: both dates are included, and are dates of the zone."""

    timezone: str
    start_date: date
    end_date: date


class Averages(Struct, frozen=True, kw_only=True):
    """Means over the sessions with sleep, under the API's names; null where no session has the figure.

    Moments are clock times `HH:MM:SS` of the zone, durations and latencies whole seconds, ratios 0 to 1
    with three decimals, counts and the breathing index have two.
    """

    start_time: str | None
    end_time: str | None
    sleep_time: str | None
    wake_time: str | None
    sleep_latency: int | None
    wakeup_latency: int | None
    light_latency: int | None
    deep_latency: int | None
    rem_latency: int | None
    time_in_bed: int | None
    time_in_sleep_period: int | None
    time_in_sleep: int | None
    time_in_wake: int | None
    time_in_light: int | None
    time_in_deep: int | None
    time_in_rem: int | None
    time_in_stable_breath: int | None
    time_in_unstable_breath: int | None
    time_in_snoring: int | None
    time_in_no_snoring: int | None
    longest_waso: int | None
    sleep_cycle: int | None
    sleep_efficiency: float | None
    sleep_ratio: float | None
    wake_ratio: float | None
    light_ratio: float | None
    deep_ratio: float | None
    rem_ratio: float | None
    stable_breath_ratio: float | None
    unstable_breath_ratio: float | None
    snoring_ratio: float | None
    no_snoring_ratio: float | None
    breathing_index: float | None
    unstable_breath_count: float | None
    waso_count: float | None
    sleep_cycle_count: float | None
    snoring_count: float | None


class AverageStats(Struct, frozen=True, kw_only=True):
    """The averages of a period.

    Attributes:
        period: What they are over.
        peculiarities: `NO_BREATHING_STABILITY` when the user's plan has no breathing analysis, as
            their newest analysed session says.
        average_stats: Null when no session of the period has sleep.
        slept_session_count: Sessions with sleep, over which is averaged.
        never_slept_session_count: Sessions that were analysed and have no sleep.
    """

    period: AveragedPeriod
    peculiarities: list[str]
    average_stats: Averages | None
    slept_session_count: int
    never_slept_session_count: int


def average_stats(
    con: duckdb.DuckDBPyConnection, user_id: str, first: date, last: date, timezone: str
) -> AverageStats:
    """Average the complete sessions of a user that start on these dates.

    Args:
        con: A connection to the published file.
        user_id: Whose.
        first: First date, in the zone.
        last: Last date, in the zone.
        timezone: Zone of the dates and of the clock times, one that `tz_rules` holds.
    """
    asked = {"user_id": user_id, "first": first, "last": last, "timezone": timezone}
    found = con.execute(_FOUND, asked).fetchall()
    slept = [figures for is_slept, *figures in found if is_slept]
    return AverageStats(
        period=AveragedPeriod(timezone=timezone, start_date=first, end_date=last),
        peculiarities=_plan_says(con, user_id),
        average_stats=_averages(slept) if slept else None,
        slept_session_count=len(slept),
        never_slept_session_count=len(found) - len(slept),
    )


def _joined(clock: str) -> str:
    """The rule that held at a moment of each session."""
    return f"ASOF LEFT JOIN rule AS {clock} ON epoch_us(own.{_CLOCKS[clock]}) >= {clock}.from_us"


def _second_of_day(clock: str) -> str:
    return f"(epoch_us(own.{_CLOCKS[clock]}) // 1000000 + {clock}.offset_s) % {_DAY_S} AS {clock}_clock"


# The dates in UTC, which the table is sorted by, are at most a day from those of any zone.
_FOUND: Final = f"""
WITH rule AS (
    SELECT epoch_us(utc_from) AS from_us, offset_s::BIGINT AS offset_s
    FROM tz_rules WHERE tz = $timezone
),
own AS (
    SELECT * FROM sessions
    WHERE user_id = $user_id
        AND start_date BETWEEN $first::DATE - 1 AND $last::DATE + 1
        AND state = 'COMPLETE'
        AND has_detail
),
shifted AS (
    SELECT
        own.*,
        make_timestamp(epoch_us(own.started_at) + 1000000 * start_time.offset_s)::DATE AS first_date,
        coalesce(list_contains(peculiarities, 'NEVER_SLEPT'), false) AS is_sleepless,
        has_stat AND NOT is_sleepless AS is_slept,
        {", ".join(map(_second_of_day, _CLOCKS))}
    FROM own {" ".join(map(_joined, _CLOCKS))}
)
SELECT
    is_slept,
    {", ".join(f"{clock}_clock" for clock in _CLOCKS)},
    {", ".join(_FIGURES)}
FROM shifted
WHERE first_date BETWEEN $first AND $last AND (is_slept OR is_sleepless)
"""
_NEWEST: Final = """
SELECT 1 FROM (
    SELECT peculiarities FROM sessions WHERE user_id = $1 AND has_stat ORDER BY started_at DESC LIMIT 1
)
WHERE list_contains(peculiarities, 'NO_BREATHING_STABILITY')
"""


def _plan_says(con: duckdb.DuckDBPyConnection, user_id: str) -> list[str]:
    return ["NO_BREATHING_STABILITY"] if con.execute(_NEWEST, [user_id]).fetchone() else []


def _averages(slept: Sequence[Sequence[Any]]) -> Averages:
    measured = [
        [value for value in values if value is not None] for values in zip(*slept, strict=True)
    ]
    of = dict(zip((*_CLOCKS, *_FIGURES), measured, strict=True))
    # Half to even, as Python rounds; the contract does not say how the API does.
    said = {
        **{name: _mean_clock(of[name]) for name in _CLOCKS},
        **{name: _mean(of[name], round) for name in _SECONDS},
        **{name: _mean(of[name], lambda mean: round(mean, _RATIO_DIGITS)) for name in _RATIOS},
        **{name: _mean(of[name], lambda mean: round(mean, _COUNT_DIGITS)) for name in _COUNTS},
    }
    return convert(said, Averages)


def _mean(values: Sequence[float], rounded: Callable[[float], float]) -> float | None:
    return rounded(fmean(values)) if values else None


def _mean_clock(seconds: Sequence[int]) -> str | None:
    """The circular mean of seconds of the day; None where they cancel each other out."""
    turns = sum(cmath.rect(1, second / _DAY_S * math.tau) for second in seconds)
    if abs(turns) <= 1e-9 * len(seconds):
        return None
    second = round(cmath.phase(turns) / math.tau * _DAY_S) % _DAY_S
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
