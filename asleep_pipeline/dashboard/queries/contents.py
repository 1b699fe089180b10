"""What the published file holds as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb


@dataclass(frozen=True, slots=True)
class Contents:
    """What there is to look at.

    Attributes:
        published_at: When the file was published, UTC.
        organisations: Those with nights, by name.
        people: People with at least one night.
        nights: Nights, those that do not count included.
        first: Night date of the first; None without any.
        last: Night date of the last; None without any.
    """

    published_at: datetime | None
    organisations: tuple[str, ...]
    people: int
    nights: int
    first: date | None
    last: date | None


def contents(con: duckdb.DuckDBPyConnection) -> Contents:
    """Read what there is to look at."""
    (published_at,) = one(con, "SELECT max(published_at) FROM load_info")
    organisations = con.execute("SELECT DISTINCT org_id FROM fct_night ORDER BY 1").fetchall()
    people, nights, first, last = one(
        con,
        "SELECT count(DISTINCT user_id), count(*), min(night_date), max(night_date) FROM fct_night",
    )
    return Contents(
        published_at, tuple(org for (org,) in organisations), people, nights, first, last
    )


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the marts were made with, as far as the pages tell it.

    Attributes:
        short_sleep_s: A night with less sleep is short.
        weights: Weight of each part of the score, a fraction.
    """

    short_sleep_s: int
    weights: dict[str, float]


def parameters(con: duckdb.DuckDBPyConnection) -> Parameters:
    """Read what the marts were made with."""
    short, efficiency, consistency, duration = one(
        con,
        "SELECT short_sleep_s, efficiency_weight, consistency_weight, duration_weight"
        " FROM mart_parameters",
    )
    weights = {"efficiency": efficiency, "consistency": consistency, "duration": duration}
    return Parameters(short, weights)


def one(
    con: duckdb.DuckDBPyConnection, sql: str, values: list[Any] | None = None
) -> tuple[Any, ...]:
    """The first row of an answer that has one."""
    return con.execute(sql, values).fetchall()[0]
