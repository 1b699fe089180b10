"""The reports of everybody at once: one Parquet file a period, one row a user or an organisation.

Its columns are the figures of a report (`change_*`: this period minus the one before) and its
insights as a list; nights and trends are in the marts themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.reports.content import explained
from asleep_pipeline.reports.files import put_aside
from asleep_pipeline.reports.period import Period
from asleep_pipeline.reports.rows import Query, organisation_rows, user_rows

_WITH_BASIS: Final = """
COPY (
    SELECT said.*, basis.*
    FROM ({rows}) AS said
    CROSS JOIN (SELECT max(lake_snapshot) AS lake_snapshot, max(published_at) AS published_at FROM load_info) AS basis
    ORDER BY {key}
) TO '{file}' (FORMAT parquet, COMPRESSION zstd)
"""


def write_users(
    con: duckdb.DuckDBPyConnection, period: Period, file: Path, *, user_id: str | None = None
) -> int:
    """Write the rows of everyone on the roster, or of one of them.

    Returns:
        How many there are.

    Raises:
        WarehouseError: The published file has no marts, or the new one cannot be written.
    """
    return _write(con, user_rows(period, user_id), "user_id", file)


def write_organisations(
    con: duckdb.DuckDBPyConnection, period: Period, file: Path, *, org_id: str | None = None
) -> int:
    """Write the rows of all organisations, or of one; suppressed ones without any figure.

    Returns:
        How many there are.

    Raises:
        WarehouseError: The published file has no marts, or the new one cannot be written.
    """
    return _write(con, organisation_rows(period, org_id), "org_id", file)


def _write(con: duckdb.DuckDBPyConnection, query: Query, key: str, file: Path) -> int:
    with explained(), put_aside(file) as aside:
        target = str(aside).replace("'", "''")
        sql = _WITH_BASIS.format(rows=query.sql, key=key, file=target)
        row = con.execute(sql, dict(query.params)).fetchone()
    return int(row[0]) if row else 0
