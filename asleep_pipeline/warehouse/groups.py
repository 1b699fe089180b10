"""Figures of groups as strangers may see them: of one organisation, and of its part of each cohort.

They are those of the marts, by the same SELECT, over the users whom a connection shows. What is told is
told of enough people:

- A figure needs the minimum of users who have it, as in the marts.
- A median or a percentile needs the minimum on either side, so that it is nobody's extreme.
- A share needs the minimum of those of whom it holds, and of those of whom it does not.
- A group that differs from a larger one, or from the whole organisation, by fewer people than the minimum
  is not told: one could be subtracted from the other.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import duckdb
from msgspec import Struct, convert

from asleep_pipeline.lake.columns import Table
from asleep_pipeline.reports.model import OrganisationFigures
from asleep_pipeline.warehouse.marts.build import GROUP_PERIOD, grouped_select
from asleep_pipeline.warehouse.marts.tables import COHORT_WEEK, ORG_MONTH, ORG_WEEK

ORGANISATION: Final = {"week": ORG_WEEK, "month": ORG_MONTH}

LEAST: Final = "(SELECT min_group_size FROM dim_organisation)"
"""The minimum that holds for the organisation of a connection: one row."""

_FIGURES: Final = OrganisationFigures.__struct_fields__
# Of each quantile, the users' figure that it is of, and how many of a hundred lie on its thinner side.
_QUANTILES: Final = {
    "tst_median_s": ("tst_mean_s", 50),
    "tst_p10_s": ("tst_mean_s", 10),
    "tst_p90_s": ("tst_mean_s", 10),
    "sol_median_s": ("sol_mean_s", 50),
    "sol_p90_s": ("sol_mean_s", 10),
    "waso_median_s": ("waso_mean_s", 50),
    "waso_p90_s": ("waso_mean_s", 10),
    "efficiency_median_fraction": ("efficiency_mean_fraction", 50),
    "bed_sd_median_min": ("bed_sd_min", 50),
    "midpoint_sd_median_min": ("midpoint_sd_min", 50),
    "social_jetlag_median_min": ("social_jetlag_min", 50),
    "sri_median": ("sri", 50),
    "score_median": ("score", 50),
    "score_p10": ("score", 10),
    "score_p90": ("score", 10),
}


class GroupPeriod(Struct, frozen=True, kw_only=True):
    """A week or a month of a group.

    Attributes:
        date: The Monday, or the first of the month.
        is_suppressed: Whether the group is too small, or too like another one, to be told of.
        figures: Over the users with at least half of the nights; those of too few are null.
    """

    date: date
    is_suppressed: bool
    figures: OrganisationFigures | None


class CohortSize(Struct, frozen=True, kw_only=True):
    """A cohort, as far as one organisation has a part of it.

    Attributes:
        cohort: Its name.
        is_suppressed: Whether it has too few users to be told of.
        users: How many there are; null when suppressed.
    """

    cohort: str
    is_suppressed: bool
    users: int | None


def organisation_periods(
    con: duckdb.DuckDBPyConnection, period: str, first: date, last: date
) -> list[GroupPeriod]:
    """The weeks or months of an organisation that begin within a range and in which somebody slept.

    Args:
        con: A connection that shows the rows of one organisation.
        period: week or month.
        first: First date.
        last: Last date.
    """
    sql = organisation_select(period, f"{period} BETWEEN $first AND $last")
    return _read(con, sql, {"first": first, "last": last})


def cohort_weeks(
    con: duckdb.DuckDBPyConnection, cohort: str, first: date, last: date
) -> list[GroupPeriod]:
    """The weeks of an organisation's part of a cohort that begin within a range.

    Args:
        con: A connection that shows the rows of one organisation.
        cohort: Its name.
        first: First date.
        last: Last date.
    """
    sql = f"FROM ({cohort_select('week BETWEEN $first AND $last')}) WHERE cohort = $cohort"
    return _read(con, sql, {"cohort": cohort, "first": first, "last": last})


def cohorts(con: duckdb.DuckDBPyConnection, after: str, limit: int) -> list[CohortSize]:
    """The cohorts of which a connection shows somebody, by name, from the one after a name on."""
    rows = con.execute(_COHORTS, [after, limit]).fetchall()
    return [
        CohortSize(cohort=name, is_suppressed=users is None, users=users) for name, users in rows
    ]


def has_cohort(con: duckdb.DuckDBPyConnection, cohort: str) -> bool:
    """Whether a connection shows anybody of a cohort."""
    found = con.execute("SELECT 1 FROM cohort_member WHERE cohort = $1 LIMIT 1", [cohort])
    return found.fetchone() is not None


def organisation_select(period: str, within: str = "true") -> str:
    """A SELECT of all weeks or months that meet a condition: date, is_suppressed and the figures."""
    table = ORGANISATION[period]
    source = _own(period, within)
    return f"WITH {_told(table, source)} SELECT * EXCLUDE (group_key) FROM told ORDER BY date"


def cohort_select(within: str = "true") -> str:
    """A SELECT of the weeks that meet a condition: cohort, date, is_suppressed and the figures."""
    weeks = _own("week", within)
    source = f"cohort_member JOIN {weeks} USING (user_id)"
    figures = ", ".join(
        f"CASE WHEN NOT is_like_another THEN {name} END AS {name}" for name in _FIGURES
    )
    return f"""
    WITH {_told(COHORT_WEEK, source)}, everybody AS (
        {grouped_select(ORG_WEEK, weeks)}
    ),
    {_LIKE_ANOTHER}
    SELECT
        group_key AS cohort, date, is_suppressed OR is_like_another AS is_suppressed, {figures}
    FROM (
        SELECT told.*, like_another.period IS NOT NULL AS is_like_another
        FROM told LEFT JOIN like_another ON told.group_key = like_another.group_key AND date = period
    )
    ORDER BY cohort, date
    """


def _own(period: str, within: str) -> str:
    """Users' weeks or months in the organisation; people may come from another one, with theirs there."""
    return f"(FROM mart_user_{period} SEMI JOIN dim_organisation USING (org_id) WHERE {within})"


