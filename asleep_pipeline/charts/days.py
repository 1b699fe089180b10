"""Day by day: when somebody is asleep, and one figure of each night in a calendar."""

from __future__ import annotations

from datetime import date
from typing import Final

import altair as alt
import polars as pl

from asleep_pipeline.charts.axes import (
    DAY_MIN,
    clock,
    clock_axis,
    day_axis,
    day_range,
    ends,
    iso,
    week_axis,
)
from asleep_pipeline.charts.theme import (
    FAINT,
    HEAT,
    OUTLINE,
    STAGE_COLOURS,
    Chart,
    keyed,
    no_data,
    themed,
)

_NOON_MIN: Final = DAY_MIN // 2
_KINDS: Final = {"asleep": STAGE_COLOURS["asleep"], "nap": STAGE_COLOURS["wake"]}
_LABELS: Final = {"asleep": "Asleep", "nap": "Nap"}
_ABOVE: Final = {"titleAngle": 0, "titleAlign": "right", "titleX": -8, "titleY": -12}
"""Where a title has room beside few rows."""
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def raster(intervals: pl.DataFrame, *, width: int = 640, row: int = 12) -> Chart:
    """When somebody slept: a row for each day, from noon to noon.

    Args:
        intervals: day (date of the first noon), from_min, to_min (minutes after that noon, 0 to
            1440; sleep over noon is two rows) and kind (asleep or nap).
        width: Pixels, axes not included.
        row: Pixels of one day's height.
    """
    rows = intervals.select("from_min", "to_min", "kind", day=iso("day")).drop_nulls()
    if rows.is_empty():
        return no_data(width=width)
    first, last = ends(intervals["day"])
    axis = clock_axis("Local time, noon to noon", 0, DAY_MIN, length=width, offset_min=_NOON_MIN)
    bars = (
        alt.Chart(rows)
        .transform_calculate(
            From=clock(f"datum.from_min + {_NOON_MIN}"),
            To=clock(f"datum.to_min + {_NOON_MIN}"),
            Kind=f"{_LABELS}[datum.kind]",
        )
        .mark_bar()
        .encode(
            x=alt.X("from_min:Q", axis=axis, scale=alt.Scale(domain=[0, DAY_MIN], nice=False)),
            x2="to_min:Q",
            y=_day_rows(first, last, row),
            color=keyed("kind", _KINDS, _LABELS),
            tooltip=[alt.Tooltip("day:N", title="Day"), "Kind:N", "From:N", "To:N"],
        )
    )
    midnight = alt.Chart(pl.DataFrame({"from_min": [_NOON_MIN]}))
    line = midnight.mark_rule(color=OUTLINE, strokeDash=[3, 3]).encode(x="from_min:Q")
    return themed(alt.layer(line, bars).properties(width=width, height=alt.Step(row)), fit=False)


def calendar(days: pl.DataFrame, *, label: str = "Sleep", unit: str = "h", cell: int = 22) -> Chart:
    """One figure of each night as a heat map: a column for each week, a row for each weekday.

    Args:
        days: night_date and value, in the unit.
        label: What the value is.
        unit: Of the value.
        cell: Pixels of one day's side.
    """
    rows = days.drop_nulls(["night_date", "value"]).select(
        pl.col("value").cast(pl.Float64), date="night_date"
    )
    if rows.is_empty():
        return no_data()
    cells = _cells(rows)
    base = alt.Chart(cells).encode(
        x=_weeks(rows["date"], cell),
        y=alt.Y("weekday:O", title="Weekday", scale=alt.Scale(domain=_WEEKDAYS, paddingInner=0.1)),
        tooltip=[
            alt.Tooltip("night:N", title="Night"),
            "weekday:N",
            alt.Tooltip("value:Q", title=f"{label} ({unit})", format=".1f"),
        ],
    )
    ramp = alt.Scale(range=list(HEAT), nice=True)
    legend = alt.Legend(
        title=f"{label} ({unit})", orient="right", direction="vertical", gradientLength=5 * cell
    )
    known = base.transform_filter("isValid(datum.value)").mark_rect(stroke=OUTLINE, strokeWidth=0.5)
    missing = base.mark_rect(fill=FAINT)
    drawn = alt.layer(missing, known.encode(color=alt.Color("value:Q", scale=ramp, legend=legend)))
    return themed(drawn.properties(width=alt.Step(cell), height=alt.Step(cell)), fit=False)


def _day_rows(first: date, last: date, row: int) -> alt.Y:
    days = day_range(first, last)
    axis = day_axis("Day", first, last, length=len(days) * row, label_px=18)
    for name, value in _ABOVE.items():
        axis[name] = value
    return alt.Y("day:O", axis=axis, scale=alt.Scale(domain=days))


def _cells(rows: pl.DataFrame) -> pl.DataFrame:
    """Every date from the first to the last, with its week, weekday and value or NULL."""
    dates = pl.date_range(pl.col("date").min(), pl.col("date").max())
    weekday = pl.col("date").dt.weekday()
    return (
        rows.select(date=dates)
        .join(rows, on="date", how="left")
        .select(
            "value",
            night=iso("date"),
            week=pl.col("date").dt.truncate("1w").dt.to_string("%Y-%m-%d"),
            weekday=weekday.replace_strict(dict(enumerate(_WEEKDAYS, start=1))),
        )
    )


def _weeks(dates: pl.Series, cell: int) -> alt.X:
    first, last = ends(dates.dt.truncate("1w"))
    weeks = day_range(first, last, step=7)
    axis = week_axis("Week (its Monday)", first, last, length=cell * len(weeks))
    return alt.X("week:O", axis=axis, scale=alt.Scale(domain=weeks, paddingInner=0.1))
