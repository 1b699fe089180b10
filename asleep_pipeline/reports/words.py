"""Figures as people read them, by the unit of their column. What was not measured is a dash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from asleep_pipeline.reports.period import Period

DASH: Final = "\N{EN DASH}"
_MINUS: Final = "\N{MINUS SIGN}"
_DAY_MIN: Final = 24 * 60
_HOUR_MIN: Final = 60

Value = float | int | None


def shown(value: Value, unit: str) -> str:
    """A figure with its unit; a dash for none."""
    return DASH if value is None else _absolute(value, unit)


def changed(value: Value, unit: str) -> str:
    """A difference with its sign and unit (pp: percentage points); a dash for none."""
    if value is None:
        return DASH
    amount, nothing = (_amount(size, unit) for size in (abs(value), 0))
    sign = "±" if amount == nothing else _MINUS if value < 0 else "+"
    return f"{sign}{amount.replace(' %', ' pp')}"


def duration(seconds: float) -> str:
    """7 h 05 min, or 25 min."""
    hours, minutes = divmod(round(seconds / 60), _HOUR_MIN)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def compact(seconds: float | None) -> str:
    """7 h 05, or 25 min."""
    text = DASH if seconds is None else duration(seconds)
    return text.removesuffix(" min") if " h " in text else text


def clock(minutes: float) -> str:
    """Minutes from midnight as 23:05."""
    hours, rest = divmod(round(minutes) % _DAY_MIN, _HOUR_MIN)
    return f"{hours:02d}:{rest:02d}"


def percent(fraction: float) -> str:
    """83.1 %."""
    return f"{100 * fraction:.1f} %"


def day(of: date | None) -> str:
    """16 November 2026."""
    return DASH if of is None else f"{of.day} {of:%B %Y}"


def weekday(of: date) -> str:
    """Mon 16 Nov."""
    return f"{of:%a} {of.day} {of:%b}"


def moment(instant: datetime | None) -> str:
    """25 November 2026, 08:23 UTC."""
    return DASH if instant is None else f"{day(instant.date())}, {instant:%H:%M} UTC"


def title(period: Period) -> str:
    """Week 47 of 2026, or October 2026."""
    year, week, _ = period.start_date.isocalendar()
    return f"Week {week} of {year}" if period.kind == "week" else f"{period.start_date:%B %Y}"


def dates(period: Period) -> str:
    """16 to 22 November 2026, with no more than it takes."""
    first, last = period.start_date, period.end_date
    of_year = "" if first.year == last.year else f" {first.year}"
    of_month = "" if (first.year, first.month) == (last.year, last.month) else f" {first:%B}"
    return f"{first.day}{of_month}{of_year} to {day(last)}"


def counted(number: int, one: str) -> str:
    """1 nap, 2 naps."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def listed(names: Sequence[str]) -> str:
    """Saturday and Sunday."""
    *others, last = names or ["none"]
    return f"{', '.join(others)} and {last}" if others else last


def weekdays(numbers: Sequence[int]) -> str:
    """ISO weekdays by name."""
    return listed([f"{date(2024, 1, number):%A}" for number in numbers])


def _absolute(value: float, unit: str) -> str:
    if unit.startswith("min from"):
        return clock(value)
    return f"{_MINUS if value < 0 else ''}{_amount(abs(value), unit)}"


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value)
    if unit.startswith("min"):
        return duration(60 * value)
    if unit.startswith("fraction"):
        return percent(value)
    if unit == "1/h":
        return f"{value:.1f} an hour"
    return f"{value:.0f}" if unit == "count" and value == round(value) else f"{value:.1f}"
