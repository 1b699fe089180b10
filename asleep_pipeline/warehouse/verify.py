"""Whether the published file says what the lake says."""

from __future__ import annotations

from pathlib import Path

import duckdb

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.sealing import readable
from asleep_pipeline.lake.tables import TABLES
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.warehouse.publish import PUBLISHED


def differences(lake: Lake, path: Path) -> dict[str, list[int]]:
    """Tables whose rows are not as many as in the lake's snapshot that the file names.

    Returns:
        Rows published and rows in the lake, by table; empty when all agree.

    Raises:
        LakeError: The lake cannot be read.
        WarehouseError: The file cannot be read.
    """
    published, snapshot = _published_rows(path)
    with lake.read_at(snapshot) as con:
        there = {
            name: _count(con, f"lake.{name} WHERE {readable(con, TABLES[name])}")
            for name in published
        }
    return {name: [n, there[name]] for name, n in published.items() if n != there[name]}


def _published_rows(path: Path) -> tuple[dict[str, int], int]:
    try:
        with read_warehouse(path) as con:
            info = con.execute("SELECT lake_snapshot FROM load_info").fetchall()
            rows = {table.name: _count(con, table.name) for table in PUBLISHED}
    except duckdb.Error as error:
        raise WarehouseError(
            f"The warehouse {path} cannot be read: {str(error).splitlines()[0]}",
            fix="Publish it again: `asleep-pipeline sync`.",
        ) from error
    return rows, max(snapshot for (snapshot,) in info)


def _count(con: duckdb.DuckDBPyConnection, rows: str) -> int:
    return int(con.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0])
