"""One figure over weeks and months, with its spread."""

from __future__ import annotations

import math
from typing import Any, Final

import altair as alt
import polars as pl

from asleep_pipeline.charts.axes import clock, clock_axis, day_axis, day_range, ends, iso
from asleep_pipeline.charts.theme import (
    ACCENT,
    ACCENT_PALE,
    WARM,
    Chart,
    named,
    no_data,
    themed,
)

CLOCK: Final = "clock"
"""The unit of minutes from midnight, which are shown as clock times."""
_BAND: Final = ("low", "high")
_TARGET: Final = "Target"
_FEW: Final = 60
_HALF_HOUR_MIN: Final = 30


def trend(
    rows: pl.DataFrame,
    *,
    label: str,
    unit: str,
    target: float | None = None,
    band: str = "Spread",
    width: int = 720,
    height: int = 240,
) -> Chart:
    """One figure over time; a NULL value breaks the line.

    Args:
        rows: date, value and optionally low and high, the band around it; all in the unit.
        label: What the value is.
        unit: Of the value; `CLOCK` for minutes from midnight, drawn with the evening on top.
        target: Where to draw a line to compare with.
        band: What low and high are.
        width: Pixels, axes included.
        height: Pixels, axes included.
    """
    bounds = _BAND if set(_BAND) <= set(rows.columns) else ()
    frame = (
        rows.drop_nulls("date")
        .select(pl.col("value", *bounds).cast(pl.Float64), date=iso("date"))
        .sort("date")
    )
    if frame["value"].count() == 0:
        return no_data(width=width)
    colours = {label: ACCENT} | ({band: ACCENT_PALE} if bounds else {})
    colours |= {} if target is None else {_TARGET: WARM}
    y = _value_axis(frame, label, unit, target, height)
    titles = {"value": label, "low": f"{band} from", "high": f"{band} to"}
    told = {name: titles[name] for name in ("value", *bounds)}
    base = _told(alt.Chart(frame), told, unit).encode(x=_days(rows["date"], width))
    layers = [named(_line(base, y, frame.height), label, colours)]
    if target is not None:
        layers.insert(0, named(_rule(target, y), _TARGET, colours))
    if bounds:
        layers.insert(0, named(_area(base, y), band, colours))
    return themed(alt.layer(*layers).properties(width=width, height=height))


def _days(dates: pl.Series, length: int) -> alt.X:
    first, last = ends(dates)
    axis = day_axis("Date", first, last, length=length)
    return alt.X("date:O", axis=axis, scale=alt.Scale(domain=day_range(first, last)))


def _value_axis(
    frame: pl.DataFrame, label: str, unit: str, target: float | None, length: int
) -> dict[str, Any]:
    """Settings of the axis, the same for all layers."""
    if unit != CLOCK:
        return {"title": f"{label} ({unit})", "scale": alt.Scale(zero=False)}
    values = [target, *(value for row in frame.drop("date").iter_rows() for value in row)]
    known = [value for value in values if value is not None]
    low = math.floor(min(known) / _HALF_HOUR_MIN) * _HALF_HOUR_MIN
    high = math.ceil(max(known) / _HALF_HOUR_MIN) * _HALF_HOUR_MIN
    axis = clock_axis(f"{label} (local time)", low, high, length=length, label_px=30)
    return {"axis": axis, "scale": alt.Scale(domain=[low, high], reverse=True, nice=False)}


def _area(base: alt.Chart, y: dict[str, Any]) -> alt.Chart:
    area: alt.Chart = base.mark_area().encode(y=alt.Y("low:Q", **y), y2="high:Q")
    return area


def _rule(at: float, y: dict[str, Any]) -> alt.Chart:
    rule = alt.Chart(pl.DataFrame({"target": [at]})).mark_rule(strokeWidth=2, strokeDash=[6, 4])
    placed: alt.Chart = rule.encode(y=alt.Y("target:Q", **y))
    return placed


def _line(base: alt.Chart, y: dict[str, Any], points: int) -> alt.Chart:
    """With points: a value between two breaks has no line."""
    point = alt.OverlayMarkDef(size=36 if points <= _FEW else 10)
    line: alt.Chart = base.mark_line(strokeWidth=2, point=point).encode(y=alt.Y("value:Q", **y))
    return line


def _told(base: alt.Chart, titles: dict[str, str], unit: str) -> alt.Chart:
    """Tooltips with the date and the titled fields."""
    day = alt.Tooltip("date:N", title="Date")
    if unit == CLOCK:
        times = {f"{name}_clock": clock(f"datum.{name}") for name in titles}
        said = [alt.Tooltip(f"{name}_clock:N", title=title) for name, title in titles.items()]
        return base.transform_calculate(**times).encode(tooltip=[day, *said])
    numbers = [
        alt.Tooltip(f"{name}:Q", title=f"{title} ({unit})", format=".2~f")
        for name, title in titles.items()
    ]
    return base.encode(tooltip=[day, *numbers])
