"""Reading a report from the published file.

Everything here takes a read-only connection, as `warehouse.export.read_warehouse` gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

import duckdb
import msgspec

from asleep_pipeline.errors import UsageError, WarehouseError
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.reports.model import (
    Basis,
    Hypnogram,
    Night,
    OrganisationReport,
    OrganisationTrendPoint,
    Parameters,
    Sleep,
    StageRun,
    UserReport,
    UserTrendPoint,
)
from asleep_pipeline.reports.period import Period, week_of
from asleep_pipeline.reports.rows import (
    ORGANISATION_FIGURES,
    ORGANISATION_MARTS,
    USER_FIGURES,
    USER_MARTS,
    Query,
    organisation_rows,
    user_rows,
)

TREND_PERIODS: Final = {"week": 26, "month": 6}
"""Half a year."""

_PARTS: Final = ("efficiency", "consistency", "duration")
_Point = TypeVar("_Point", UserTrendPoint, OrganisationTrendPoint)
_Row = dict[str, Any]


def user_report(con: duckdb.DuckDBPyConnection, user_id: str, period: Period) -> UserReport:
    """What a period says of one user; also when it has no night.

    Raises:
        UsageError: There is no such user.
        WarehouseError: The file has no marts.
    """
    with explained():
        row = _one(con, user_rows(period, user_id), f"user {user_id!r}")
        basis = read_basis(con, row["org_id"])
        nights = _read_list(con, Night, _NIGHTS, _within(period, user_id))
        shown = dict.fromkeys([row["best_night_date"], row["shortest_night_date"]])
        said = row | {
            "subject": row,
            "period": period,
            "figures": row if row["nights"] is not None else None,
            "score": _score(row, basis.parameters, "score", "score_{}"),
            "comparison": _user_comparison(con, user_id, period, row),
            "quality": row,
            "nights": nights,
            "sleeps": _read_list(con, Sleep, _SLEEPS, _within(period, user_id)),
            "hypnograms": [
                _hypnogram(con, user_id, night) for night in nights if night.night_date in shown
            ],
            "trend": _trend(con, UserTrendPoint, USER_MARTS[period.kind], user_id, period),
            "basis": basis,
        }
    return msgspec.convert(said, UserReport)


def organisation_report(
    con: duckdb.DuckDBPyConnection, org_id: str, period: Period
) -> OrganisationReport:
    """What a period says of one organisation; nothing of anybody in particular.

    Raises:
        UsageError: There is no such organisation.
        WarehouseError: The file has no marts.
    """
    with explained():
        row = _one(con, organisation_rows(period, org_id), f"organisation {org_id!r}")
        basis = read_basis(con, org_id)
        is_shown, mart = row["status"] == "measured", ORGANISATION_MARTS[period.kind]
        said = row | {
            "subject": row,
            "period": period,
            "figures": row if is_shown else None,
            "score": _score(row, basis.parameters, "score_mean", "score_{}_mean"),
            "comparison": _organisation_comparison(con, org_id, period, row),
            "quality": row if is_shown else None,
            "trend": _trend(con, OrganisationTrendPoint, mart, org_id, period),
            "basis": basis,
        }
    return msgspec.convert(said, OrganisationReport)


def default_week(con: duckdb.DuckDBPyConnection) -> Period:
    """The last whole week that has nights; else the last that has any.

    Raises:
        UsageError: There is no night at all.
        WarehouseError: The file has no marts.
    """
    with explained():
        (found,) = _rows(con, _LAST_WEEKS)
    if found["any"] is None:
        raise UsageError(
            "There is no night in the warehouse yet.", fix="Name a period: --week or --month."
        )
    return week_of(found["whole"] or found["any"])


def read_basis(con: duckdb.DuckDBPyConnection, org_id: str) -> Basis:
    """What everything in the file rests on that tells of an organisation."""
    (info,), (parameters,) = _rows(con, _LOADED), _rows(con, _PARAMETERS, {"org_id": org_id})
    instants = {name: _utc(info[name]) for name in ("snapshot_at", "published_at")}
    given = msgspec.convert(parameters, Parameters)
    return msgspec.convert(info | instants | {"parameters": given}, Basis)


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error of the database into one of ours.

    Raises:
        WarehouseError: The file has no marts, or cannot be read.
    """
    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(
            f"The warehouse cannot be reported on: {str(error).splitlines()[0]}",
            fix="Publish it again: `asleep-pipeline rebuild`.",
        ) from error


