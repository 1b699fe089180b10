"""One person: nights, rolling figures, score and insights."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import polars as pl


@dataclass(frozen=True, slots=True)
class Span:
    """One person's nights between two night dates, both included."""

    user_id: str
    first: date
    last: date

    @property
    def values(self) -> list[Any]:
        """As the parameters $1 to $3."""
        return [self.user_id, self.first, self.last]


def people(con: duckdb.DuckDBPyConnection, org_id: str | None = None) -> pl.DataFrame:
    """Those with nights, of one organisation or all: user_id, org_id, nights, last_night."""
    return con.execute(
        """
        SELECT user_id, org_id, count(*) AS nights, max(night_date) AS last_night
        FROM fct_night
        WHERE $1 IS NULL OR org_id = $1
        GROUP BY ALL ORDER BY user_id
        """,
        [org_id],
    ).pl()


def about(con: duckdb.DuckDBPyConnection, user_id: str) -> dict[str, Any]:
    """Who somebody is: the row of `dim_user`."""
    return con.execute("SELECT * FROM dim_user WHERE user_id = $1", [user_id]).pl().to_dicts()[0]


def nights(con: duckdb.DuckDBPyConnection, span: Span) -> pl.DataFrame:
    """The rows of `fct_night`, those that do not count as a night included."""
    return con.execute(
        """
        SELECT * FROM fct_night
        WHERE user_id = $1 AND night_date BETWEEN $2 AND $3 ORDER BY night_date
        """,
        span.values,
    ).pl()


def windows(con: duckdb.DuckDBPyConnection, span: Span) -> dict[int, dict[str, Any]]:
    """The rows of `fct_user_day` that end with the last night of the span, by window length."""
    rows = con.execute(
        """
        SELECT * FROM fct_user_day
        WHERE user_id = $1 AND night_date = (
            SELECT max(night_date) FROM fct_user_day
            WHERE user_id = $1 AND night_date BETWEEN $2 AND $3
        )
        ORDER BY window_days
        """,
        span.values,
    ).pl()
    return {row["window_days"]: row for row in rows.to_dicts()}


def insights(
    con: duckdb.DuckDBPyConnection, user_id: str, night_date: date
) -> list[dict[str, Any]]:
    """What is worth telling on a date: rule, text, and evidence by column of `fct_user_day`."""
    rows = con.execute(
        "SELECT rule, text, evidence FROM insight WHERE user_id = $1 AND night_date = $2 ORDER BY 1",
        [user_id, night_date],
    ).fetchall()
    return [{"rule": rule, "text": text, "evidence": evidence} for rule, text, evidence in rows]


def sleep_intervals(con: duckdb.DuckDBPyConnection, span: Span) -> pl.DataFrame:
    """When somebody slept, in days from noon to noon: day, from_min, to_min, kind (asleep or nap).

    A sleep period over noon is two rows. Sessions of poor quality are left out.
    """
    return con.execute(
        """
        WITH spans AS (
            SELECT
                onset_local - INTERVAL 12 HOUR AS onset,
                final_wake_local - INTERVAL 12 HOUR AS wake,
                CASE WHEN is_nap THEN 'nap' ELSE 'asleep' END AS kind
            FROM fct_session
            WHERE user_id = $1 AND night_date BETWEEN $2 AND $3 AND quality <> 'poor'
        ),
        parts AS (
            SELECT
                *,
                unnest(generate_series(
                    date_trunc('day', onset), date_trunc('day', wake), INTERVAL 1 DAY
                )) AS midnight
            FROM spans
        )
        SELECT
            midnight::DATE AS day,
            greatest(epoch(onset - midnight) / 60, 0) AS from_min,
            least(epoch(wake - midnight) / 60, 24 * 60) AS to_min,
            kind
        FROM parts
        WHERE epoch(wake - midnight) > 0
        ORDER BY day, from_min
        """,
        span.values,
    ).pl()


def sessions(con: duckdb.DuckDBPyConnection, span: Span) -> pl.DataFrame:
    """Sessions that have stages, the newest first: the rows of `fct_session`."""
    return con.execute(
        """
        SELECT * FROM fct_session
        WHERE user_id = $1 AND night_date BETWEEN $2 AND $3 AND epochs > 0
        ORDER BY started_at DESC
        """,
        span.values,
    ).pl()


def stage_runs(con: duckdb.DuckDBPyConnection, user_id: str, session_id: str) -> pl.DataFrame:
    """The hypnogram of one session: the rows of `fct_stage_run`."""
    return con.execute(
        "SELECT * FROM fct_stage_run WHERE user_id = $1 AND session_id = $2 ORDER BY run",
        [user_id, session_id],
    ).pl()
