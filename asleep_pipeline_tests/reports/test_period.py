"""Weeks and months."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.reports.period import month_of, read_week, week_of

DAYS = st.dates(date(1990, 1, 1), date(2100, 12, 31))


@pytest.mark.parametrize(
    ("text", "monday"),
    [
        ("2026-W47", date(2026, 11, 16)),
        ("2026-W53", date(2026, 12, 28)),
        ("2027-W01", date(2027, 1, 4)),
        ("2025-W01", date(2024, 12, 30)),
    ],
)
def test_a_week_goes_from_monday_to_sunday(text: str, monday: date) -> None:
    """Also over the turn of the year, where the week's year is that of its Thursday."""
    week = read_week(text)
    assert (week.key, week.start_date) == (text, monday)
    assert (week.end_date, week.days) == (monday + timedelta(days=6), 7)


@pytest.mark.parametrize(
    "text",
    [
        "2027-W53",
        "2026-W00",
        "2026-W1",
        "2026W47",
        "2026-47",
        "0001-W01",
        "9999-W01",
        "",
        "²026-W47",
    ],
)
def test_what_is_no_week_is_refused(text: str) -> None:
    """With the text and an example."""
    with pytest.raises(ValueError, match="is not a week such as 2026-W47"):
        read_week(text)


def test_a_month_is_as_long_as_the_calendar_says() -> None:
    """The night dates that a month can have."""
    february = month_of(date(2028, 2, 17))
    assert (february.key, february.start_date) == ("2028-02", date(2028, 2, 1))
    assert (february.end_date, february.days) == (date(2028, 2, 29), 29)
    assert february.before(2).key == "2027-12"


@given(DAYS, st.integers(1, 60))
def test_periods_follow_each_other_without_gap(day: date, back: int) -> None:
    """Each ends on the day before the next one."""
    for period in (week_of(day), month_of(day)):
        assert period.start_date <= day <= period.end_date
        assert (
            period.before(back).end_date + timedelta(days=1) == period.before(back - 1).start_date
        )
