"""How good the data are."""

from __future__ import annotations

from typing import Any, Final

import duckdb
import polars as pl

LISTED: Final = 50
"""Sessions that a list shows at most."""


def judge(con: duckdb.DuckDBPyConnection, org_id: str | None) -> None:
    """Read `dq_session`, of one organisation or all, for the functions below.

    It looks at every session, which takes its time; once is enough. The table is the connection's
    own and ends with it.
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE judged AS
        SELECT
            user_id, session_id, state, start_date_local, started_at, quality, unknown_fraction,
            lateness_s, is_stuck, is_quarantined, is_stage_length_wrong, is_consistent,
            out_of_tolerance, night_date,
            date_trunc('week', coalesce(night_date, start_date_local))::DATE AS week
        FROM dq_session
        WHERE $1 IS NULL OR org_id = $1
        """,
        [org_id],
    )


def totals(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """How many sessions there are, and how many of each kind."""
    return (
        con.execute(
            """
            SELECT
                count(*) AS sessions,
                count(*) FILTER (state = 'COMPLETE') AS complete,
                count(*) FILTER (is_stuck) AS stuck,
                count(*) FILTER (is_quarantined) AS quarantined,
                count(*) FILTER (quality = 'good') AS good,
                count(quality) AS judged,
                count(*) FILTER (is_stage_length_wrong) AS stage_length_wrong,
                count(is_consistent) AS compared,
                count(*) FILTER (NOT is_consistent) AS inconsistent
            FROM judged
            """
        )
        .pl()
        .to_dicts()[0]
    )


def quality_by_week(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Shares of the sessions that were judged: week, quality (good, fair or poor), share."""
    return con.execute(
        """
        SELECT week, quality, count(*) / sum(count(*)) OVER (PARTITION BY week) AS share
        FROM judged WHERE quality IS NOT NULL
        GROUP BY week, quality ORDER BY week, quality
        """
    ).pl()


def unknown_by_week(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Mean share of epochs without a known stage, of sessions with stages: week, unknown_fraction."""
    return con.execute(
        """
        SELECT week, avg(unknown_fraction) AS unknown_fraction
        FROM judged GROUP BY week HAVING count(unknown_fraction) > 0 ORDER BY week
        """
    ).pl()


def lateness_by_week(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """From session end to reading its detail: week, median_s, p10_s, p90_s."""
    return con.execute(
        """
        SELECT
            week,
            median(lateness_s) AS median_s,
            quantile_cont(lateness_s, 0.1) AS p10_s,
            quantile_cont(lateness_s, 0.9) AS p90_s
        FROM judged WHERE lateness_s IS NOT NULL
        GROUP BY week ORDER BY week
        """
    ).pl()


def contradicted(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Statistics of the API that its own stages contradict, the most frequent first."""
    return (
        con.execute(
            """
            SELECT statistic, count(*) AS sessions, max(night_date) AS last_night
            FROM (SELECT unnest(out_of_tolerance) AS statistic, night_date FROM judged)
            GROUP BY statistic ORDER BY sessions DESC, statistic
            """
        )
        .pl()
        .to_dicts()
    )


def stuck(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Sessions that should be complete and are not, the oldest first; at most `LISTED`."""
    return (
        con.execute(
            f"""
            SELECT start_date_local, state, user_id, session_id
            FROM judged WHERE is_stuck ORDER BY started_at LIMIT {LISTED}
            """
        )
        .pl()
        .to_dicts()
    )
