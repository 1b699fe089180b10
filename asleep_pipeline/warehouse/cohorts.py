"""Cohorts in the published file: whom a condition holds, and how two of them compare.

A user counts by one figure over the nights that are looked at, so that those with many nights do
not outweigh the others. Small groups are not shown.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Final

import duckdb

from asleep_pipeline.errors import UsageError
from asleep_pipeline.settings import nearest
from asleep_pipeline.warehouse.effects import Effects, effects
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.warehouse.marts.tables import DIM_USER

DAYS_A_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Metric:
    """What users are compared by.

    Attributes:
        figure: Aggregate in SQL over a user's nights `n` (fct_night) and their weeks `w`
            (mart_user_week), between the dates `$first` and `$last`.
        unit: Unit of the figure.
        bin_width: Width of a bar of its histogram, in that unit.
    """

    figure: str
    unit: str
    bin_width: float


# The first date has its pair before the dates that are looked at; half of the others are needed.
_PAIRS = "sum(n.{}) FILTER (WHERE n.night_date > $first)"
_SAME, _VALID = _PAIRS.format("same_state_s"), _PAIRS.format("valid_pair_s")

METRICS: Final = {
    "tst": Metric("avg(n.tst_s) / 60", "min", 30),
    "sleep-24h": Metric("avg(n.sleep_24h_s) / 60", "min", 30),
    "efficiency": Metric("avg(n.efficiency_fraction)", "fraction", 0.02),
    "latency": Metric("avg(n.sol_s) / 60", "min", 5),
    "waso": Metric("avg(n.waso_s) / 60", "min", 10),
    "awakenings": Metric("avg(n.awakenings)", "count", 2),
    "deep": Metric("avg(n.deep_s / n.tst_s)", "fraction", 0.02),
    "rem": Metric("avg(n.rem_s / n.tst_s)", "fraction", 0.02),
    "snoring": Metric("avg(n.snoring_of_spt_fraction)", "fraction", 0.05),
    "midpoint-sd": Metric(
        "clock_sd(avg(clock_sin(n.midpoint_min)), avg(clock_cos(n.midpoint_min)))", "min", 15
    ),
    "sri": Metric(
        f"CASE WHEN {_VALID} >= 43200 * ($last::DATE - $first::DATE) "
        f"THEN sleep_regularity_index({_SAME}, {_VALID}) END",
        "-100 to 100",
        5,
    ),
    "score": Metric("avg(w.score)", "points", 5),
}
"""What users can be compared by, by name."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One cohort.

    Attributes:
        cohort: Its name.
        users: Users with at least half of the nights, and with a figure.
        mean: Mean of the users' figures; the following are of these too.
        sd: Standard deviation (n - 1); None of one user.
        median: Median.
        p10: 10th percentile.
        p90: 90th percentile.
        histogram: Users by bin, see `Comparison.bin_edges`.
    """

    cohort: str
    users: int
    mean: float
    sd: float | None
    median: float
    p10: float
    p90: float
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two cohorts, or nothing of them when one is too small to be shown.

    Attributes:
        metric: Name of what they are compared by.
        unit: Its unit.
        first_date: First night date that is looked at, a Monday.
        last_date: Last one, a Sunday.
        is_suppressed: Whether a cohort has fewer users than the setting `min_group_size`; all that
            follows is empty then.
        samples: The two cohorts.
        bin_edges: Edges of the bins of both histograms; a bin holds its lower edge.
        effects: The first against the second.
        users_in_both: Users who count in both of them.
    """

    metric: str
    unit: str
    first_date: date
    last_date: date
    is_suppressed: bool
    samples: tuple[Sample, ...] = ()
    bin_edges: tuple[float, ...] = ()
    effects: Effects | None = None
    users_in_both: int | None = None


def compare_cohorts(
    con: duckdb.DuckDBPyConnection,
    first: str,
    second: str,
    *,
    metric: str = "tst",
    weeks: int = 4,
    from_week: date | None = None,
) -> Comparison:
    """Compare two cohorts of the published file.

    Args:
        con: A connection to the file.
        first: Name of a cohort.
        second: Name of another one.
        metric: One of `METRICS`.
        weeks: Number of weeks, from Monday to Sunday.
        from_week: A date in the first of them; when None, the last of them is the newest whole one.

    Raises:
        UsageError: A cohort or the metric is not known, or there are no nights.
    """
    chosen = _metric(metric)
    _check_cohorts(con, first, second)
    start, end = _dates(con, weeks, from_week)
    figures = _figures(con, chosen, (first, second), start, end)
    values = [list(of_users.values()) for of_users in figures]
    if min(map(len, values)) < min_group_size(con, (first, second)):
        return Comparison(metric, chosen.unit, start, end, is_suppressed=True)
    edges = _bin_edges([*values[0], *values[1]], chosen.bin_width)
    return Comparison(
        metric,
        chosen.unit,
        start,
        end,
        is_suppressed=False,
        samples=(_sample(first, values[0], edges), _sample(second, values[1], edges)),
        bin_edges=edges,
        effects=effects(*values),
        users_in_both=len(figures[0].keys() & figures[1].keys()),
    )