def _told(table: Table, source: str) -> str:
    """The common tables up to `told`: group_key, date, is_suppressed and the figures."""
    counted = ", ".join(
        f"count({name}) AS {name}" for name in sorted({base for base, _ in _QUANTILES.values()})
    )
    figures = ", ".join(map(_protected, _FIGURES))
    return f"""
    grouped AS ({grouped_select(table, source)}),
    scope AS (SELECT DISTINCT group_key, period FROM grouped),
    figures AS ({GROUP_PERIOD}),
    counts AS (
        SELECT
            group_key,
            period,
            {counted},
            count(*) FILTER (sleep_24h_mean_s < short_sleep_s) AS short,
            count(*) FILTER (sleep_24h_mean_s >= short_sleep_s) AS not_short
        FROM grouped CROSS JOIN (SELECT short_sleep_s FROM mart_parameters)
        WHERE is_enough
        GROUP BY group_key, period
    ),
    told AS (
        SELECT figures.group_key, figures.period AS date, figures.is_suppressed, {figures}
        FROM figures
        LEFT JOIN counts USING (group_key, period)
        CROSS JOIN {LEAST}
    )
    """


def _protected(name: str) -> str:
    if name == "short_sleeper_fraction":
        enough = "least(short, not_short) >= min_group_size"
    elif name in _QUANTILES:
        base, percent = _QUANTILES[name]
        enough = f"counts.{base} * {percent} // 100 >= min_group_size"
    else:
        return f"figures.{name}"
    return f"CASE WHEN {enough} THEN figures.{name} END AS {name}"


# Of two groups that are alike the smaller one is not told; of two of one size, the later by name.
_LIKE_ANOTHER: Final = f"""
people AS (
    SELECT group_key, period, user_id FROM grouped WHERE is_enough
    UNION ALL
    -- Before all names, as the largest one.
    SELECT NULL, period, user_id FROM everybody WHERE is_enough
),
sizes AS (SELECT group_key, period, count(*) AS users FROM people GROUP BY group_key, period),
shared AS (
    SELECT a.group_key, b.group_key AS other_key, period, count(*) AS users
    FROM people AS a
    JOIN people AS b USING (user_id, period)
    WHERE a.group_key IS DISTINCT FROM b.group_key AND a.group_key IS NOT NULL
    GROUP BY a.group_key, b.group_key, period
),
like_another AS (
    SELECT DISTINCT shared.group_key, shared.period
    FROM shared
    JOIN sizes AS own ON own.group_key = shared.group_key AND own.period = shared.period
    JOIN sizes AS other
        ON other.group_key IS NOT DISTINCT FROM shared.other_key AND other.period = shared.period
    CROSS JOIN {LEAST}
    WHERE greatest(own.users, other.users) - shared.users BETWEEN 1 AND min_group_size - 1
        AND (
            other.users > own.users
            OR other.users = own.users AND other.group_key < own.group_key
        )
)
"""
_COHORTS: Final = f"""
SELECT cohort, CASE WHEN count(*) >= any_value(min_group_size) THEN count(*) END AS users
FROM cohort_member CROSS JOIN {LEAST}
WHERE cohort > $1
GROUP BY cohort
ORDER BY cohort
LIMIT $2
"""


def _read(con: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any]) -> list[GroupPeriod]:
    found = con.execute(sql, values)
    names = [column[0] for column in found.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [
        convert(row | {"figures": None if row["is_suppressed"] else row}, GroupPeriod)
        for row in rows
    ]
