"""The Parquet files say of everybody what the reports say of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from msgspec import structs

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.reports import Period, month_of, organisation_report, user_report
from asleep_pipeline.reports.bulk import write_organisations, write_users
from asleep_pipeline.reports.model import OrganisationReport, Report, UserReport
from asleep_pipeline.reports.tables import ORGANISATION_REPORT, USER_REPORT
from asleep_pipeline_tests.reports.story import ORGANISATIONS, WEEK

PERIODS = [WEEK, WEEK.before(), month_of(WEEK.start_date)]
PEOPLE = sorted(who for people in ORGANISATIONS.values() for who in people)


def flat(report: Report) -> dict[str, Any]:
    """The row that a report should have."""
    period = report.period
    row = structs.asdict(report.subject) | {
        "period_kind": period.kind,
        "period": period.key,
        "start_date": period.start_date,
        "end_date": period.end_date,
        "status": report.status,
        "nights_possible": report.nights_possible,
        "nights_observed": report.nights_observed,
        "lake_snapshot": report.basis.lake_snapshot,
        "published_at": report.basis.published_at,
    }
    row |= structs.asdict(report.figures) if report.figures else {}
    row |= {f"change_{name}": value for name, value in report.comparison.change.items()}
    row |= structs.asdict(report.quality) if report.quality else {}
    return row | (of_user(report) if isinstance(report, UserReport) else of_organisation(report))


def of_user(report: UserReport) -> dict[str, Any]:
    evidence = [list(one.evidence.items()) for one in report.insights]
    return {
        "best_night_date": report.best_night_date,
        "shortest_night_date": report.shortest_night_date,
        "insights": [
            structs.asdict(one) | {"evidence": said}
            for one, said in zip(report.insights, evidence, strict=True)
        ],
    }


def of_organisation(report: OrganisationReport) -> dict[str, Any]:
    parts = report.score.parts if report.score else []
    return {
        "users_possible": report.users_possible,
        "is_suppressed_before": report.comparison.is_suppressed,
        "insights": [structs.asdict(one) for one in report.insights],
    } | {f"score_{part.part}_mean": part.points for part in parts}


def without_maps(row: dict[str, Any]) -> dict[str, Any]:
    """Polars reads a map as a dictionary, or as a list of keys and values."""
    for one in row["insights"]:
        if isinstance(one.get("evidence"), dict):
            one["evidence"] = list(one["evidence"].items())
        elif "evidence" in one:
            one["evidence"] = [(e["key"], e["value"]) for e in one["evidence"]]
    return row


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: period.key)
def test_users_parquet_equals_the_reports(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, period: Period
) -> None:
    """Everyone on the roster, also those without a night."""
    assert write_users(con, period, tmp_path / "users.parquet") == len(PEOPLE)
    rows = pl.read_parquet(tmp_path / "users.parquet").to_dicts()
    assert [row["user_id"] for row in rows] == PEOPLE
    for row in rows:
        expected = flat(user_report(con, row["user_id"], period))
        assert without_maps(row) == dict.fromkeys(row) | expected


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: period.key)
def test_organisations_parquet_equals_the_reports(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, period: Period
) -> None:
    """All organisations, those that are suppressed without any figure."""
    assert write_organisations(con, period, tmp_path / "orgs.parquet") == 3
    for row in pl.read_parquet(tmp_path / "orgs.parquet").to_dicts():
        expected = flat(organisation_report(con, row["org_id"], period))
        assert row == dict.fromkeys(row) | expected


def test_suppressed_rows_hold_nothing(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """But the name, the period, and that it is so."""
    write_organisations(con, WEEK, tmp_path / "tiny.parquet", org_id="tiny")
    (row,) = pl.read_parquet(tmp_path / "tiny.parquet").to_dicts()
    told = {name for name, value in row.items() if value is not None}
    assert told == {
        *("org_id", "period_kind", "period", "start_date", "end_date", "status"),
        *("is_suppressed_before", "insights", "lake_snapshot", "published_at"),
    }
    assert row["insights"] == []


@pytest.mark.parametrize(
    ("write", "table"), [(write_users, USER_REPORT), (write_organisations, ORGANISATION_REPORT)]
)
def test_every_column_is_described(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, write: Any, table: Table
) -> None:
    """Name and type, in their order."""
    write(con, WEEK, tmp_path / "all.parquet")
    described = con.execute(
        "SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet($file))",
        {"file": str(tmp_path / "all.parquet")},
    ).fetchall()
    types = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    found = [(name, types.get(kind, kind.replace('"', ""))) for name, kind in described]
    assert found == [(column.name, column.type) for column in table.columns]
    assert all(column.description for column in table.columns)


def test_a_place_that_cannot_be_written_is_named(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Before anything is computed."""
    with pytest.raises(WarehouseError, match="cannot be written: No such file"):
        write_users(con, WEEK, tmp_path / "missing" / "users.parquet")
