"""Night by night: stages, times, regularity and length."""

from __future__ import annotations

from typing import Final

import duckdb
import polars as pl

from asleep_pipeline.charts import bed_to_wake, calendar, raster, stage_stack
from asleep_pipeline.charts.axes import ends
from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.figures import Figure, fitted, sized
from asleep_pipeline.dashboard.html import render
from asleep_pipeline.dashboard.queries.people import Span, nights, sleep_intervals

_STAGES: Final = {"deep_s": "deep", "rem_s": "REM", "light_s": "light"}
_RASTER_PX: Final = 440
_ROW_PX: Final = (3, 12)
_FEW_WEEKS: Final = 30
_CELLS_PX: Final = (22, 12)


def nights_page(con: duckdb.DuckDBPyConnection, span: Span) -> str:
    """Four charts of all nights of a span."""
    rows = nights(con, span)
    counted = rows.filter("is_night")
    if counted.is_empty():
        return render("nights", figures=None)
    figures = {
        "stack": _stack(counted, left_out=rows.height - counted.height),
        "floating": _floating(counted),
        "raster": _raster(sleep_intervals(con, span)),
        "calendar": _calendar(counted),
    }
    return render("nights", figures=figures)


def _stack(rows: pl.DataFrame, *, left_out: int) -> Figure:
    awake = words.minutes(_middle(rows["waso_s"].mean()))
    total = words.count(rows.height, "night")
    said = f"{total}, {_asleep(rows)} on average, awake in between {awake}."
    if left_out:
        said += f" {words.count(left_out, 'date')} left out: too little sleep, or poor data."
    charts = sized(lambda width: fitted(stage_stack(rows, width=width)))
    return Figure("Sleep stages by night (h)", said, *charts)


def _asleep(rows: pl.DataFrame) -> str:
    """Mean sleep with the shares of its stages, where stages are told apart."""
    mean = f"{words.duration(_middle(rows['tst_s'].mean()))} asleep"
    total = pl.col("tst_s").sum()
    told = rows.drop_nulls("deep_s").select(pl.col(*_STAGES).sum() / total).row(0, named=True)
    shares = [f"{words.percent(told[name])} {stage}" for name, stage in _STAGES.items()]
    return f"{mean} ({', '.join(shares)})" if rows["deep_s"].count() else mean


def _floating(rows: pl.DataFrame) -> Figure:
    bed, rise = (words.clock(_middle(rows[name].median())) for name in ("bed_min", "rise_min"))
    free = words.count(int(rows["is_free_day"].sum()), "night")
    said = f"Half of the nights began before {bed}, half ended before {rise}; {free} on free days."
    charts = sized(lambda width: fitted(bed_to_wake(rows, width=width)))
    return Figure("From bed to wake (local time)", said, *charts)


def _raster(intervals: pl.DataFrame) -> Figure:
    first, last = ends(intervals["day"])
    days, (least, most) = (last - first).days + 1, _ROW_PX
    row = max(least, min(most, _RASTER_PX // days))
    naps = intervals.filter(pl.col("kind") == "nap").height
    said = (
        f"One row a day from noon to noon, midnight dashed; {words.count(naps, 'nap')}. "
        "The more the bars line up, the more regular is sleep."
    )
    # A height in steps would not go together with a width that the page gives.
    chart = raster(intervals, row=row).properties(height=days * row)
    return Figure("Regularity (local time)", said, fitted(chart))


def _calendar(rows: pl.DataFrame) -> Figure:
    frame = rows.select("night_date", value=pl.col("tst_s") / 3600).drop_nulls()
    is_short = frame["night_date"].dt.truncate("1w").n_unique() <= _FEW_WEEKS
    shortest, longest = (_extreme(frame, descending=way) for way in (False, True))
    said = f"Shortest: {shortest}. Longest: {longest}. Pale: no night."
    chart = calendar(frame, cell=_CELLS_PX[0] if is_short else _CELLS_PX[1])
    return Figure("Total sleep time by date (h)", said, chart)


def _extreme(frame: pl.DataFrame, *, descending: bool) -> str:
    row = frame.sort("value", descending=descending).row(0, named=True)
    return f"{words.duration(3600 * row['value'])} on {words.day(row['night_date'])}"


def _middle(value: object) -> float | None:
    """A mean or median, of which polars does not know that it is of numbers."""
    return value if isinstance(value, float) else None
