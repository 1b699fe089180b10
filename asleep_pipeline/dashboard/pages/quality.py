"""The page of data quality: can the nights be trusted, and do they come in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import duckdb
import polars as pl

from asleep_pipeline.charts import quality_bars, trend
from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.figures import Figure, fitted, sized
from asleep_pipeline.dashboard.html import Table, Tile, render
from asleep_pipeline.dashboard.queries import quality

_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_MANY_HOURS: Final = 72


def quality_page(con: duckdb.DuckDBPyConnection, org_id: str | None) -> str:
    """Quality, unknown stages, lateness, and the sessions that somebody should look at."""
    quality.judge(con, org_id)
    totals = quality.totals(con)
    return render(
        "quality",
        lead=f"{words.count(totals['sessions'], 'session')} of "
        f"{f'organisation {org_id}' if org_id else 'all organisations'}.",
        tiles=_tiles(totals),
        figures=[
            _bars(quality.quality_by_week(con), totals),
            _unknown(quality.unknown_by_week(con)),
            _lateness(quality.lateness_by_week(con)),
        ],
        lists=[_contradicted(con, totals), _stuck(con, totals)],
    )


def _tiles(totals: Mapping[str, int]) -> list[Tile]:
    sessions, judged = totals["sessions"], totals["judged"]
    return [
        Tile("Complete", _share(totals["complete"], sessions), _of(totals["complete"], sessions)),
        Tile("Good quality", _share(totals["good"], judged), _of(totals["good"], judged)),
        Tile(
            "API contradicts itself",
            words.number(totals["inconsistent"]),
            f"of {totals['compared']:,} compared",
        ),
        Tile("Stuck", words.number(totals["stuck"]), "not complete after a day"),
        Tile("Quarantined", words.number(totals["quarantined"]), "broke the contract"),
        Tile(
            "Wrong length of stages",
            words.number(totals["stage_length_wrong"]),
            "do not fit the time in bed",
        ),
    ]


def _share(part: int, whole: int) -> str:
    return words.percent(part / whole, 1) if whole else words.NONE


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


def _bars(rows: pl.DataFrame, totals: Mapping[str, int]) -> Figure:
    said = (
        f"{_share(totals['good'], totals['judged'])} of {words.count(totals['judged'], 'session')} "
        "with stages are of good quality; poor ones count in no figure of sleep."
    )
    charts = sized(lambda width: fitted(quality_bars(rows, width=width, height=240)))
    return Figure("Quality by week (% of sessions)", said, *charts)


def _unknown(rows: pl.DataFrame) -> Figure:
    shown = rows.select(date="week", value=100 * pl.col("unknown_fraction"))
    chart = trend(shown, label="Unknown stages", unit="% of time", height=260)
    return Figure(
        "Time without a known stage (%)", f"By week: {_range(shown, '%')}.", fitted(chart)
    )


def _lateness(rows: pl.DataFrame) -> Figure:
    most = rows["p90_s"].max()
    is_long = isinstance(most, float) and most > _MANY_HOURS * _HOUR_S
    unit, seconds = ("d", _DAY_S) if is_long else ("h", _HOUR_S)
    shown = rows.select(
        date="week",
        value=pl.col("median_s") / seconds,
        low=pl.col("p10_s") / seconds,
        high=pl.col("p90_s") / seconds,
    )
    chart = trend(shown, label="Lateness, median", unit=unit, band="middle 80 %", height=260)
    said = f"Median of a week: {_range(shown, unit)}. What a backfill loads is late by nature."
    return Figure(f"From session end to reading it ({unit})", said, fitted(chart))


def _range(shown: pl.DataFrame, unit: str) -> str:
    low, high = shown["value"].min(), shown["value"].max()
    if not isinstance(low, float) or not isinstance(high, float):
        return "nothing measured"
    return f"{words.number(low, unit, 1)} to {words.number(high, unit, 1)}"


def _contradicted(
    con: duckdb.DuckDBPyConnection, totals: Mapping[str, int]
) -> tuple[str, str, Table]:
    rows = [
        [row["statistic"], f"{row['sessions']:,}", words.day(row["last_night"])]
        for row in quality.contradicted(con)
    ]
    said = (
        "Sessions whose statistics do not follow from their own stages: "
        f"{totals['inconsistent']:,} of {totals['compared']:,} compared."
    )
    table = Table("Statistics out of tolerance", ["Statistic", "Sessions", "Last night"], rows)
    return "Statistics that disagree", said, table


def _stuck(con: duckdb.DuckDBPyConnection, totals: Mapping[str, Any]) -> tuple[str, str, Table]:
    rows = [
        [words.day(row["start_date_local"]), row["state"], row["user_id"], row["session_id"]]
        for row in quality.stuck(con)
    ]
    more = f" The oldest {quality.LISTED} are listed." if totals["stuck"] > len(rows) else ""
    said = f"Sessions that are not complete a day after their start: {totals['stuck']:,}.{more}"
    table = Table("Stuck sessions, the oldest first", ["Start", "State", "Person", "Session"], rows)
    return "Stuck sessions", said, table
