"""Keeping the lake small and quick: fewer and larger files, no snapshot that nobody asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import duckdb

from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.progress import keep_commits
from asleep_pipeline.lake.tables import RAW, TABLES
from asleep_pipeline.lake.vacuum import vacuum_apart

SNAPSHOTS_KEPT: Final = timedelta(days=7)
"""How long an earlier state of the lake can be read."""

FILES_KEPT: Final = timedelta(days=1)
"""How long a file that no snapshot needs stays: a query that is still running may read it."""

_MOSTLY_DELETED: Final = 0.5
_ANYTHING_DELETED: Final = 0.0
_CATALOG: Final = "__ducklake_metadata_lake"
_FORGET_STATISTICS: Final = f"""
    UPDATE {_CATALOG}.ducklake_table_column_stats SET min_value = NULL, max_value = NULL
    WHERE (table_id, column_id) IN (
        SELECT (c.table_id, c.column_id) FROM {_CATALOG}.ducklake_column AS c
        JOIN {_CATALOG}.ducklake_table AS t USING (table_id)
        WHERE t.table_name = $1 AND list_contains($2, c.column_name))
"""


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """What maintenance changed.

    Attributes:
        files_before: Files that the newest snapshot consists of, before.
        files_after: The same afterwards.
        bytes_before: Their size.
        bytes_after: The same afterwards.
        snapshots_expired: Earlier states that cannot be read any more.
        files_deleted: Files that were removed from the disk.
    """

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    snapshots_expired: int
    files_deleted: int


def maintain(lake: Lake, *, now: datetime) -> MaintenanceReport:
    """Compact the lake, forget old snapshots, and delete files that nothing needs.

    No content changes. Readers go on; writers wait.

    Args:
        lake: The lake.
        now: The present, UTC; older than `SNAPSHOTS_KEPT` and `FILES_KEPT` is counted from it.

    Raises:
        LakeError: The lake refused a commit; what was done before it stays done.
    """
    with lake.read() as con:
        files_before, bytes_before = _size(con)
    # As transactions of their own, so that new files are on the disk before the catalog names them.
    with lake.write("rewrite files of which most is deleted") as con:
        for name in TABLES.keys() - {RAW.name}:
            # A rewritten row counts as written by the rewriting snapshot; readers of `raw` rely on
            # the snapshot that each answer came with.
            con.execute(
                "CALL ducklake_rewrite_data_files('lake', $1, delete_threshold => $2)",
                [name, _MOSTLY_DELETED],
            )
    with lake.write("merge small files") as con:
        con.execute("CALL ducklake_merge_adjacent_files('lake')")
    expired, deleted = _clean_up(lake, now)
    with lake.read() as con:
        files_after, bytes_after = _size(con)
    return MaintenanceReport(files_before, files_after, bytes_before, bytes_after, expired, deleted)


def _clean_up(lake: Lake, now: datetime) -> tuple[int, int]:
    with lake.maintain() as con:
        expired = _call(con, "ducklake_expire_snapshots", now - SNAPSHOTS_KEPT)
        deleted = _call(con, "ducklake_cleanup_old_files", now - FILES_KEPT)
        strays = _call(con, "ducklake_delete_orphaned_files", now - FILES_KEPT)
        # Through DuckDB's own SQLite: a second one in this process would break the first one's locks.
        con.execute(f"FROM sqlite_query('{_CATALOG}', 'PRAGMA wal_checkpoint(TRUNCATE)')")
    return expired, deleted + strays


def forget_the_past(lake: Lake, *, now: datetime, clear: Mapping[str, Collection[str]]) -> None:
    """Keep the newest snapshot alone, and no file or statistics of what it does not hold.

    Args:
        lake: The lake.
        now: The present, UTC.
        clear: Columns by table whose smallest and largest values the catalog is to forget.

    Raises:
        LakeError: The lake refused it; calling again goes on with it.
    """
    # A transaction changes rows or rewrites files, not both.
    with lake.write("keep commits") as con:
        keep_commits(con)
    with lake.write("rewrite files of which anything is deleted") as con:
        for name in clear:
            con.execute(
                "CALL ducklake_rewrite_data_files('lake', $1, delete_threshold => $2)",
                [name, _ANYTHING_DELETED],
            )
    with lake.maintain() as con:
        _call(con, "ducklake_expire_snapshots", now)
        _call(con, "ducklake_cleanup_old_files", now)
        _call(con, "ducklake_delete_orphaned_files", now)
        for name, columns in clear.items():
            con.execute(_FORGET_STATISTICS, [name, list(columns)])
        vacuum_apart(lake.catalog_path)


def _call(con: duckdb.DuckDBPyConnection, function: str, older_than: datetime) -> int:
    rows = con.execute(f"CALL {function}('lake', older_than => $1)", [older_than]).fetchall()
    return len(rows)


def _size(con: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    rows = con.execute(
        """
        SELECT sum(file_count + delete_file_count)::BIGINT,
               sum(file_size_bytes + delete_file_size_bytes)::BIGINT
        FROM ducklake_table_info('lake')
        """
    ).fetchall()
    return rows[0]
