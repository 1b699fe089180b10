"""Organisations and cohorts: figures of groups, never of the few."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import polars as pl

from asleep_pipeline.dashboard.measures import Measure


def weeks(con: duckdb.DuckDBPyConnection, org_id: str) -> pl.DataFrame:
    """The rows of `mart_org_week`; those of too small groups hold nothing but that they are."""
    return con.execute("SELECT * FROM mart_org_week WHERE org_id = $1 ORDER BY week", [org_id]).pl()


def people_of_week(
    con: duckdb.DuckDBPyConnection, org_id: str, measure: Measure, week: date
) -> pl.Series:
    """One value a person with at least half of the week's nights, in the measure's unit.

    Empty where they are too few to be shown.
    """
    rows = con.execute(
        f"""
        SELECT {measure.person} * $1 AS value
        FROM mart_user_week
        WHERE org_id = $2 AND week = $3 AND 2 * nights >= 7 AND {measure.person} IS NOT NULL
        """,
        [measure.factor, org_id, week],
    ).pl()["value"]
    return rows if rows.len() >= least(con, org_id) else rows.clear()


def cohorts(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Cohorts by name: cohort, people, and how many of them have nights."""
    return (
        con.execute(
            """
            SELECT cohort, count(*) AS people, count(n.user_id) AS people_with_nights
            FROM cohort_member AS c
            LEFT JOIN (SELECT DISTINCT user_id FROM fct_night WHERE is_night) AS n USING (user_id)
            GROUP BY cohort ORDER BY cohort
            """
        )
        .pl()
        .to_dicts()
    )


def least(con: duckdb.DuckDBPyConnection, org_id: str) -> int:
    """How many people of an organisation must be together to be shown."""
    sql = """
        SELECT coalesce(max(o.min_group_size), any_value(p.min_group_size))
        FROM mart_parameters AS p LEFT JOIN dim_organisation AS o ON o.org_id = $1
    """
    return int(con.execute(sql, [org_id]).fetchall()[0][0])
