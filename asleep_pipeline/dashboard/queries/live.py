"""Sessions in progress, of the file that is published within seconds of a webhook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import duckdb
import polars as pl

LISTED: Final = 50
"""Sessions that a list shows at most."""
CHOOSABLE: Final = 1_000
"""Sessions that can be chosen from, at most."""
QUIET: Final = timedelta(minutes=90)
"""Longer than two of the slowest rhythm, 40 minutes: something is missing."""

_EPOCH_S: Final = 30


def organisations(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Those with a session, by name."""
    rows = con.execute("SELECT DISTINCT org_id FROM live_sessions ORDER BY 1").fetchall()
    return [org_id for (org_id,) in rows]


def totals(con: duckdb.DuckDBPyConnection, org_id: str | None, now: datetime) -> dict[str, Any]:
    """How many are in bed, of one organisation or all, and how it is with them."""
    return (
        con.execute(
            """
            SELECT
                count(*) FILTER (in_bed) AS in_bed,
                count(*) FILTER (in_bed AND stage_now <> 'wake') AS asleep,
                count(*) FILTER (in_bed AND stage_now = 'wake') AS awake,
                count(*) FILTER (in_bed AND last_event_at < $2) AS quiet,
                count(*) FILTER (NOT in_bed) AS complete,
                coalesce(sum(epochs) FILTER (in_bed), 0) AS epochs,
                coalesce(sum(missing_epochs) FILTER (in_bed), 0) AS missing_epochs,
                max(last_event_at) AS last_event_at
            FROM (SELECT *, completed_at IS NULL AS in_bed FROM live_sessions)
            WHERE $1 IS NULL OR org_id = $1
            """,
            [org_id, now - QUIET],
        )
        .pl()
        .to_dicts()[0]
    )


def in_bed(
    con: duckdb.DuckDBPyConnection, org_id: str | None, most: int = LISTED
) -> list[dict[str, Any]]:
    """Sessions in progress, the last to begin first; without their series."""
    return (
        con.execute(
            """
            SELECT * EXCLUDE (sleep_stages, breath_stages, snoring_stages) FROM live_sessions
            WHERE completed_at IS NULL AND ($1 IS NULL OR org_id = $1)
            ORDER BY started_at DESC NULLS LAST, user_id, session_id
            LIMIT $2
            """,
            [org_id, most],
        )
        .pl()
        .to_dicts()
    )


def one_session(
    con: duckdb.DuckDBPyConnection, user_id: str, session_id: str
) -> dict[str, Any] | None:
    """A session, in progress or just complete; None when it has gone."""
    rows = con.execute(
        "SELECT * FROM live_sessions WHERE user_id = $1 AND session_id = $2", [user_id, session_id]
    )
    return next(iter(rows.pl().to_dicts()), None)


def stage_runs(session: Mapping[str, Any]) -> pl.DataFrame:
    """Stretches in one stage: started_local and ended_local, both in UTC, stage and is_told.

    What no event has told is unknown, like what the API does not know.
    """
    begin = session["started_at"]
    stages = pl.Series("stage", session["sleep_stages"] or [], pl.Int8)
    runs = (
        pl.DataFrame({"stage": stages})
        .with_row_index("first")
        .group_by(pl.col("stage").rle_id().alias("run"), maintain_order=True)
        .agg(pl.col("stage").first(), pl.col("first").first(), pl.len().alias("epochs"))
    )
    start = pl.lit(begin.replace(tzinfo=None), pl.Datetime("us"))
    at = pl.col("first").cast(pl.Int64)
    return runs.select(
        started_local=start + pl.duration(seconds=_EPOCH_S * at),
        ended_local=start + pl.duration(seconds=_EPOCH_S * (at + pl.col("epochs"))),
        stage=pl.col("stage").replace_strict(_NAMES, default="unknown", return_dtype=pl.String),
        is_told=pl.col("stage").is_not_null(),
    )


_NAMES: Final = {0: "wake", 1: "light", 2: "deep", 3: "rem"}
