"""Commands that read the published file."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, print_json, show_facts, show_rows
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from asleep_pipeline.settings import Settings

ROWS_SHOWN = 50
_LONGEST_CELL = 60
_FIX = "SHOW TABLES and DESCRIBE sessions say what there is."
_LIST = "`asleep-pipeline query --list` shows the questions."


class Answer(StrEnum):
    """How `query` answers."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class ExportFormat(StrEnum):
    """What `export` writes."""

    PARQUET = "parquet"


def query(
    asked: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL|NAME",
            help="A statement in DuckDB's SQL, quoted for the shell, or a question's name.",
        ),
    ] = None,
    *,
    list_questions: Annotated[
        bool, typer.Option("--list", help="Show the questions that have a name.")
    ] = False,
    user: Annotated[str | None, typer.Option(help="A question about this user only.")] = None,
    organisation: Annotated[
        str | None, typer.Option(help="A question about this organisation only.")
    ] = None,
    answer: Annotated[
        Answer, typer.Option("--format", help=f"A table shows {ROWS_SHOWN} rows, the others all.")
    ] = Answer.TABLE,
    as_json: AsJson = False,
) -> None:
    """Ask the published file, and live_sessions where webhooks come; nothing can be changed."""
    as_json = as_json or answer is Answer.JSON
    if list_questions:
        show_rows(_listed(), as_json=as_json, title="Questions")
        return
    is_table = answer is Answer.TABLE and not as_json
    sql, values = _statement(asked or "", user=user, organisation=organisation)
    _note_query(sql, user=user, organisation=organisation)
    columns, rows = ask(sql, values, limit=ROWS_SHOWN + 1 if is_table else -1)
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif answer is Answer.CSV:
        csv.writer(sys.stdout, lineterminator="\n").writerows([columns, *rows])
    else:
        _show_table(columns, rows)


def export(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make, or to make anew.")],
    *,
    to: Annotated[
        ExportFormat, typer.Option("--format", help="What to write.")
    ] = ExportFormat.PARQUET,
    tables: Annotated[
        str | None, typer.Option(help="Such as sessions,fct_epoch (default: all but fct_epoch).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the published tables as a folder of Parquet files that any tool can read."""
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.warehouse.export import EXPORTED, export_parquet

    assert to is ExportFormat.PARQUET
    names = [name.strip() for name in tables.split(",")] if tables else EXPORTED
    settings = load_settings()
    note_deed(settings, "export", "export")
    rows = export_parquet(settings.warehouse_path, folder.absolute(), tables=names)
    show_facts({"folder": folder.absolute()} | rows, as_json=as_json)


def ask(
    sql: str, values: Mapping[str, object] | list[str] | None = None, *, limit: int = -1
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of one query on the published file and on `live_sessions`.

    Args:
        sql: The query.
        values: Its parameters, by name or in order.
        limit: At most so many rows unless negative.

    Raises:
        UsageError: The query cannot be answered.
        WarehouseError: There is no published file, or it cannot be opened.
    """
    import duckdb

    from asleep_pipeline.settings import load_settings

    if not sql.strip(" \n\t;"):
        raise UsageError("The query is empty.", fix=f"{_FIX} {_LIST}")
    with _opened(load_settings()) as con:
        try:
            result = con.execute(sql, values or [])
            rows = result.fetchmany(limit) if limit >= 0 else result.fetchall()
        except duckdb.Error as error:
            # What follows the first line quotes the query and points into it.
            problem = f"The query cannot be answered: {str(error).partition(chr(10))[0]}"
            raise UsageError(problem, fix=_FIX) from error
        return _distinct([column[0] for column in result.description or []]), rows


def _note_query(sql: str, *, user: str | None, organisation: str | None) -> None:
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    # Without a file there is nothing to see, and no folder to make for the log.
    if settings.warehouse_path.exists() or settings.live_path.exists():
        note_deed(settings, "query", "query", org_id=organisation, user_id=user, sql=sql)


@contextmanager
def _opened(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file with the sessions in progress beside it; either, where there is but one."""
    import duckdb

    from asleep_pipeline.warehouse.export import read_warehouse
    from asleep_pipeline.warehouse.files import attach_published

    warehouse, live = settings.warehouse_path, settings.live_path
    if live.exists() and not warehouse.exists():
        warehouse = live
    with read_warehouse(warehouse) as con:
        if live.exists() and warehouse != live:
            try:
                attach_published(con, live, "live")
                con.execute("CREATE TEMP VIEW live_sessions AS FROM live.live_sessions")
            except duckdb.Error as error:
                note(f"{live} cannot be read: {str(error).partition(chr(10))[0]}")
        yield con


def _listed() -> list[dict[str, Any]]:
    from asleep_pipeline.warehouse.questions import questions

    return [{"name": q.name, "question": q.text} for q in questions().values()]


def _statement(
    asked: str, *, user: str | None, organisation: str | None
) -> tuple[str, dict[str, object]]:
    """The SQL that was asked for, by a question's name or as it is, and its parameters."""
    from asleep_pipeline.settings import nearest
    from asleep_pipeline.warehouse.questions import questions

    if question := questions().get(asked):
        values = question.values(user=user, organisation=organisation)
        _check_known(user_id=user, org_id=organisation)
        return question.sql, values
    if re.fullmatch(r"[\w-]+", asked):
        raise UsageError(
            f"There is no question {asked!r}. {nearest(asked, questions())}".rstrip(), fix=_LIST
        )
    if user is not None or organisation is not None:
        raise UsageError("Only a question with a name takes a user or an organisation.", fix=_LIST)
    return asked, {}


def _check_known(**given: str | None) -> None:
    """An id with a slip in it would have no rows, like one without nights."""
    for column, value in given.items():
        if value is None:
            continue
        _, ((known,),) = ask(f"SELECT count(*) FROM dim_user WHERE {column} = $1", [value])
        if not known:
            whom = "user" if column == "user_id" else "organisation"
            raise UsageError(
                f"There is no {whom} {value!r} in the warehouse.",
                fix="`asleep-pipeline users list` shows who is there.",
            )


def _show_table(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    shown = [map(_shortened, row) for row in rows[:ROWS_SHOWN]]
    show_rows([dict(zip(columns, row, strict=True)) for row in shown], as_json=False)
    if len(rows) > ROWS_SHOWN:
        note(f"The first {ROWS_SHOWN} rows; --format csv and --format json give all.")


def _shortened(value: Any) -> Any:
    """A list of stages alone would fill a screen."""
    text = str(value)
    return value if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _distinct(names: list[str]) -> list[str]:
    """Column names of which none hides another: x, x_1, ..."""
    return [
        f"{name}_{names[:at].count(name)}" if name in names[:at] else name
        for at, name in enumerate(names)
    ]