def min_group_size(con: duckdb.DuckDBPyConnection, cohorts: Sequence[str]) -> int:
    """How many users cohorts must have to be shown: as the strictest of their organisations asks."""
    sql = """
        SELECT coalesce(max(o.min_group_size), any_value(p.min_group_size))
        FROM mart_parameters AS p
        LEFT JOIN cohort_member AS m ON list_contains($1, m.cohort)
        LEFT JOIN dim_user AS u USING (user_id)
        LEFT JOIN dim_organisation AS o USING (org_id)
    """
    ((size,),) = con.execute(sql, [list(cohorts)]).fetchall()
    return int(size)


def count_users(warehouse: Path, condition: str) -> int:
    """How many users a cohort's condition holds today.

    Args:
        warehouse: The published file.
        condition: One expression in SQL on the columns of `dim_user`, and on nothing else.

    Raises:
        UsageError: It is none.
        WarehouseError: The file cannot be read.
    """
    users = f"SELECT user_id FROM dim_user WHERE ({condition})"
    with read_warehouse(warehouse) as published, duckdb.connect() as con:
        try:
            # Both: what closes the bracket is no end of the first, what needs one of the second.
            if len(duckdb.extract_statements(f"SELECT {condition}")) != 1:
                raise UsageError("A condition is one expression.", fix="Leave out the semicolon.")
            # Other tables change after the cohorts are evaluated, and files may not be there.
            con.register("dim_user", published.sql("FROM dim_user").pl())
            con.execute("SET enable_external_access = false")
            return len(con.execute(users).fetchall())
        except duckdb.Error as error:
            raise UsageError(
                f"The condition cannot be evaluated: {str(error).splitlines()[0]}",
                fix=f"It is on the columns of dim_user: {', '.join(DIM_USER.column_names)}.",
            ) from error


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise UsageError(
            f"Cohorts cannot be compared by {name!r}. {nearest(name, METRICS)}".rstrip(),
            fix=f"There are: {', '.join(METRICS)}.",
        )
    return METRICS[name]


def _check_cohorts(con: duckdb.DuckDBPyConnection, first: str, second: str) -> None:
    known = [
        name for (name,) in con.execute("SELECT DISTINCT cohort FROM cohort_member").fetchall()
    ]
    for name in (first, second):
        if name not in known:
            raise UsageError(
                f"There is no cohort {name!r} with a user. {nearest(name, known)}".rstrip(),
                fix="`asleep-pipeline cohort list` shows those there are.",
            )
    if first == second:
        raise UsageError("A cohort cannot be compared with itself.", fix="Name two of them.")


def _dates(con: duckdb.DuckDBPyConnection, weeks: int, from_week: date | None) -> tuple[date, date]:
    """First Monday and last Sunday."""
    length = timedelta(days=DAYS_A_WEEK * weeks)
    if from_week:
        monday = from_week - timedelta(days=from_week.weekday())
    else:
        ((newest,),) = con.execute("SELECT max(night_date) FROM fct_night").fetchall()
        if newest is None:
            raise UsageError(
                "There is no night to compare.", fix="`asleep-pipeline sync` loads some."
            )
        monday = newest - timedelta(days=newest.isoweekday() % DAYS_A_WEEK - 1) - length
    return monday, monday + length - timedelta(days=1)


def _figures(
    con: duckdb.DuckDBPyConnection, metric: Metric, cohorts: Sequence[str], first: date, last: date
) -> list[dict[str, float]]:
    """Of each cohort the users' figures, by user."""
    rows = con.execute(
        f"""
        SELECT m.cohort, m.user_id, {metric.figure} AS figure
        FROM cohort_member AS m
        JOIN fct_night AS n USING (user_id)
        LEFT JOIN mart_user_week AS w
            ON w.user_id = n.user_id AND w.week = date_trunc('week', n.night_date)
        WHERE list_contains($cohorts, m.cohort)
            AND n.is_night
            AND n.night_date BETWEEN $first AND $last
        GROUP BY m.cohort, m.user_id
        HAVING 2 * count(*) > $last::DATE - $first::DATE AND figure IS NOT NULL
        """,
        {"cohorts": list(cohorts), "first": first, "last": last},
    ).fetchall()
    return [{user: figure for name, user, figure in rows if name == cohort} for cohort in cohorts]


def _sample(cohort: str, values: Sequence[float], edges: Sequence[float]) -> Sample:
    ordered = sorted(values)
    return Sample(
        cohort,
        len(values),
        fmean(values),
        stdev(values) if len(values) > 1 else None,
        median(values),
        _quantile(ordered, 0.1),
        _quantile(ordered, 0.9),
        tuple(sum(low <= value < high for value in values) for low, high in pairwise(edges)),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    """As DuckDB's quantile_cont: on a line between the two values beside it."""
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def _bin_edges(values: Sequence[float], width: float) -> tuple[float, ...]:
    """The multiples of the width that enclose all values."""
    low, high = min(values), max(values)
    # One more on either side, since dividing may round; rounded, so that 0.58 is 0.58.
    numbers = range(math.floor(low / width) - 1, math.floor(high / width) + 3)
    edges = [round(number * width, 9) for number in numbers]
    return tuple(edges[bisect_right(edges, low) - 1 : bisect_right(edges, high) + 1])
