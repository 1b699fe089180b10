"""Night statistics from stages, by the vendor's published definitions.

Stages travel as `bytes` of signed 8-bit values, one per 30 s epoch: -1 unknown, 0 wake, 1 light
(or plain sleep on a 2-stage plan), 2 deep, 3 REM. Results equal the vendor's own package `pysleep`
(class `SleepStageCalculator`) wherever that gives an answer, with two exceptions set by the API
contract: `sleep_efficiency` divides by the analysed epochs (30 s x N) instead of the time in bed,
and `sleep_cycle` is a whole number of seconds. The two denominators differ only where the
recording's tail is shorter than a 5-minute block and was dropped.

`pysleep` refuses unknown epochs. Here they are neither sleep nor wake: they count in no total, do
not lengthen the sleep period, end a run of wake, and still take their 30 s in every latency.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

EPOCH_S = 30
BLOCK_EPOCHS = 10
"""Epochs in one 5-minute block, the unit in which the API grows its arrays."""

UNKNOWN, WAKE, LIGHT, DEEP, REM = -1, 0, 1, 2, 3

_WAKE_RUN = re.compile(rb"\x00+")
_EVENT_RUN = re.compile(rb"\x01+")
# REM epochs at most 20 other epochs (10 minutes) apart belong to one cycle.
_REM_CLUSTER = re.compile(rb"\x03(?:[^\x03]{0,20}\x03)*", re.DOTALL)
_REM_EPOCHS_OF_A_CYCLE = 20

TWO_STAGE_NULLS = (
    "light_latency",
    "deep_latency",
    "rem_latency",
    "time_in_light",
    "time_in_deep",
    "time_in_rem",
    "light_ratio",
    "deep_ratio",
    "rem_ratio",
)
"""Statistics a plan with two stages (asleep or not) cannot give."""

BREATHING_KEYS = (
    "time_in_stable_breath",
    "time_in_unstable_breath",
    "stable_breath_ratio",
    "unstable_breath_ratio",
    "breathing_index",
    "breathing_pattern",
    "unstable_breath_count",
)
SNORING_KEYS = (
    "time_in_snoring",
    "time_in_no_snoring",
    "snoring_ratio",
    "no_snoring_ratio",
    "snoring_count",
)


class Span(NamedTuple):
    """Sleep onset and final wake as epoch indices: `first` is asleep, `last` the last one asleep."""

    first: int
    last: int


def packed(stages: Iterable[int]) -> bytes:
    """Pack stage values from -1 to 3 into one signed byte each."""
    return array("b", stages).tobytes()


def unpacked(stages: bytes) -> list[int]:
    """Return packed stages as a list of integers from -1 to 3."""
    return memoryview(stages).cast("b").tolist()


def sleep_span(stages: bytes) -> Span | None:
    """Return where sleep begins and ends, or None when nobody slept."""
    asleep = stages.translate(_IS_SLEEP)
    first = asleep.find(1)
    return None if first < 0 else Span(first, asleep.rfind(1))


_IS_SLEEP = bytes(1 if code in (LIGHT, DEEP, REM) else 0 for code in range(256))


def statistics(stages: bytes, start: datetime, end: datetime) -> dict[str, Any]:
    """Compute the stage statistics of one session, under the API's names.

    Args:
        stages: Packed stages; not empty.
        start: Start of the session, aware.
        end: End of the session, aware; the recording may run on after the last epoch.

    Returns:
        Durations and latencies in whole seconds, ratios from 0 to 1 with two decimals, moments as
        aware datetimes. Without sleep the latency is the whole recording and the rest 0 or None.
    """
    span = sleep_span(stages)
    time_in_bed = round((end - start).total_seconds())
    if span is None:
        return _sleepless(stages, end, time_in_bed)
    onset = start + timedelta(seconds=span.first * EPOCH_S)
    trailing_s = (len(stages) - 1 - span.last) * EPOCH_S
    period = stages[span.first : span.last + 1]
    seconds = [period.count(code) * EPOCH_S for code in (WAKE, LIGHT, DEEP, REM)]
    return {
        "sleep_time": onset,
        "wake_time": end - timedelta(seconds=trailing_s),
        "sleep_latency": span.first * EPOCH_S,
        "wakeup_latency": trailing_s,
        **_stage_latencies(period),
        "time_in_bed": time_in_bed,
        **_totals(*seconds),
        "sleep_efficiency": round(sum(seconds[1:]) / (len(stages) * EPOCH_S), 2),
        **_ratios(*seconds),
        **_wakes(period),
        **_cycles(period, onset),
    }


def _sleepless(stages: bytes, end: datetime, time_in_bed: int) -> dict[str, Any]:
    return {
        "sleep_time": end,
        "wake_time": end,
        "sleep_latency": len(stages) * EPOCH_S,
        "wakeup_latency": 0,
        "light_latency": None,
        "deep_latency": None,
        "rem_latency": None,
        "time_in_bed": time_in_bed,
        **_totals(0, 0, 0, 0),
        "sleep_efficiency": 0.0,
        "sleep_ratio": 0.0,
        "wake_ratio": 0.0,
        "light_ratio": 0.0,
        "deep_ratio": 0.0,
        "rem_ratio": 0.0,
        "waso_count": 0,
        "longest_waso": 0,
        "sleep_cycle": None,
        "sleep_cycle_count": 0,
        "sleep_cycle_time": [],
    }


def _stage_latencies(period: bytes) -> dict[str, int | None]:
    first = {"light": period.find(LIGHT), "deep": period.find(DEEP), "rem": period.find(REM)}
    return {f"{name}_latency": i * EPOCH_S if i >= 0 else None for name, i in first.items()}


def _totals(wake: int, light: int, deep: int, rem: int) -> dict[str, int]:
    asleep = light + deep + rem
    return {
        "time_in_sleep_period": asleep + wake,
        "time_in_sleep": asleep,
        "time_in_wake": wake,
        "time_in_light": light,
        "time_in_deep": deep,
        "time_in_rem": rem,
    }


def _ratios(wake: int, light: int, deep: int, rem: int) -> dict[str, float]:
    """Shares of the sleep period in whole percents that add up to 100.

    Rounding is repaired in the first of light, REM, deep and wake that is not 0, as `pysleep` does.
    """
    period = wake + light + deep + rem
    shares = {"light": light, "rem": rem, "deep": deep, "wake": wake}
    percents = {name: _percent(seconds / period) for name, seconds in shares.items()}
    excess = sum(percents.values()) - 100
    step = 1 if excess > 0 else -1
    for _ in range(abs(excess)):
        percents[next(name for name, value in percents.items() if value)] -= step
    ratios = {f"{name}_ratio": value / 100 for name, value in percents.items()}
    return {"sleep_ratio": max(100 - percents["wake"], 0) / 100, **ratios}


def _percent(share: float) -> int:
    # Two steps on purpose: round(share, 2) and round(share * 100) disagree on some halves.
    return round(round(share, 2) * 100)


def _wakes(period: bytes) -> dict[str, int]:
    runs = [len(run) for run in _WAKE_RUN.findall(period)]
    return {"waso_count": len(runs), "longest_waso": max(runs, default=0) * EPOCH_S}


def _cycles(period: bytes, onset: datetime) -> dict[str, Any]:
    """Cycles end where a cluster of at least 10 minutes of REM ends; the first starts at onset."""
    ends = [
        cluster.end() - 1
        for cluster in _REM_CLUSTER.finditer(period)
        if cluster[0].count(REM) >= _REM_EPOCHS_OF_A_CYCLE
    ]
    moments = [onset + timedelta(seconds=i * EPOCH_S) for i in (0, *ends)] if ends else []
    return {
        "sleep_cycle": round(ends[-1] / len(ends) * EPOCH_S) if ends else None,
        "sleep_cycle_count": len(ends),
        "sleep_cycle_time": moments,
    }


def breathing_statistics(breath: bytes, span: Span, period_s: int, asleep_s: int) -> dict[str, Any]:
    """Compute the breathing statistics; their arithmetic is inferred, only their sums are known.

    Args:
        breath: One byte per epoch, 0 stable and 1 unstable.
        span: The sleep period, as epoch indices.
        period_s: `time_in_sleep_period` in seconds.
        asleep_s: `time_in_sleep` in seconds.

    Returns:
        Seconds and ratios of the sleep period, `breathing_index` in runs per hour of sleep, and
        `breathing_pattern`, of whose words only STABLE_BREATH has been seen in recorded data.
    """
    unstable_s, runs = _events(breath, span)
    index = round(runs * 3600 / asleep_s, 1)
    stable = _percent(1 - unstable_s / period_s)
    return {
        "time_in_stable_breath": period_s - unstable_s,
        "time_in_unstable_breath": unstable_s,
        "stable_breath_ratio": stable / 100,
        "unstable_breath_ratio": (100 - stable) / 100,
        "breathing_index": index,
        "breathing_pattern": "STABLE_BREATH" if index < _STABLE_INDEX else "UNSTABLE_BREATH",
        "unstable_breath_count": runs,
    }


_STABLE_INDEX = 5.0


def snoring_statistics(snoring: bytes, span: Span, period_s: int) -> dict[str, Any]:
    """Compute the snoring statistics: snoring and no snoring add up to the sleep period."""
    snoring_s, runs = _events(snoring, span)
    share = _percent(snoring_s / period_s)
    return {
        "time_in_snoring": snoring_s,
        "time_in_no_snoring": period_s - snoring_s,
        "snoring_ratio": share / 100,
        "no_snoring_ratio": (100 - share) / 100,
        "snoring_count": runs,
    }


def _events(series: bytes, span: Span) -> tuple[int, int]:
    period = series[span.first : span.last + 1]
    return period.count(1) * EPOCH_S, len(_EVENT_RUN.findall(period))


def sleep_index(stat: dict[str, Any]) -> int:
    """Score a night from 50 to 100; the vendor's formula is unpublished, this one is ours."""
    duration: float = min(stat["time_in_sleep"] / (7.5 * 3600), 1.0)
    calm = max(0.0, 1 - stat["waso_count"] / 60)
    quick = max(0.0, 1 - stat["sleep_latency"] / 5400)
    score: float = 0.45 * stat["sleep_efficiency"] + 0.35 * duration + 0.1 * calm + 0.1 * quick
    return min(100, max(50, round(100 * score)))
