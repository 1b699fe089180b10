"""`report`: what a week or a month of a user or an organisation says."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, print_json, show_facts
from asleep_pipeline.cli._values import read_month

if TYPE_CHECKING:
    import duckdb

    from asleep_pipeline.reports import Period
    from asleep_pipeline.reports.model import Report

report = typer.Typer(help="A week or a month, told.", no_args_is_help=True)


class ReportFormat(StrEnum):
    """How a report is put down."""

    JSON = "json"
    HTML = "html"
    PARQUET = "parquet"


def _read_monday(text: str) -> date:
    from asleep_pipeline.reports import read_week

    try:
        return read_week(text).start_date
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Week = Annotated[
    date | None,
    typer.Option(
        parser=_read_monday,
        metavar="YYYY-Www",
        help="ISO week (default: the last whole one that has nights).",
    ),
]
Month = Annotated[
    date | None, typer.Option(parser=read_month, metavar="YYYY-MM", help="Calendar month.")
]
Format = Annotated[
    ReportFormat, typer.Option("--format", help="JSON goes to stdout, the others into a file.")
]
Output = Annotated[
    Path | None,
    typer.Option(help="File to write (default: a name in this folder that holds no id)."),
]


@report.command()
def user(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="As issued by Asleep.")],
    *,
    week: Week = None,
    month: Month = None,
    to: Format = ReportFormat.JSON,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Report on one user."""
    from asleep_pipeline.reports import user_report
    from asleep_pipeline.reports.bulk import write_users
    from asleep_pipeline.settings import load_settings

    with _warehouse() as con:
        note_deed(load_settings(), "read", "report user", user_id=user_id)
        period = _period(con, week, month)
        told = user_report(con, user_id, period)
        file = _file(output, f"user-{_hashed(user_id)}", period, to)
        if file and to is ReportFormat.PARQUET:
            write_users(con, period, file, user_id=user_id)
    _answer(told, to, file, as_json=as_json)


@report.command()
def org(
    org_id: Annotated[str, typer.Argument(metavar="ID", help="As the roster names it.")],
    *,
    week: Week = None,
    month: Month = None,
    to: Format = ReportFormat.JSON,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Report on one organisation."""
    from asleep_pipeline.reports import organisation_report
    from asleep_pipeline.reports.bulk import write_organisations

    with _warehouse() as con:
        period = _period(con, week, month)
        told = organisation_report(con, org_id, period)
        file = _file(output, f"org-{_hashed(org_id)}", period, to)
        if file and to is ReportFormat.PARQUET:
            write_organisations(con, period, file, org_id=org_id)
    _answer(told, to, file, as_json=as_json)


def _warehouse() -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.warehouse.export import read_warehouse

    return read_warehouse(load_settings().warehouse_path)


def _period(con: duckdb.DuckDBPyConnection, monday: date | None, month: date | None) -> Period:
    from asleep_pipeline.errors import UsageError
    from asleep_pipeline.reports import default_week, month_of, week_of

    if monday and month:
        raise UsageError("A report is of a week or of a month.", fix="Give --week or --month.")
    if month:
        return month_of(month)
    return week_of(monday) if monday else default_week(con)


def _hashed(identity: str) -> str:
    from asleep_pipeline.reports.files import hashed

    return hashed(identity)


def _file(output: Path | None, subject: str, period: Period, to: ReportFormat) -> Path | None:
    """Where the report goes to; None for stdout."""
    if output is None and to is ReportFormat.JSON:
        return None
    return (output or Path(f"report-{subject}-{period.key}.{to}")).absolute()


def _answer(told: Report, to: ReportFormat, file: Path | None, *, as_json: bool) -> None:
    if file is None:
        print_json(told)
        return
    if to is not ReportFormat.PARQUET:
        _write(told, to, file)
    show_facts({"file": file, "size_bytes": file.stat().st_size}, as_json=as_json)


def _write(told: Report, to: ReportFormat, file: Path) -> None:
    from asleep_pipeline.reports.files import put_aside, report_json

    if to is ReportFormat.JSON:
        content = report_json(told)
    else:
        from asleep_pipeline.reports.page import page

        content = page(told)
    with put_aside(file) as aside:
        aside.write_text(content, encoding="utf-8")
