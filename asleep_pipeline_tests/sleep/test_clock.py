"""Clock times: means and spreads on a circle, distances, and wall times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import circmean, circstd

from asleep_pipeline_tests.sleep.conftest import Evaluate
from asleep_pipeline_tests.sleep.references import made_up, needs_recordings, recorded

DAY = 1440
clock = st.floats(-DAY, DAY)


def circular(evaluate: Evaluate, macro: str, minutes: Sequence[float]) -> Any:
    """A macro of the mean sine and cosine of clock times."""
    sums = ", ".join(
        f"list_avg(list_transform($1::DOUBLE[], lambda m: clock_{f}(m)))" for f in ("sin", "cos")
    )
    return evaluate(f"{macro}({sums})", list(minutes))


def minutes_of(times: Sequence[str]) -> list[int]:
    """Minutes from midnight of `HH:MM`."""
    return [60 * int(time[:2]) + int(time[3:]) for time in times]


def apart(a: float, b: float) -> float:
    """From one clock time to another."""
    return (a - b + DAY / 2) % DAY - DAY / 2


def check_cases(evaluate: Evaluate, cases: dict[str, Any]) -> None:
    """Compare with each case's mean and standard deviation."""
    for name, case in cases.items():
        times = minutes_of(case["times"])
        mean, spread = (circular(evaluate, f"clock_{what}", times) for what in ("mean", "sd"))
        if case["resultant_length_R"] < 1e-9:
            assert (mean, spread) == (None, None), name
        else:
            assert apart(mean, case["scipy_circmean_min"]) == pytest.approx(0, abs=1e-4), name
            assert spread == pytest.approx(case["scipy_circstd_min"], abs=1e-4), name
            assert spread == pytest.approx(case["noctsleepy_sd_min"], abs=1e-4), name


def test_made_up_clock_times(evaluate: Evaluate) -> None:
    """Around midnight, by day, all the same; NULL where the times cancel each other out."""
    cases = made_up("circular")
    assert len(cases) == 8
    check_cases(evaluate, cases)


@needs_recordings
def test_the_cases_are_those_of_the_recordings(evaluate: Evaluate) -> None:
    """The file beside this module is a copy."""
    check_cases(evaluate, recorded("circular"))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(st.integers(-DAY, DAY), min_size=1, max_size=30))
def test_mean_and_spread_equal_scipy(evaluate: Evaluate, minutes: list[int]) -> None:
    """Of any clock times that do not cancel each other out."""
    agreement = math.hypot(
        *(sum(f(math.radians(m / 4)) for m in minutes) for f in (math.sin, math.cos))
    )
    if agreement / len(minutes) > 1e-6:
        mean = circular(evaluate, "clock_mean", minutes)
        assert apart(mean, circmean(minutes, high=DAY)) == pytest.approx(0, abs=1e-4)
        assert -DAY / 2 <= mean <= DAY / 2
        spread = circular(evaluate, "clock_sd", minutes)
        assert spread == pytest.approx(circstd(minutes, high=DAY), abs=1e-3)


@settings(deadline=None, derandomize=True)
@given(st.integers(-DAY, DAY), st.integers(1, 60))
def test_the_same_time_has_no_spread(evaluate: Evaluate, minute: int, times: int) -> None:
    """Exactly none, and no -0."""
    assert str(circular(evaluate, "clock_sd", [minute] * times)) == "0.0"


@settings(deadline=None, derandomize=True)
@given(clock, clock)
def test_a_difference_is_the_short_way_round(evaluate: Evaluate, a: float, b: float) -> None:
    """At most half a day, and it leads from the one to the other."""
    way = evaluate("clock_difference($1::DOUBLE, $2::DOUBLE)", a, b)
    assert -DAY / 2 <= way <= DAY / 2
    assert math.cos(math.radians((b + way - a) / 4)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("minutes", "origin", "way"),
    [
        (10, 1430, 20),
        (-20, 30, -50),
        (1430, -10, 0),
        (720, 0, -720),
        (0, 720, -720),
        (-1440, 1440, 0),
    ],
)
def test_differences_over_midnight(evaluate: Evaluate, minutes: int, origin: int, way: int) -> None:
    """23:50 to 00:10 is 20 minutes ahead."""
    assert evaluate("clock_difference($1::DOUBLE, $2::DOUBLE)", minutes, origin) == way


@pytest.mark.parametrize("macro", ["clock_mean", "clock_sd", "clock_resultant", "clock_difference"])
@pytest.mark.parametrize("values", [(None, None), (1.0, None), (None, 0.0)])
def test_nothing_known_is_null(
    evaluate: Evaluate, macro: str, values: tuple[float | None, float | None]
) -> None:
    """NULL is no time of the day, and no spread of 0."""
    assert evaluate(f"{macro}($1::DOUBLE, $2::DOUBLE)", *values) is None


@pytest.mark.parametrize(
    ("zone", "change", "night"),
    [
        ("Europe/Berlin", "2026-03-29T01:00:00", "2026-03-28T22:00:00"),
        ("Europe/Berlin", "2026-10-25T01:00:00", "2026-10-24T21:00:00"),
        ("America/New_York", "2026-11-01T06:00:00", "2026-11-01T02:00:00"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00", "2026-04-04T12:00:00"),
    ],
)
def test_wall_time_on_both_sides_of_a_change(
    evaluate: Evaluate, zone: str, change: str, night: str
) -> None:
    """The offset changes with the instant of the change itself, not a microsecond later."""
    start, changes = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (night, change))
    offsets = [_offset(moment, zone) for moment in (start, changes + timedelta(hours=8))]
    for step in (-3600, -1e-6, 0, 1e-6, 29.5, 3600):
        instant = changes + timedelta(seconds=step)
        wall = evaluate(
            "local_time($1::TIMESTAMPTZ, $2::TIMESTAMPTZ, $3, $4)", instant, changes, *offsets
        )
        assert wall == instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _offset(moment: datetime, zone: str) -> int:
    offset = moment.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return offset // timedelta(minutes=1)


def test_wall_time_without_a_change(evaluate: Evaluate) -> None:
    """The offset of the start holds."""
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    wall = evaluate("local_time($1::TIMESTAMPTZ, NULL, -570, -570)", instant)
    assert wall == datetime(2025, 12, 31, 14, 30)  # noqa: DTZ001 - a wall time has no zone


@pytest.mark.parametrize(
    ("wall", "minutes"),
    [("2026-01-01T23:30:00", -30), ("2026-01-02T00:00:00", 0), ("2026-01-02T07:00:30", 420.5)],
)
def test_minutes_count_from_the_midnight_of_the_date(
    evaluate: Evaluate, wall: str, minutes: float
) -> None:
    """Negative on the evening before."""
    moment = datetime.fromisoformat(wall)
    assert (
        evaluate("minutes_from_midnight($1::TIMESTAMP, $2::DATE)", moment, date(2026, 1, 2))
        == minutes
    )
