"""Statistics equal the vendor's own calculator and the reference results."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysleep.calculator import SleepStageCalculator  # type: ignore[import-untyped]

from asleep_pipeline.simulator.statistics import (
    Span,
    breathing_statistics,
    packed,
    sleep_span,
    snoring_statistics,
    statistics,
    unpacked,
)

START = datetime(2024, 1, 1, 22, tzinfo=UTC)

runs = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 5, 19, 20, 21, 40])),
    min_size=1,
    max_size=40,
)


def of(stages: list[int], extra_s: int = 0) -> dict[str, Any]:
    """Compute the statistics of a session of 30 s per stage and a tail."""
    end = START + timedelta(seconds=30 * len(stages) + extra_s)
    return statistics(packed(stages), START, end)


def plain(value: Any) -> Any:
    """Turn a `pysleep` value into the API's unit."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def readable(stat: dict[str, Any]) -> dict[str, Any]:
    """Write moments as text, as the reference file does."""
    cycles = [moment.isoformat() for moment in stat["sleep_cycle_time"]]
    moments = {name: stat[name].isoformat() for name in ("sleep_time", "wake_time")}
    return stat | moments | {"sleep_cycle_time": cycles}


@given(runs)
def test_statistics_equal_pysleep(drawn: list[tuple[int, int]]) -> None:
    """Every statistic of known stages is what the vendor's calculator says."""
    stages = [stage for stage, length in drawn for _ in range(length)]
    end = START + timedelta(seconds=30 * len(stages))
    expected = {
        k: plain(v) for k, v in vars(SleepStageCalculator().calculate(stages, START, end)).items()
    }
    if expected["sleep_cycle"] is not None:
        expected["sleep_cycle"] = round(expected["sleep_cycle"])
    ours = of(stages)
    assert ours == {name: expected[name] for name in ours}


def test_statistics_equal_the_reference_cases(sleep_data: Path) -> None:
    """All made-up and real reference cases that have an answer are met."""
    text = (sleep_data / "oracles" / "hypnogram_oracles.json").read_text()
    cases = [case for case in json.loads(text)["cases"].values() if "error" not in case["pysleep"]]
    for case in cases:
        reference = case["pysleep"]
        end = datetime.fromisoformat(reference["end_time"])
        ours = statistics(packed(case["stages"]), START, end)
        assert readable(ours) == {name: reference[name] for name in ours} | {
            "sleep_cycle": reference["sleep_cycle"] and round(reference["sleep_cycle"])
        }
    assert len(cases) >= 30


def test_statistics_equal_the_reference_nights(sleep_data: Path) -> None:
    """All recordings without unknown epochs have the statistics of the reference table."""
    frame = pl.read_parquet(
        sleep_data / "hypnograms.parquet", columns=["session_id", "sleep_stages"]
    )
    stages = dict(frame.iter_rows())
    with (sleep_data / "oracles" / "night_statistics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["n_unknown"] == "0"]
    for row in rows:
        ours = of(list(stages[row["session_id"]]))
        for column in (name for name in row if name.startswith("pysleep_")):
            value = ours[column.removeprefix("pysleep_").removesuffix("_s")]
            # The API's mean cycle is a whole number of seconds.
            assert value == (pytest.approx(float(row[column]), abs=0.5) if row[column] else None)
    assert len(rows) == 166


def test_unknown_epochs_are_neither_sleep_nor_wake() -> None:
    """Unknown epochs are in no total, but take their time in latencies."""
    stat = of([-1, 0, 1, -1, 1, 0, 0, -1, 3, -1])
    assert stat["sleep_latency"] == 60
    assert stat["wakeup_latency"] == 30
    assert stat["time_in_sleep"] == 90
    assert stat["time_in_wake"] == 60
    assert stat["time_in_sleep_period"] == 150
    assert stat["waso_count"] == 1


def test_a_night_of_unknown_epochs_has_no_sleep() -> None:
    """Nothing known is nothing slept."""
    assert sleep_span(packed([-1] * 20)) is None
    assert of([-1] * 20)["time_in_sleep"] == 0


def test_a_dropped_tail_counts_in_bed_but_not_in_efficiency() -> None:
    """As in the vendor's record of 1538 s with 50 epochs: 1200 s of sleep are 0.8."""
    stat = of([0] * 10 + [1] * 30 + [3] * 10, extra_s=38)
    assert stat["time_in_bed"] == 1538
    assert stat["sleep_efficiency"] == 0.8
    assert stat["wakeup_latency"] == 0
    assert stat["wake_time"] == START + timedelta(seconds=1538)


def test_snoring_and_silence_fill_the_sleep_period() -> None:
    """Only events within the period count, and both parts add up to it."""
    stat = snoring_statistics(packed([1, 1, 0, 1, 1, 0, 1]), Span(1, 5), period_s=150)
    assert stat == {
        "time_in_snoring": 90,
        "time_in_no_snoring": 60,
        "snoring_ratio": 0.6,
        "no_snoring_ratio": 0.4,
        "snoring_count": 2,
    }


def test_breathing_index_is_events_per_hour_of_sleep() -> None:
    """Ten runs in two hours are five an hour."""
    series = packed(([1] + [0] * 23) * 10)
    stat = breathing_statistics(series, Span(0, 239), period_s=7200, asleep_s=7200)
    assert stat["breathing_index"] == 5.0
    assert stat["unstable_breath_count"] == 10
    assert stat["time_in_stable_breath"] == 6900


@given(st.lists(st.integers(-1, 3)))
def test_packing_is_lossless(stages: list[int]) -> None:
    """What is packed comes back."""
    assert unpacked(packed(stages)) == stages
