"""Taking a person's ids out of files that must stay: the logs and events of runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from asleep_pipeline.privacy.apart import apart, asked
from asleep_pipeline.privacy.scan import findings
from asleep_pipeline.privacy.traces import Traces

_INSTEAD: Final = b"erased"
_BUSY_S: Final = 30


def redact(folder: Path, traces: Traces) -> int:
    """Write something else in the place of traces, in databases and in texts; in how many files.

    Raises:
        ErasureError: A file cannot be read or written.
    """
    return int(apart("redacting", traces, [folder])) if folder.exists() else 0


def redacted(folder: Path, traces: Traces) -> int:
    """`redact` in this process."""
    files = {folder / found.file for found in findings(folder, traces, ())}
    for file in files:
        with file.open("rb") as opened:
            is_database = opened.read(16) == b"SQLite format 3\0"
        if is_database:
            _in_database(file, traces)
        elif not file.name.endswith(("-wal", "-shm", "-journal")):
            file.write_bytes(traces.without(file.read_bytes(), _INSTEAD))
    return len(files)


def _in_database(file: Path, traces: Traces) -> None:
    with closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as con:
        con.text_factory = bytes
        con.execute("BEGIN IMMEDIATE")
        for table in _names(con, "SELECT name FROM sqlite_master WHERE type = 'table'"):
            for column in _names(con, f"SELECT name FROM pragma_table_info('{table}')"):
                _in_column(con, table, column, traces)
        con.execute("COMMIT")
        con.execute("VACUUM")
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _in_column(con: sqlite3.Connection, table: str, column: str, traces: Traces) -> None:
    where = f"typeof(\"{column}\") IN ('text', 'blob')"
    rows = con.execute(f'SELECT rowid, "{column}", typeof("{column}") FROM "{table}" WHERE {where}')
    told = [(row, value, kind) for row, value, kind in rows if traces.are_in(value)]
    for row, value, kind in told:
        new = traces.without(value, _INSTEAD)
        con.execute(
            f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?',
            [new.decode() if kind == b"text" else new, row],
        )


def _names(con: sqlite3.Connection, sql: str) -> Iterator[str]:
    yield from [name.decode() for (name,) in con.execute(sql).fetchall()]


if __name__ == "__main__":
    _traces, (_folder,) = asked()
    print(json.dumps(redacted(_folder, _traces)))  # noqa: T201 -- its answer
