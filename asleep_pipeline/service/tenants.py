"""The one place where the rows of organisations are kept apart.

A request never sees the published file itself. It gets a connection to a database in memory that has a
view of every table, each of which lets the rows of one organisation through: those of the users who are on
its roster, or, where a table tells of no user, those that bear its name. What tells of several
organisations together has no view. So a query that forgets to ask for the organisation still gets
nothing of another one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.engine import quoted
from asleep_pipeline.sleep import MACROS

_FOR_EVERYONE: Final = frozenset({"tz_rules", "mart_parameters", "load_info"})
_FILE: Final = "published"


class Warehouse:
    """The published file, organisation by organisation; for use by many threads.

    Another file that was published in its place is opened at the next request, while those that
    run go on reading the old one.

    Args:
        path: The published file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opening = threading.Lock()
        self._edition: _Edition | None = None

    @contextmanager
    def of(self, org_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection, in UTC, on which the tables' names stand for one organisation's rows.

        Raises:
            WarehouseError: There is no published file, or it cannot be opened.
        """
        con = self._present().connect(org_id)
        try:
            yield con
        finally:
            con.close()

    @property
    def version(self) -> str:
        """Names the file that is read: as long as it is the same, so are all answers.

        Raises:
            WarehouseError: There is no published file.
        """
        return self._present().version

    def _present(self) -> _Edition:
        version = _version(self._path)
        with self._opening:
            if self._edition is None or self._edition.version != version:
                self._edition = _Edition(self._path, version)
            return self._edition


class _Edition:
    """One published file, open for as long as somebody reads it."""

    def __init__(self, path: Path, version: str) -> None:
        self.version = version
        self._schemas: dict[str, str] = {}
        self._making = threading.Lock()
        # In memory: two connections to a file of the same name would share what was opened first.
        self._con = duckdb.connect(":memory:")
        try:
            self._con.execute("SET TimeZone = 'UTC'")
            self._con.execute(f"ATTACH {quoted(path)} AS {_FILE} (READ_ONLY)")
        except duckdb.Error as error:
            raise WarehouseError(
                f"The warehouse {path} cannot be opened: {str(error).splitlines()[0]}",
                fix="Publish it again: `asleep-pipeline rebuild`.",
            ) from error
        self._con.execute(MACROS)
        self._tables = _tables(self._con)

    def connect(self, org_id: str) -> duckdb.DuckDBPyConnection:
        with self._making:
            schema = self._schemas.get(org_id) or self._make(org_id)
        con = self._con.cursor()
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"SET search_path = 'memory.{schema},memory.main'")
        return con

    def _make(self, org_id: str) -> str:
        schema = f"organisation_{len(self._schemas)}"
        self._con.execute(f"CREATE SCHEMA memory.{schema}")
        for table, columns in self._tables.items():
            if policy := _policy(table, columns, org_id):
                self._con.execute(
                    f"CREATE VIEW memory.{schema}.{table} AS "
                    f"SELECT * FROM {_FILE}.main.{table} WHERE {policy}"
                )
        self._schemas[org_id] = schema
        return schema


def _policy(table: str, columns: frozenset[str], org_id: str) -> str | None:
    """The condition by which an organisation sees rows of a table; None when it sees none."""
    if "user_id" in columns:
        roster = f"SELECT user_id FROM {_FILE}.main.users WHERE org_id = {quoted(org_id)}"
        return f"user_id IN ({roster})"
    if "org_id" in columns:
        return f"org_id = {quoted(org_id)}"
    return "true" if table in _FOR_EVERYONE else None


def _tables(con: duckdb.DuckDBPyConnection) -> dict[str, frozenset[str]]:
    """The columns of every table and view of the file."""
    rows = con.execute(
        "SELECT table_name, list(column_name) FROM duckdb_columns() "
        f"WHERE database_name = '{_FILE}' AND schema_name = 'main' GROUP BY table_name"
    ).fetchall()
    return {name: frozenset(columns) for name, columns in rows}


def _version(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        raise WarehouseError(
            f"There is no warehouse at {path}.",
            fix="Load something first: `asleep-pipeline demo`, `backfill` or `sync`.",
        ) from None
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}"
