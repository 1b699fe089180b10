"""A small frame for each chart, in the columns of the warehouse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

import polars as pl

from asleep_pipeline import charts
from asleep_pipeline.charts import Chart

_HOUR: Final = pl.duration(hours=1)
FIRST: Final = date(2026, 3, 2)

RUNS: Final = pl.DataFrame(
    {
        "user_id": ["secret"] * 6,
        "started_local": ["2026-03-01 22:50"] * 6,
        "stage": ["wake", "light", "deep", "unknown", "rem", "light"],
    }
).with_columns(
    started_local=(start := pl.col("started_local").str.to_datetime() + _HOUR * pl.int_range(6)),
    ended_local=start + _HOUR,
)
NIGHTS: Final = pl.DataFrame(
    {
        "user_id": ["secret"] * 4,
        "night_date": [FIRST + timedelta(days=n) for n in (0, 1, 3, 5)],
        "light_s": [14_000, None, 15_000, 13_000],
        "deep_s": [5_000, None, 4_000, 6_000],
        "rem_s": [6_000, None, 5_000, 7_000],
        "waso_s": [1_200, 900, 0, 2_400],
        "tst_s": [25_000, 26_000, 24_000, 26_000],
        "bed_min": [-60.0, -45.5, 10.0, 30.0],
        "onset_min": [-40.0, -30.0, 25.0, 50.0],
        "wake_min": [400.0, 410.0, 430.0, 500.0],
        "rise_min": [420.0, 415.0, 431.0, 530.0],
        "is_free_day": [False, False, False, True],
    }
)
INTERVALS: Final = pl.DataFrame(
    {
        "day": [FIRST, FIRST, FIRST + timedelta(days=2)],
        "from_min": [660.0, 90.0, 700.0],
        "to_min": [1140.0, 120.0, 1100.0],
        "kind": ["asleep", "nap", "asleep"],
    }
)
DAYS: Final = NIGHTS.select("user_id", "night_date", value=pl.col("tst_s") / 3600)
PARTS: Final = pl.DataFrame(
    {
        "part": ["Efficiency", "Consistency", "Duration"],
        "points": [90.0, None, 75.0],
        "weight": [0.4, 0.25, 0.35],
    }
)
TREND: Final = pl.DataFrame(
    {
        "date": [FIRST + timedelta(days=n) for n in range(4)],
        "value": [7.0, None, 7.5, 6.9],
        "low": [6.0, None, 7.0, 6.1],
        "high": [8.0, None, 8.1, 7.7],
    }
)
BEDTIMES: Final = TREND.select("date", value=pl.col("value") * 10 - 120)
GROUPS: Final = pl.DataFrame(
    {"group": ["A & <b>"] * 5 + ["Night shift"] * 5, "value": [6.0, 6.5, 7, 7.2, 8, 5, 6, 7, 9, 7]}
)
MOVES: Final = pl.DataFrame(
    {
        "from_stage": ["wake", "light", "light", "deep", "rem", "unknown"],
        "to_stage": ["light", "deep", "rem", "light", "wake", "wake"],
        "n": [12, 1_803, 300, 9, 7, 5],
    }
)
QUALITY: Final = pl.DataFrame(
    {
        "week": [FIRST] * 3 + [FIRST + timedelta(days=14)],
        "quality": ["good", "fair", "poor", "good"],
        "share": [0.5, 0.25, 0.25, 1.0],
    }
)

CHARTS: Final[dict[str, tuple[Callable[[pl.DataFrame], Chart], pl.DataFrame]]] = {
    "hypnogram": (charts.hypnogram, RUNS),
    "hypnogram, 2 levels": (lambda runs: charts.hypnogram(runs, stage_levels=2), RUNS),
    "stage_stack": (charts.stage_stack, NIGHTS),
    "bed_to_wake": (charts.bed_to_wake, NIGHTS),
    "raster": (charts.raster, INTERVALS),
    "calendar": (charts.calendar, DAYS),
    "score_parts": (charts.score_parts, PARTS),
    "trend": (lambda rows: charts.trend(rows, label="Sleep", unit="h", target=8), TREND),
    "trend, clock": (
        lambda rows: charts.trend(rows, label="Bedtime", unit=charts.CLOCK, target=-60),
        BEDTIMES,
    ),
    "distribution": (lambda rows: charts.distribution(rows, label="Sleep", unit="h"), GROUPS),
    "transition_matrix": (charts.transition_matrix, MOVES),
    "quality_bars": (charts.quality_bars, QUALITY),
}
"""Each chart by name: how it is made, and from what."""
