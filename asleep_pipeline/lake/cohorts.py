"""Cohorts: named groups of users, by a condition or by a list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from asleep_pipeline.lake.ducklake import Lake, insert
from asleep_pipeline.lake.tables import COHORT_LISTS, COHORTS


@dataclass(frozen=True, slots=True)
class Cohort:
    """One cohort.

    Attributes:
        name: Its name.
        condition: A condition in SQL on the columns of `dim_user`; None when it is a list.
        user_ids: The list; empty when it is a condition.
    """

    name: str
    condition: str | None = None
    user_ids: tuple[str, ...] = ()


def put_cohort(lake: Lake, cohort: Cohort, *, now: datetime) -> None:
    """Define a cohort, or define it anew."""
    with lake.write(f"cohort {cohort.name}") as con:
        _delete(con, cohort.name)
        about = {"cohort": [cohort.name], "condition": [cohort.condition], "defined_at": [now]}
        insert(con, COHORTS, pl.DataFrame(about, schema=COHORTS.schema))
        users = {"cohort": [cohort.name] * len(cohort.user_ids), "user_id": cohort.user_ids}
        listed = pl.DataFrame(users, schema=COHORT_LISTS.schema)
        insert(con, COHORT_LISTS, lake.without_erased(listed))


def drop_cohort(lake: Lake, name: str) -> None:
    """Forget a cohort; without effect when there is none of the name."""
    with lake.write(f"cohort {name} dropped") as con:
        _delete(con, name)


def read_cohorts(con: duckdb.DuckDBPyConnection) -> list[Cohort]:
    """All cohorts, by name, from a connection that has the lake attached."""
    rows = con.execute(
        """
        SELECT c.cohort, c.condition, list(l.user_id ORDER BY l.user_id) FILTER (l.user_id IS NOT NULL)
        FROM lake.cohorts AS c LEFT JOIN lake.cohort_lists AS l USING (cohort)
        GROUP BY c.cohort, c.condition ORDER BY c.cohort
        """
    ).fetchall()
    return [Cohort(name, condition, tuple(user_ids or ())) for name, condition, user_ids in rows]


def _delete(con: duckdb.DuckDBPyConnection, name: str) -> None:
    for table in (COHORTS, COHORT_LISTS):
        con.execute(f"DELETE FROM lake.{table.name} WHERE cohort = $1", [name])
