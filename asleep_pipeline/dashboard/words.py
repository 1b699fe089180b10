"""Figures as people read them. What was not measured is a dash, never 0."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

NONE: Final = "\N{EN DASH}"
_DAY_MIN: Final = 24 * 60


def duration(seconds: float | None) -> str:
    """Hours and minutes: 7 h 05 min."""
    if seconds is None:
        return NONE
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def minutes(seconds: float | None) -> str:
    """Seconds as minutes: 14 min."""
    return NONE if seconds is None else f"{round(seconds / 60)} min"


def clock(minutes_from_midnight: float | None) -> str:
    """A time of day: 23:05."""
    if minutes_from_midnight is None:
        return NONE
    hours, rest = divmod(round(minutes_from_midnight) % _DAY_MIN, 60)
    return f"{hours:02d}:{rest:02d}"


def around(mean_min: float | None, deviation_min: float | None) -> str:
    """A time of day with its spread: 23:05 ± 31 min."""
    if mean_min is None or deviation_min is None:
        return clock(mean_min)
    return f"{clock(mean_min)} ± {round(deviation_min)} min"


def percent(fraction: float | None, digits: int = 0) -> str:
    """A fraction: 93 %."""
    return NONE if fraction is None else f"{100 * fraction:.{digits}f} %"


def number(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A number with its unit; thousands apart."""
    return NONE if value is None else f"{value:,.{digits}f} {unit}".strip()


def count(amount: int, one: str, many: str | None = None) -> str:
    """An amount of things: 1 night, 2 nights, 2 people."""
    return f"{amount:,} {one if amount == 1 else many or f'{one}s'}"


def day(on: date | None) -> str:
    """A date: Thu 26 Nov 2026."""
    return NONE if on is None else f"{on:%a} {on.day} {on:%b %Y}"


def moment(at: datetime | None) -> str:
    """A UTC instant: 26 Nov 2026, 09:30 UTC."""
    return NONE if at is None else f"{at.day} {at:%b %Y, %H:%M} UTC"
