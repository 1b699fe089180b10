"""One night: its hypnogram and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import duckdb
import polars as pl

from asleep_pipeline.charts import hypnogram
from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.figures import Figure, fitted
from asleep_pipeline.dashboard.html import Tile, render
from asleep_pipeline.dashboard.queries.people import Span, sessions, stage_runs

Row = Mapping[str, Any]

_STAGES: Final = {"deep_s": "deep", "rem_s": "REM", "light_s": "light"}
_ALL_LEVELS: Final = 4


def night_choices(con: duckdb.DuckDBPyConnection, span: Span) -> dict[str, str]:
    """Session ids by what people read of them, the newest first."""
    return {_choice(row): row["session_id"] for row in sessions(con, span).iter_rows(named=True)}


def night_page(
    con: duckdb.DuckDBPyConnection, span: Span, session_id: str | None, picker: str
) -> str:
    """One session, below what chooses another."""
    if session_id is None:
        return render("night", picker=picker, figure=None, tiles=[])
    row = sessions(con, span).row(by_predicate=pl.col("session_id") == session_id, named=True)
    figure = _hypnogram(row, stage_runs(con, span.user_id, session_id))
    return render("night", picker=picker, figure=figure, tiles=_tiles(row))


def _choice(row: Row) -> str:
    kind = {row["is_nap"]: " (nap)", row["is_split_sleep"]: " (part of a night)"}.get(True, "")
    start = f"{row['started_local']:%H:%M}"
    return f"{words.day(row['night_date'])}, from {start}: {_slept(row)}{kind}"


def _slept(row: Row) -> str:
    return "no sleep" if row["never_slept"] else f"{words.duration(row['tst_s'])} asleep"


def _hypnogram(row: Row, runs: pl.DataFrame) -> Figure:
    start, end = (f"{row[name]:%H:%M}" for name in ("started_local", "ended_local"))
    stages = [
        f"{words.duration(row[name])} {stage}"
        for name, stage in _STAGES.items()
        if row[name] is not None
    ]
    told = ", ".join([_slept(row), *stages, f"awake in between {words.minutes(row['waso_s'])}"])
    clocks = " Clocks changed during this night." if row["utc_offset_changes_at"] else ""
    return Figure(
        f"Hypnogram of {words.day(row['night_date'])} (sleep stage by local time)",
        f"In bed from {start} to {end} ({row['timezone']}): {told}.{clocks}",
        fitted(hypnogram(runs, stage_levels=row["stage_levels"] or _ALL_LEVELS)),
    )


def _tiles(row: Row) -> list[Tile]:
    longest = row["longest_wake_s"]
    unknown = words.percent(row["unknown_fraction"], 1)
    return [
        Tile("Sleep efficiency", words.percent(row["efficiency_fraction"])),
        Tile("Sleep onset latency", words.minutes(row["sol_s"])),
        Tile(
            "Awakenings",
            words.number(row["awakenings"]),
            f"longest {words.minutes(longest)}" if longest else "",
        ),
        Tile("Sleep cycles", words.number(row["cycles"])),
        Tile("Snoring", words.percent(row["snoring_of_spt_fraction"]), "of the sleep period"),
        Tile("Unstable breathing", words.number(row["breathing_index_per_h"], "per h", 1)),
        Tile("Data quality", row["quality"], f"{unknown} of stages unknown"),
        Tile("Asleep's own score", words.number(row["api_sleep_index"])),
    ]
