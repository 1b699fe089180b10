"""Figures in words."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from asleep_pipeline.reports import words
from asleep_pipeline.reports.period import month_of, read_week
from asleep_pipeline.reports.words import changed, shown

CLOCK = "min from local midnight of the night date"


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "s", words.DASH),
        (0, "s", "0 min"),
        (3_599, "s", "1 h 00 min"),
        (25_500, "s", "7 h 05 min"),
        (75, "min", "1 h 15 min"),
        (-5, CLOCK, "23:55"),
        (1_439.6, CLOCK, "00:00"),
        (0.831, "fraction 0-1", "83.1 %"),
        (3, "count", "3"),
        (3.25, "count", "3.2"),
        (79.0, "0-100", "79.0"),
        (-12.5, "-100 to 100", "\N{MINUS SIGN}12.5"),
        (1.04, "1/h", "1.0 an hour"),
    ],
)
def test_a_figure_is_told_with_its_unit(value: float | None, unit: str, said: str) -> None:
    """None is a dash, and 0 is 0."""
    assert shown(value, unit) == said


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "s", words.DASH),
        (0, "s", "±0 min"),
        (29, "s", "±0 min"),
        (-29, "s", "±0 min"),
        (-1_100, "s", "\N{MINUS SIGN}18 min"),
        (75, CLOCK, "+1 h 15 min"),
        (-0.012, "fraction 0-1", "\N{MINUS SIGN}1.2 pp"),
        (2, "count", "+2"),
    ],
)
def test_a_difference_is_told_with_its_sign(value: float | None, unit: str, said: str) -> None:
    """What rounds to nothing has neither."""
    assert changed(value, unit) == said


def test_periods_and_dates_are_told_with_no_more_than_it_takes() -> None:
    """The month once, if it is the same; the year too."""
    assert words.title(read_week("2026-W53")) == "Week 53 of 2026"
    assert words.title(month_of(date(2026, 10, 3))) == "October 2026"
    assert words.dates(read_week("2026-W47")) == "16 to 22 November 2026"
    assert words.dates(read_week("2026-W40")) == "28 September to 4 October 2026"
    assert words.dates(read_week("2026-W53")) == "28 December 2026 to 3 January 2027"
    assert words.weekday(date(2026, 11, 16)) == "Mon 16 Nov"
    assert words.moment(datetime(2026, 11, 25, 8, 5, tzinfo=UTC)) == "25 November 2026, 08:05 UTC"


def test_lists_and_counts_are_told() -> None:
    """As people say them."""
    assert words.weekdays([6, 7]) == "Saturday and Sunday"
    assert words.weekdays([1]) == "Monday"
    assert words.weekdays([]) == "none"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert (words.counted(1, "nap"), words.counted(2, "nap")) == ("1 nap", "2 naps")
    assert (words.compact(25_500), words.compact(1_500)) == ("7 h 05", "25 min")
    assert words.compact(None) == words.DASH
