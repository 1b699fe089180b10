"""Average statistics of a user over a range of dates (endpoint A1).

Sessions belong to the range by their start date in the header's zone; the contract leaves open
whether the vendor takes that or the date of waking. Every metric is averaged on its own over the
sessions that have it, as the published example does.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from statistics import fmean
from typing import Any

from asleep_pipeline.simulator.calendar import Slot
from asleep_pipeline.simulator.details import Analysis, flat_row, never_slept_row

_SECONDS = (
    "sleep_latency",
    "wakeup_latency",
    "light_latency",
    "deep_latency",
    "rem_latency",
    "time_in_bed",
    "time_in_sleep_period",
    "time_in_sleep",
    "time_in_wake",
    "time_in_light",
    "time_in_deep",
    "time_in_rem",
    "time_in_stable_breath",
    "time_in_unstable_breath",
    "time_in_snoring",
    "time_in_no_snoring",
    "longest_waso",
    "sleep_cycle",
)
_RATIOS = (
    "sleep_efficiency",
    "wake_ratio",
    "sleep_ratio",
    "light_ratio",
    "deep_ratio",
    "rem_ratio",
    "stable_breath_ratio",
    "unstable_breath_ratio",
    "snoring_ratio",
    "no_snoring_ratio",
)
_COUNTS = (
    "breathing_index",
    "unstable_breath_count",
    "waso_count",
    "sleep_cycle_count",
    "snoring_count",
)
_DAY_S = 86_400

Analysed = tuple[Slot, Analysis]


def average_result(sessions: list[Analysed], zone: tzinfo) -> dict[str, Any]:
    """Return the three parts of the A1 `result` that rest on sessions.

    Args:
        sessions: The complete sessions of the range, with or without statistics.
        zone: The header's zone, for moments and clock times.
    """
    slept = [(slot, analysis) for slot, analysis in sessions if analysis.slept]
    awake = [slot for slot, analysis in sessions if "NEVER_SLEPT" in analysis.peculiarities]
    return {
        "average_stats": _averages(slept, zone) if slept else None,
        "never_slept_sessions": [never_slept_row(slot, zone) for slot in awake],
        "slept_sessions": [flat_row(slot, analysis, zone) for slot, analysis in slept],
    }


def _averages(slept: list[Analysed], zone: tzinfo) -> dict[str, Any]:
    stats = [analysis.stat or {} for _, analysis in slept]
    return {
        "start_time": mean_clock((slot.start for slot, _ in slept), zone),
        "end_time": mean_clock((slot.end for slot, _ in slept), zone),
        "sleep_time": mean_clock((stat["sleep_time"] for stat in stats), zone),
        "wake_time": mean_clock((stat["wake_time"] for stat in stats), zone),
        **{name: _mean(stats, name, round) for name in _SECONDS},
        **{name: _mean(stats, name, lambda value: round(value, 3)) for name in _RATIOS},
        **{name: _mean(stats, name, lambda value: round(value, 2)) for name in _COUNTS},
    }


def _mean(
    stats: list[dict[str, Any]], name: str, rounded: Callable[[float], float]
) -> float | None:
    values = [stat[name] for stat in stats if stat[name] is not None]
    return rounded(fmean(values)) if values else None


def mean_clock(moments: Iterable[datetime], zone: tzinfo) -> str:
    """Return the circular mean of wall-clock times as HH:MM:SS: 23:00 and 01:00 give 00:00."""
    turns = sum(cmath.rect(1, _day_share(moment.astimezone(zone))) for moment in moments)
    second = round(cmath.phase(turns) / math.tau * _DAY_S) % _DAY_S
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def _day_share(local: datetime) -> float:
    second = local.hour * 3600 + local.minute * 60 + local.second
    return second / _DAY_S * math.tau
