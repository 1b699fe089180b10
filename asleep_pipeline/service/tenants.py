"""The one place where the rows of organisations are kept apart.

A request never sees the published file itself. It gets a connection to a database in memory that has a
view of every table, each of which lets the rows of one organisation through: those of the users who are on
its roster, or, where a table tells of no user, those that bear its name. What tells of several
organisations together has no view. So a query that forgets to ask for the organisation still gets
nothing of another one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.engine import quoted
from asleep_pipeline.sleep import MACROS
from asleep_pipeline.warehouse.files import attach_published, unopened

_PARAMETERS: Final = "mart_parameters"
_FOR_EVERYONE: Final = frozenset({"tz_rules", _PARAMETERS, "load_info"})
_FILE: Final = "published"
_LOOK_EVERY_S: Final = 0.2
# Requests come many at a time: a second thread for each only doubles the CPU time that it takes. Two
# editions are in memory when one takes over from another. Rows of people stay off the disk.
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "memory_limit": "1GiB",
    "temp_directory": "",
}
_MOST_FOUND: Final = 50_000


class Warehouse:
    """The published file, organisation by organisation; for use by many threads.

    Another file that was published in its place is opened at the next request, or aside (`kept_ready`),
    while the requests that run go on reading the old one.

    Args:
        path: The published file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opening = threading.Lock()
        self._edition: _Edition | None = None
        self._is_kept_ready = False

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

    def has_user(self, org_id: str, user_id: str) -> bool:
        """Whether a user is on an organisation's roster; not while nothing is published.

        Raises:
            WarehouseError: The published file cannot be opened.
        """
        return self.is_published and self._present().has_user(org_id, user_id)

    @property
    def is_published(self) -> bool:
        """Whether there is a published file."""
        return self._path.exists()

    @contextmanager
    def kept_ready(self) -> Iterator[None]:
        """Meanwhile files are opened as they appear, so that no request waits for it.

        What is published is then read within a second; `catch_up` makes it at once.
        """
        self.catch_up()
        is_over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=[is_over], name="warehouse")
        self._is_kept_ready = True
        watcher.start()
        try:
            yield
        finally:
            self._is_kept_ready = False
            is_over.set()
            watcher.join()

    def catch_up(self) -> None:
        """From here on every request reads what is published now, or what comes after it."""
        with suppress(WarehouseError):
            self._newest()

    def _present(self) -> _Edition:
        return (self._is_kept_ready and self._edition) or self._newest()

    def _newest(self) -> _Edition:
        try:
            with self._opening:
                version = _version(self._path)
                if self._edition is None or self._edition.version != version:
                    earlier = self._edition.organisations if self._edition else ()
                    self._edition = _Edition(self._path, version, earlier)
                return self._edition
        except WarehouseError:
            self._edition = None
            raise

    def _watch(self, is_over: threading.Event) -> None:
        while not is_over.wait(_LOOK_EVERY_S):
            self.catch_up()


class _Edition:
    """One published file, open for as long as somebody reads it.

    Args:
        path: The file.
        version: Names it.
        organisations: Those that are likely to ask.
    """

    def __init__(self, path: Path, version: str, organisations: Iterable[str]) -> None:
        self.version = version
        self._schemas: dict[str, str] = {}
        self._making = threading.Lock()
        # Who was found; within one edition that stays so.
        self._found: set[tuple[str, str]] = set()
        # In memory: two connections to a file of the same name would share what was opened first.
        self._con = duckdb.connect(":memory:", config=_CONFIG)
        try:
            self._con.execute("SET TimeZone = 'UTC'")
            attach_published(self._con, path, _FILE)
        except duckdb.Error as error:
            raise unopened(path, error) from error
        self._con.execute(MACROS)
        self._tables = _tables(self._con)
        for org_id in organisations:
            self._schema(org_id)

    @property
    def organisations(self) -> tuple[str, ...]:
        """Those that have asked, or were likely to."""
        return tuple(self._schemas)

    def connect(self, org_id: str) -> duckdb.DuckDBPyConnection:
        """A connection for one organisation."""
        schema = self._schemas.get(org_id) or self._schema(org_id)
        con = self._con.cursor()
        con.execute(f"SET TimeZone = 'UTC'; SET search_path = 'memory.{schema},memory.main'")
        return con

    def _schema(self, org_id: str) -> str:
        with self._making:
            if org_id not in self._schemas:
                self._schemas[org_id] = self._make(f"organisation_{len(self._schemas)}", org_id)
            return self._schemas[org_id]

    def has_user(self, org_id: str, user_id: str) -> bool:
        if (org_id, user_id) in self._found:
            return True
        sql = f"SELECT 1 FROM {_FILE}.main.users WHERE org_id = $1 AND user_id = $2"
        with self._con.cursor() as con:
            is_there = con.execute(sql, [org_id, user_id]).fetchone() is not None
        if is_there:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            self._found.add((org_id, user_id))
        return is_there

    def _make(self, schema: str, org_id: str) -> str:
        self._con.execute(f"CREATE SCHEMA memory.{schema}")
        for table, columns in self._tables.items():
            if policy := _policy(table, columns, org_id):
                columns_shown = _own_parameters(org_id) if table == _PARAMETERS else "*"
                self._con.execute(
                    f"CREATE VIEW memory.{schema}.{table} AS "
                    f"SELECT {columns_shown} FROM {_FILE}.main.{table} WHERE {policy}"
                )
        return schema


def _policy(table: str, columns: frozenset[str], org_id: str) -> str | None:
    """The condition by which an organisation sees rows of a table; None when it sees none."""
    if "user_id" in columns:
        roster = f"SELECT user_id FROM {_FILE}.main.users WHERE org_id = {quoted(org_id)}"
        return f"user_id IN ({roster})"
    if "org_id" in columns:
        return f"org_id = {quoted(org_id)}"
    return "true" if table in _FOR_EVERYONE else None


def _own_parameters(org_id: str) -> str:
    """The columns of the parameters, with what an organisation has of its own in its place."""
    own = f"FROM {_FILE}.main.dim_organisation WHERE org_id = {quoted(org_id)}"
    return (
        "* REPLACE ("
        + ", ".join(
            f"coalesce((SELECT {name} {own}), {name}) AS {name}"
            for name in ("free_days", "min_group_size")
        )
        + ")"
    )


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
