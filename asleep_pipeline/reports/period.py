"""The weeks and months that reports are of."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final, Literal

import pendulum
from msgspec import Struct

Kind = Literal["week", "month"]

_WEEK: Final = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
_LAST_YEAR: Final = 9998
"""The calendar ends with the year after."""


class Period(Struct, frozen=True, kw_only=True):
    """An ISO week, Monday to Sunday, or a calendar month.

    Attributes:
        kind: week or month.
        key: 2026-W47 or 2026-10.
        start_date: Its first night date.
        end_date: Its last night date.
    """

    kind: Kind
    key: str
    start_date: date
    end_date: date

    @property
    def days(self) -> int:
        """How many night dates it has."""
        return (self.end_date - self.start_date).days + 1

    def before(self, count: int = 1) -> Period:
        """The period of the same kind that lies so many earlier."""
        if self.kind == "week":
            return week_of(self.start_date - timedelta(weeks=count))
        first = pendulum.date(self.start_date.year, self.start_date.month, 1)
        return month_of(first.subtract(months=count))


def week_of(day: date) -> Period:
    """The ISO week that holds a date."""
    year, week, weekday = day.isocalendar()
    monday = date.fromordinal(day.toordinal() - weekday + 1)
    key = f"{year}-W{week:02d}"
    return Period(kind="week", key=key, start_date=monday, end_date=monday + timedelta(days=6))


def month_of(day: date) -> Period:
    """The calendar month that holds a date."""
    first = date(day.year, day.month, 1)
    last = first.replace(day=pendulum.date(day.year, day.month, 1).days_in_month)
    return Period(kind="month", key=f"{first:%Y-%m}", start_date=first, end_date=last)


def read_period(key: str) -> Period:
    """The period with a key.

    Raises:
        ValueError: There is none.
    """
    return read_week(key) if "W" in key else month_of(date.fromisoformat(f"{key}-01"))


def read_week(text: str) -> Period:
    """The ISO week `YYYY-Www`.

    Raises:
        ValueError: There is no such week.
    """
    found = _WEEK.fullmatch(text)
    if not found or not 1 < int(found[1]) <= _LAST_YEAR:
        raise ValueError(f"{text!r} is not a week such as 2026-W47.")
    try:
        return week_of(date.fromisocalendar(int(found[1]), int(found[2]), 1))
    except ValueError:
        raise ValueError(f"{text!r} is not a week such as 2026-W47.") from None
