"""Every row of the access databases that names one user: as a member, as an app's user, by a token."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from asleep_pipeline.errors import AccessError

_BUSY_S: Final = 5


def records(folder: Path, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """The rows by table; what only secrets are made of is left out.

    Raises:
        AccessError: A file cannot be read.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.sqlite")):
        with _open(file) as con:
            con.row_factory = sqlite3.Row
            for table in _tables(con):
                rows = con.execute(f"SELECT * FROM {table} WHERE user_id = ?", [user_id]).fetchall()
                found.setdefault(table, []).extend(map(_readable, rows))
    return {table: rows for table, rows in found.items() if rows}


def forget_records(folder: Path, user_id: str, *, except_for: Sequence[Path]) -> dict[str, int]:
    """Delete the rows, so that no byte of them stays; how many there were by table.

    Raises:
        AccessError: A file cannot be written.
    """
    counts: dict[str, int] = {}
    for file in sorted(set(folder.glob("*.sqlite")) - set(except_for)):
        with _open(file) as con, con:
            con.execute("PRAGMA secure_delete = ON")
            for table in _tables(con):
                deleted = con.execute(f"DELETE FROM {table} WHERE user_id = ?", [user_id]).rowcount
                counts[table] = counts.get(table, 0) + deleted
    return counts


def _tables(con: sqlite3.Connection) -> list[str]:
    rows = con.execute(
        "SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c "
        "WHERE m.type = 'table' AND c.name = 'user_id' ORDER BY m.name"
    ).fetchall()
    return [row[0] for row in rows]


def _readable(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if not isinstance(row[name], bytes)}  # noqa: SIM118 -- a Row iterates over values


@contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(file, timeout=_BUSY_S)) as con:
            yield con
    except sqlite3.Error as error:
        raise AccessError(
            f"{file} cannot be used: {error}.", fix="Check the folder's rights and the free space."
        ) from error
