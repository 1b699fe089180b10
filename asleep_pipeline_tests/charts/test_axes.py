"""Clock times and dates on axes."""

from __future__ import annotations

from datetime import date, timedelta

import altair as alt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.charts import to_svg
from asleep_pipeline.charts.axes import clock, clock_ticks, day_range, day_ticks, iso

DATES = st.dates(date(1990, 1, 1), date(2100, 1, 1))


def test_minutes_read_as_clock_times() -> None:
    """Minutes before midnight, of the next day, and parts of a minute are times of a day."""
    minutes = [-30.0, 0.0, 0.4, 59.6, 599.0, 1439.4, 1439.6, 1500.0, -1441.0]
    said = ["23:30", "00:00", "00:00", "01:00", "09:59", "23:59", "00:00", "01:00", "23:59"]
    rows = alt.Chart(pl.DataFrame({"m": minutes})).transform_calculate(said=clock("datum.m"))
    svg = to_svg(rows.mark_text().encode(y="m:O", text="said:N"), title="t", description="d")
    assert [svg.count(f">{text}</text>") for text in said] == [said.count(text) for text in said]


@settings(derandomize=True, deadline=None)
@given(low=st.floats(-3000, 3000), span=st.floats(1, 3000), most=st.integers(2, 20))
def test_clock_ticks_are_few_round_and_inside(low: float, span: float, most: int) -> None:
    """Labels are full minutes, at least one, and no more than there is room for."""
    ticks = clock_ticks(low, low + span, most=most)
    assert all(low <= tick <= low + span for tick in ticks)
    assert len(ticks) <= most + 1
    assert ticks or span >= 60


@settings(derandomize=True, deadline=None)
@given(first=DATES, days=st.integers(0, 2500), most=st.integers(2, 20))
def test_day_ticks_are_few_and_inside(first: date, days: int, most: int) -> None:
    """Labels of dates have room, for one day and for years."""
    last = first + timedelta(days=days)
    ticks = day_ticks(first, last, most=most)
    assert 1 <= len(ticks) <= most + 1
    assert all(first <= tick <= last for tick in ticks)
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize(("days", "weekdays"), [(60, {1}), (100, {1})])
def test_weeks_begin_on_mondays(days: int, weekdays: set[int]) -> None:
    """What is labelled by weeks is labelled at their beginning."""
    first = date(2026, 1, 1)
    ticks = day_ticks(first, first + timedelta(days=days), most=10)
    assert {tick.isoweekday() for tick in ticks} == weekdays


@settings(derandomize=True, deadline=None)
@given(first=DATES, days=st.integers(0, 400))
def test_dates_without_data_have_room(first: date, days: int) -> None:
    """Every date is there once, in order, as frames spell it."""
    last = first + timedelta(days=days)
    dates = pl.DataFrame({"d": pl.date_range(first, last, eager=True)})
    assert day_range(first, last) == dates.select(iso("d"))["d"].to_list()