_LAST_WEEKS: Final = """
SELECT
    max(week) AS any,
    max(week) FILTER (WHERE week + 6 <= (SELECT max(night_date) FROM fct_night WHERE is_night)) AS whole
FROM mart_user_week
"""
_LOADED: Final = """
SELECT
    max(lake_snapshot) AS lake_snapshot,
    make_timestamp(epoch_us(max(snapshot_at))) AS snapshot_at,
    make_timestamp(epoch_us(max(published_at))) AS published_at,
    max(pipeline_version) AS pipeline_version,
    max(tzdata_version) AS tzdata_version,
    (SELECT max(night_date) FROM fct_night WHERE is_night) AS last_night_date
FROM load_info
"""
_PARAMETERS: Final = """
SELECT p.* REPLACE (
    coalesce(o.free_days, p.free_days) AS free_days,
    coalesce(o.min_group_size, p.min_group_size) AS min_group_size
)
FROM mart_parameters AS p
LEFT JOIN dim_organisation AS o ON o.org_id = $org_id
"""
_NIGHTS: Final = f"""
SELECT {", ".join(Night.__struct_fields__)}
FROM fct_night
WHERE user_id = $user_id AND night_date BETWEEN $start AND $end
ORDER BY night_date
"""
_SLEEPS: Final = """
SELECT
    night_date,
    CASE WHEN is_main_sleep THEN 'night' WHEN is_split_sleep THEN 'part' ELSE 'nap' END AS kind,
    onset_local,
    final_wake_local,
    tst_s
FROM fct_session
WHERE user_id = $user_id AND night_date BETWEEN $start AND $end AND tst_s > 0
ORDER BY started_at
"""
_RUNS: Final = """
SELECT stage, started_local, ended_local, length_s
FROM fct_stage_run
WHERE user_id = $user_id AND session_id = $session_id
ORDER BY run
"""
_NIGHTS_SLEEP: Final = """
SELECT sleep_24h_s FROM fct_night
WHERE user_id = $user_id AND night_date BETWEEN $start AND $end AND is_night
ORDER BY night_date
"""


def _user_comparison(
    con: duckdb.DuckDBPyConnection, user_id: str, period: Period, row: _Row
) -> _Row:
    before = period.before()
    rows = _of_mart(con, USER_MARTS[period.kind], user_id, before, before)
    nights = _rows(con, _NIGHTS_SLEEP, _within(before, user_id))
    return {
        "period": before,
        "figures": rows[0] if rows else None,
        "change": _changes(row, USER_FIGURES),
        "sleep_24h_s": [night["sleep_24h_s"] for night in nights],
    }


def _organisation_comparison(
    con: duckdb.DuckDBPyConnection, org_id: str, period: Period, row: _Row
) -> _Row:
    before = period.before()
    rows = _of_mart(con, ORGANISATION_MARTS[period.kind], org_id, before, before)
    is_suppressed = row["is_suppressed_before"]
    return {
        "period": before,
        "is_suppressed": is_suppressed,
        "figures": rows[0] if rows and not is_suppressed else None,
        "change": _changes(row, ORGANISATION_FIGURES),
    }


def _trend(
    con: duckdb.DuckDBPyConnection, point: type[_Point], mart: Table, subject: str, period: Period
) -> list[_Point]:
    """From the first period with data on, at most half a year; gaps are points without figures."""
    periods = [period.before(back) for back in reversed(range(TREND_PERIODS[period.kind]))]
    found = {row[mart.key[1]]: row for row in _of_mart(con, mart, subject, periods[0], period)}
    first = min(found, default=period.start_date)
    empty = dict.fromkeys(point.__struct_fields__) | {"nights": 0, "is_suppressed": False}
    return [
        msgspec.convert(
            {**empty, **found.get(start, {}), "key": one.key, "start_date": start}, point
        )
        for one in periods
        if (start := one.start_date) >= first
    ]


def _of_mart(
    con: duckdb.DuckDBPyConnection, mart: Table, subject: str, first: Period, last: Period
) -> list[_Row]:
    who, when = mart.key
    return _rows(
        con,
        f"FROM {mart.name} WHERE {who} = $subject AND {when} BETWEEN $first AND $last ORDER BY {when}",
        {"subject": subject, "first": first.start_date, "last": last.start_date},
    )


def _hypnogram(con: duckdb.DuckDBPyConnection, user_id: str, night: Night) -> Hypnogram:
    session = {"user_id": user_id, "session_id": night.main_session_id}
    (levels,) = _rows(
        con,
        "SELECT stage_levels FROM fct_session WHERE user_id = $user_id AND session_id = $session_id",
        session,
    )
    return Hypnogram(
        night_date=night.night_date,
        stage_levels=levels["stage_levels"],
        runs=_read_list(con, StageRun, _RUNS, session),
    )


def _score(row: _Row, parameters: Parameters, score: str, points: str) -> _Row | None:
    """None where there are no figures; with them it can still be without points."""
    if row["status"] != "measured":
        return None
    return {
        "score": row[score],
        "version": parameters.score_version,
        "parts": [
            {
                "part": part,
                "points": row[points.format(part)],
                "weight_fraction": getattr(parameters, f"{part}_weight"),
            }
            for part in _PARTS
        ],
    }


def _changes(row: _Row, figures: Sequence[str]) -> dict[str, float | None]:
    return {name: row[f"change_{name}"] for name in figures if f"change_{name}" in row}


def _one(con: duckdb.DuckDBPyConnection, query: Query, what: str) -> _Row:
    rows = _rows(con, query.sql, query.params)
    if not rows:
        raise UsageError(
            f"There is no {what} in the warehouse.",
            fix="`asleep-pipeline users list` shows who there is.",
        )
    return rows[0]


def _within(period: Period, user_id: str) -> dict[str, str | date]:
    return {"user_id": user_id, "start": period.start_date, "end": period.end_date}


_T = TypeVar("_T")


def _read_list(
    con: duckdb.DuckDBPyConnection, row: type[_T], sql: str, params: Mapping[str, Any]
) -> list[_T]:
    return [msgspec.convert(found, row) for found in _rows(con, sql, params)]


def _rows(
    con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any] | None = None
) -> list[_Row]:
    """Rows by column name. No column is an instant: those would need pytz."""
    found = con.execute(sql, dict(params or {}))
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _utc(instant: datetime | None) -> datetime | None:
    return instant and instant.replace(tzinfo=UTC)
