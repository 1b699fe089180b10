"""The columns of the Parquet files of reports, described as those of every other table."""

from __future__ import annotations

from typing import Final

from asleep_pipeline.lake.columns import Column, Table
from asleep_pipeline.reports.rows import (
    ORGANISATION_FIGURES,
    USER_FIGURES,
    changed_figures,
)
from asleep_pipeline.warehouse.marts.tables import DIM_USER, ORG_WEEK, USER_WEEK

_PERIOD: Final = (
    Column("period_kind", "VARCHAR", "week or month", required=True),
    Column("period", "VARCHAR", "2026-W47 or 2026-10", required=True),
    Column("start_date", "DATE", "First night date", "local", required=True),
    Column("end_date", "DATE", "Last night date", "local", required=True),
)
_QUALITY: Final = (
    Column("sessions", "BIGINT", "Sessions", "count"),
    Column("good_sessions", "BIGINT", "Sessions of good quality", "count"),
    Column("fair_sessions", "BIGINT", "Sessions of fair quality", "count"),
    Column("poor_sessions", "BIGINT", "Sessions of poor quality", "count"),
    Column("unjudged_sessions", "BIGINT", "Sessions unfinished or without stages", "count"),
    Column("good_fraction", "DOUBLE", "Share of good ones among those judged", "fraction 0-1"),
    Column("fair_fraction", "DOUBLE", "Share of fair ones among those judged", "fraction 0-1"),
    Column("poor_fraction", "DOUBLE", "Share of poor ones among those judged", "fraction 0-1"),
    Column("unknown_mean_fraction", "DOUBLE", "Mean share of unknown epochs", "fraction 0-1"),
)
_BASIS: Final = (
    Column("lake_snapshot", "BIGINT", "Snapshot of the lake it rests on"),
    Column("published_at", "TIMESTAMPTZ", "When the warehouse was published", "UTC instant"),
)


def _of(table: Table, names: tuple[str, ...]) -> tuple[Column, ...]:
    columns = {column.name: column for column in table.columns}
    return tuple(
        Column(name, columns[name].type, columns[name].description, columns[name].unit)
        for name in names
    )


def _changes(table: Table, figures: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(f"change_{c.name}", c.type, f"Change on the period before: {c.description}", c.unit)
        for c in _of(table, tuple(changed_figures(table, figures)))
    )


USER_REPORT: Final = Table(
    "users.parquet",
    "One row a user: the report of a week or month.",
    (
        *_of(DIM_USER, ("user_id", "org_id", "timezone", "free_days", "sleep_need_s", "is_gone")),
        *_PERIOD,
        Column("status", "VARCHAR", "measured or no_nights", required=True),
        Column("nights_possible", "INTEGER", "Night dates of the period", "count", required=True),
        Column("nights_observed", "INTEGER", "Nights that count", "count", required=True),
        *_of(USER_WEEK, USER_FIGURES),
        *_changes(USER_WEEK, USER_FIGURES),
        Column("best_night_date", "DATE", "Most points for its sleep, then efficiency", "local"),
        Column("shortest_night_date", "DATE", "Least sleep in 24 h", "local"),
        *_QUALITY,
        Column(
            "insights",
            "STRUCT(rule VARCHAR, text VARCHAR, evidence MAP(VARCHAR, DOUBLE), night_date DATE)[]",
            "Rules that hold as of the last night, with the figures they rest on",
        ),
        *_BASIS,
    ),
    key=("user_id",),
)

ORGANISATION_REPORT: Final = Table(
    "organisations.parquet",
    "One row an organisation: the report of a week or month. Suppressed ones have no figure.",
    (
        Column("org_id", "VARCHAR", "Organisation", required=True),
        *_PERIOD,
        Column("status", "VARCHAR", "measured, suppressed or no_nights", required=True),
        Column("users_possible", "BIGINT", "People on the roster", "count"),
        Column("nights_possible", "INTEGER", "Night dates of those counted", "count"),
        Column("nights_observed", "INTEGER", "Nights of those counted", "count"),
        *_of(ORG_WEEK, ORGANISATION_FIGURES),
        Column("score_efficiency_mean", "DOUBLE", "Mean of the score's part efficiency", "0-100"),
        Column("score_consistency_mean", "DOUBLE", "Mean of its part consistency", "0-100"),
        Column("score_duration_mean", "DOUBLE", "Mean of its part duration", "0-100"),
        Column("is_suppressed_before", "BOOLEAN", "Whether the period before is suppressed"),
        *_changes(ORG_WEEK, ORGANISATION_FIGURES),
        *_QUALITY,
        Column(
            "insights",
            "STRUCT(rule VARCHAR, users BIGINT, users_fraction DOUBLE)[]",
            "Rules that hold for enough people, and do not for enough others",
        ),
        *_BASIS,
    ),
    key=("org_id",),
)
