"""Axes of clock times and of dates.

Dates are ordinals and clock times are minutes: Vega's own times would move to the zone of whoever
looks at the chart, and lose an hour when clocks change there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import altair as alt
import polars as pl

DAY_MIN: Final = 24 * 60
_STEPS_MIN: Final = (1, 5, 15, 30, 60, 120, 180, 240, 360)
_STEPS_DAYS: Final = (1, 2, 7, 14)
_STEPS_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120)
_LABEL_PX: Final = 62
"""Room for a label and its distance to the next."""


def clock(minutes: str) -> str:
    """A Vega expression: HH:MM of a Vega expression for minutes from midnight, also negative."""
    of_day = f"((round({minutes}) % {DAY_MIN}) + {DAY_MIN}) % {DAY_MIN}"
    return f"format(floor({of_day} / 60), '02d') + ':' + format({of_day} % 60, '02d')"


def clock_ticks(low_min: float, high_min: float, *, most: int) -> list[int]:
    """Minutes from the one to the other, in the finest step that gives at most about so many."""
    step = next((s for s in _STEPS_MIN if (high_min - low_min) <= most * s), DAY_MIN)
    first = math.ceil(low_min / step) * step
    return list(range(first, math.floor(high_min) + 1, step))


def clock_axis(
    title: str,
    low_min: float,
    high_min: float,
    *,
    length: int,
    offset_min: int = 0,
    label_px: int = _LABEL_PX,
) -> alt.Axis:
    """An axis of minutes, labelled as clock times.

    Args:
        title: Of the axis.
        low_min: Where it begins.
        high_min: Where it ends.
        length: Its pixels.
        offset_min: From midnight to where the minutes are counted from.
        label_px: Room for a label.
    """
    ticks = clock_ticks(low_min, high_min, most=max(2, length // label_px))
    return alt.Axis(title=title, values=ticks, labelExpr=clock(f"datum.value + {offset_min}"))


def day_ticks(first: date, last: date, *, most: int) -> list[date]:
    """Days, Mondays or first days of months between both, at most about so many."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    for step in _STEPS_DAYS:
        if len(days) <= most * step:
            return [day for day in days if (day.toordinal() - 1) % step == 0] or days[:1]
    months = [day for day in days if day.day == 1]
    step = next((s for s in _STEPS_MONTHS if len(months) <= most * s), _STEPS_MONTHS[-1])
    return [day for day in months if (12 * day.year + day.month - 1) % step == 0] or days[:1]


def day_axis(
    title: str, first: date, last: date, *, length: int, label_px: int = _LABEL_PX
) -> alt.Axis:
    """An axis of ISO dates as ordinals, with as many labels as its pixels have room for."""
    ticks = day_ticks(first, last, most=max(2, length // label_px))
    months_only = len(ticks) > 1 and all(day.day == 1 for day in ticks)
    return _date_axis(title, first, last, [day.isoformat() for day in ticks], months=months_only)


def week_axis(title: str, first: date, last: date, *, length: int) -> alt.Axis:
    """An axis of ISO dates seven days apart as ordinals, with as many labels as fit."""
    weeks = day_range(first, last, step=7)
    every = -(-_LABEL_PX * len(weeks) // length)
    return _date_axis(title, first, last, weeks[::every], months=False)


def day_range(first: date, last: date, *, step: int = 1) -> list[str]:
    """ISO dates from the first to the last: as a domain, those without data stay visible."""
    days = range(0, (last - first).days + 1, step)
    return [(first + timedelta(days=n)).isoformat() for n in days]


def iso(column: str) -> pl.Expr:
    """Dates as ordinals."""
    return pl.col(column).dt.to_string("%Y-%m-%d")


def ends(dates: pl.Series) -> tuple[date, date]:
    """The first and the last date of at least one."""
    first, last = dates.min(), dates.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    return first, last


def _date_axis(
    title: str, first: date, last: date, ticks: Sequence[str], *, months: bool
) -> alt.Axis:
    years = f"{first.year}" if first.year == last.year else f"{first.year}-{last.year}"
    pattern = "%b %Y" if months else "%-d %b"
    return alt.Axis(
        title=title if months else f"{title}, {years}",
        values=list(ticks),
        labelExpr=f"utcFormat(toDate(datum.value), '{pattern}')",
        labelAngle=0,
        zindex=1,  # over the white edges of bars
    )
