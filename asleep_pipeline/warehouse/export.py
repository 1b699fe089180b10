"""Exporting: the published file as a folder of Parquet files that any tool can read.

```
OUT/users.parquet   OUT/fct_night.parquet   OUT/mart_org_week.parquet   OUT/load_info.parquet   ...
OUT/sessions/2026-10.parquet   OUT/sessions/2026-11.parquet   ...
```

A large table is a folder with one file a month of the sessions' start date in UTC. There are no
`key=value` folders: they would add columns that the table does not have.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.errors import UsageError, WarehouseError
from asleep_pipeline.warehouse.files import opened, unopened
from asleep_pipeline.warehouse.marts.tables import MARTS, PARAMETERS
from asleep_pipeline.warehouse.publish import LOAD_INFO, PUBLISHED
from asleep_pipeline.warehouse.views.tables import FCT_EPOCH

EXPORTED: Final = tuple(table.name for table in (*PUBLISHED, *MARTS, PARAMETERS))
"""The tables that are exported unless others are named."""

EXPORTABLE: Final = (*EXPORTED, FCT_EPOCH.name)

_BY_MONTH: Final = {
    "sessions": "SELECT {columns} FROM sessions WHERE {month} ORDER BY user_id, started_at",
    FCT_EPOCH.name: """
        SELECT {columns} FROM fct_epoch
        SEMI JOIN (SELECT user_id, session_id FROM sessions WHERE {month})
            USING (user_id, session_id)
        ORDER BY user_id, session_id, epoch
    """,
}


def export_parquet(
    warehouse: Path, folder: Path, *, tables: Sequence[str] = EXPORTED
) -> dict[str, int]:
    """Write tables of the published file as Parquet; the folder appears when all is written.

    Args:
        warehouse: The published file.
        folder: Where to; made, or replaced if it is an earlier export.
        tables: Some of `EXPORTABLE`.

    Returns:
        Rows by table.

    Raises:
        UsageError: A table is not known, or the folder holds something else.
        WarehouseError: The file cannot be read, or the folder not be written.
    """
    _check_tables(tables)
    _check_folder(folder)
    aside = folder.with_name(f"{folder.name}.unfinished")
    with _explained(warehouse, folder), read_warehouse(warehouse) as con:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        rows = {name: _export(con, name, aside) for name in dict.fromkeys(tables)}
        _copy(con, f"SELECT * FROM {LOAD_INFO.name}", aside / f"{LOAD_INFO.name}.parquet")
        put_in_place(aside, folder)
    return rows


@contextmanager
def read_warehouse(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection, in UTC, to the published file.

    Raises:
        WarehouseError: There is no file, or it cannot be opened.
    """
    if not path.exists():
        raise WarehouseError(
            f"There is no warehouse at {path}.",
            fix="Load something first: `asleep-pipeline demo`, `backfill` or `sync`.",
        )
    try:
        con = opened(path)
    except duckdb.Error as error:
        raise unopened(path, error) from error
    with con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


def _check_tables(tables: Iterable[str]) -> None:
    for name in tables:
        if name not in EXPORTABLE:
            raise UsageError(
                f"There is no table {name!r} to export.",
                fix=f"The tables there are: {', '.join(EXPORTABLE)}.",
            )


def _check_folder(folder: Path) -> None:
    """Refuse a folder with anything in it that an export does not write."""
    if not folder.exists() or (folder.is_dir() and _is_export(folder)):
        return
    raise UsageError(
        f"{str(folder)!r} exists, and is no earlier export.",
        fix="Name a folder that does not exist yet.",
    )


def _is_export(folder: Path) -> bool:
    ours = {f"{name}.parquet" for name in (*EXPORTABLE, LOAD_INFO.name)} | _BY_MONTH.keys()
    files = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    return not files or (
        Path(f"{LOAD_INFO.name}.parquet") in files
        and all(file.parts[0] in ours and file.suffix == ".parquet" for file in files)
    )


def _export(con: duckdb.DuckDBPyConnection, table: str, folder: Path) -> int:
    columns = _columns(table)
    if table not in _BY_MONTH:
        return _copy(con, f"SELECT {columns} FROM {table}", folder / f"{table}.parquet")
    (folder / table).mkdir()
    months = con.execute("SELECT DISTINCT strftime(start_date, '%Y-%m') FROM sessions ORDER BY 1")
    # Without any session, one file without rows still says which columns there are.
    return sum(
        _copy(
            con,
            _BY_MONTH[table].format(
                columns=columns, month=f"strftime(start_date, '%Y-%m') = '{month}'"
            ),
            folder / table / f"{month}.parquet",
        )
        for (month,) in months.fetchall() or [("empty",)]
    )


def _columns(table: str) -> str:
    """JSON as text: as Parquet's own JSON type, polars would read bytes."""
    as_json = [
        c.name for t in PUBLISHED if t.name == table for c in t.published if c.type == "JSON"
    ]
    return f"* REPLACE ({', '.join(f'{n}::VARCHAR AS {n}' for n in as_json)})" if as_json else "*"


def _copy(con: duckdb.DuckDBPyConnection, query: str, file: Path) -> int:
    target = str(file).replace("'", "''")
    row = con.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)").fetchone()
    return int(row[0]) if row else 0


def put_in_place(aside: Path, folder: Path) -> None:
    """Let a folder that was written aside take the place of another, or of none."""
    earlier = folder.with_name(f"{folder.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if folder.exists():
        folder.rename(earlier)
    aside.rename(folder)
    shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def _explained(warehouse: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(
            f"{warehouse} cannot be exported: {_first_line(error)}",
            fix="Check the disk, or publish it again: `asleep-pipeline rebuild`.",
        ) from error
    except OSError as error:
        raise WarehouseError(
            f"{folder} cannot be written: {os.strerror(error.errno or 0)}.",
            fix="Check the folder's rights and the free disk.",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
