"""The one owner of the lake's connection and of its commits.

A write is one DuckLake transaction over all tables. DuckLake does not sync its Parquet files before
the catalog commits, so `Lake.write` does: files first, then their folders, then the commit. Writers
of one machine take turns by a file lock (the operating system frees it when a process dies), because
a SQLite catalog refuses a second writer at commit time; readers take no lock and always see one
snapshot.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import structlog
from filelock import FileLock

from asleep_pipeline.disk import sync, sync_path_to
from asleep_pipeline.errors import ConfigurationError, LakeError
from asleep_pipeline.lake import sealing
from asleep_pipeline.lake.columns import Column, Table
from asleep_pipeline.lake.engine import connect, quoted
from asleep_pipeline.lake.tables import TABLES
from asleep_pipeline.privacy.keys import Keys, keys_of
from asleep_pipeline.privacy.tombstones import Tombstones

log = structlog.get_logger(__name__)

FORMAT_VERSION = 1
_WRITER_WAIT_S = 600
# Folders' time stamps advance with the kernel's tick, so look a little further back.
_CLOCK_SLACK_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake on the local disk: `<root>/catalog.sqlite` and Parquet files below `<root>/data`.

    Use `Lake.create` once and `Lake.open` afterwards; the object itself holds no connection.

    Attributes:
        keys: By which its rows are sealed; None without encryption.
    """

    root: Path
    shards: int = field(compare=False)
    keys: Keys | None = None

    @classmethod
    def create(cls, root: Path, *, shards: int) -> Lake:
        """Make the lake, or open it where it is already made.

        Args:
            root: The lake's folder; made when missing.
            shards: Number of shards, which stays as it is for the life of the lake.

        Raises:
            ConfigurationError: The lake exists with another number of shards.
            LakeError: The lake cannot be made or opened.
        """
        root.mkdir(parents=True, exist_ok=True)
        (root / "data").mkdir(exist_ok=True)
        lake = cls(root, shards)
        if not lake._is_made():
            with lake._writer_lock():
                if not lake._is_made():
                    lake._make()
        return cls.open(root, shards=shards)

    @classmethod
    def open(cls, root: Path, *, shards: int | None = None) -> Lake:
        """Open a lake that exists.

        Args:
            root: The lake's folder.
            shards: The number of shards expected, or None to take the lake's own.

        Raises:
            ConfigurationError: The lake has another number of shards.
            LakeError: There is no lake, or it cannot be read.
        """
        root = root.absolute()
        lake = cls(root, 0, keys_of(root.parent))
        if not lake._is_made():
            raise LakeError(
                f"There is no lake at {root}.",
                fix="Run `asleep-pipeline users import FILE` or `asleep-pipeline demo` first.",
            )
        with lake.read() as con:
            stored, version = _one(con, "SELECT shards, format_version FROM lake_info")
        if version > FORMAT_VERSION:
            raise LakeError(
                f"The lake at {root} has format {version}; this release reads {FORMAT_VERSION}.",
                fix="Upgrade asleep-pipeline.",
            )
        lake._add_what_is_missing()
        lake._check_keys()
        if shards is not None and shards != stored:
            raise ConfigurationError(
                f"The lake at {root} was made with {stored} shards, the settings say {shards}.",
                fix=f"Set ASLEEP_SHARDS={stored}, or use another ASLEEP_DATA_DIR.",
            )
        return cls(root, stored, lake.keys)

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that sees one snapshot of all tables, the newest, until it is closed.

        Raises:
            LakeError: The lake cannot be attached.
        """
        with self._connection() as con:
            con.execute("BEGIN")
            yield con

    @contextmanager
    def read_at(self, snapshot: int) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that sees an earlier snapshot.

        Raises:
            LakeError: The lake cannot be attached, or the snapshot has expired.
        """
        with connect() as con:
            self.attach(con, read_only=True, snapshot=snapshot)
            yield con

    @contextmanager
    def write(self, why: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction over all tables, durable when the block has ended without an error.

        Args:
            why: One line that the snapshot is remembered by.

        Raises:
            LakeError: The lock was not free in time, the disk failed or is full, or the commit was
                refused.
        """
        with self._writer_lock(), self._written(), self._connection() as con:
            started_ns = time.time_ns() - _CLOCK_SLACK_NS
            con.execute("BEGIN")
            yield con
            con.execute("CALL ducklake_set_commit_message('lake', 'asleep-pipeline', ?)", [why])
            _sync_tree(self.data_path, newer_than_ns=started_ns)
            _commit(con)

    @contextmanager
    def maintain(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A writing connection without a transaction, for DuckLake's own maintenance calls."""
        with self._writer_lock(), self._written(), self._connection() as con:
            started_ns = time.time_ns() - _CLOCK_SLACK_NS
            yield con
            _sync_tree(self.data_path, newer_than_ns=started_ns)

    def alone(self) -> AbstractContextManager[object]:
        """Nobody writes to the lake during the block.

        Raises:
            LakeError: The lock was not free in time.
        """
        return self._writer_lock()

    def _written(self) -> AbstractContextManager[None]:
        return self._disk_errors_explained("written", duckdb.IOException, OSError)

    @contextmanager
    def _disk_errors_explained(self, what: str, *kinds: type[Exception]) -> Iterator[None]:
        try:
            yield
        except kinds as error:
            raise LakeError(
                f"The lake at {self.root} cannot be {what}: {_first_line(error)}",
                fix="Check the free space and the folder's rights, then run it again.",
            ) from error

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own to this process's one DuckDB; what it leaves open is undone."""
        con = _attached(self).cursor()
        try:
            if self.keys:
                sealing.switch_on(con)
            # Reading the catalog takes some room beside it, and DuckLake's error has no class.
            with self._disk_errors_explained("read", duckdb.Error):
                con.execute("USE lake")
            con.execute("SET TimeZone = 'UTC'")
            with sealing.explained():
                yield con
        finally:
            con.close()

    @property
    def data_path(self) -> Path:
        """The folder of the Parquet files."""
        return self.root / "data"

    @property
    def catalog_path(self) -> Path:
        """The SQLite file of the catalog."""
        return self.root / "catalog.sqlite"

    def snapshot_id(self) -> int:
        """The newest snapshot."""
        with self.read() as con:
            (snapshot,) = _one(con, "SELECT id FROM ducklake_current_snapshot('lake')")
        return int(snapshot)

    def frame(self, sql: str, params: object = None) -> pl.DataFrame:
        """The answer of one query against the newest snapshot."""
        with self.read() as con:
            return con.execute(sql, params or []).pl()

    def without_erased(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows that may be written: those of users who are not erased.

        To be asked within `write`: an erasure deletes what was written before it in a transaction of
        its own, and whoever writes after it sees the tombstone.

        Args:
            frame: With a column user_id.

        Raises:
            ErasureError: Who was erased cannot be read.
        """
        erased = Tombstones.beside(self.root).among(frame["user_id"].unique())
        return frame.filter(~pl.col("user_id").is_in(list(erased))) if erased else frame

    def _add_what_is_missing(self) -> None:
        """A lake of an earlier release lacks the tables and the columns that came later."""
        with self.read() as con:
            missing = _missing(con)
        if missing:
            with self.write(f"new tables or columns: {', '.join(missing)}") as con:
                # Another process may have made them meanwhile.
                for name, columns in _missing(con).items():
                    if len(columns) == len(TABLES[name].columns):
                        _create_table(con, TABLES[name])
                    else:
                        _add_columns(con, TABLES[name], columns)

    def _check_keys(self) -> None:
        """Refuse to read what is encrypted without its keys; note when encryption begins."""
        with self.read() as con:
            (sealed_by,) = _one(con, "SELECT sealed_by FROM lake_info")
        if sealed_by is None and self.keys:
            with self.write("encryption begins") as con:
                con.execute("UPDATE lake.lake_info SET sealed_by = $1", [self.keys.id])
        elif sealed_by and self.keys is None:
            raise ConfigurationError(
                f"The lake at {self.root} is encrypted.",
                fix="Set encryption_key_file to its file of master keys.",
            )
        elif sealed_by and self.keys and sealed_by != self.keys.id:
            raise LakeError(
                f"The lake at {self.root} is not encrypted by the keys in {self.keys.path}.",
                fix="Restore that file from its backup; another one cannot read the lake.",
            )

    def _is_made(self) -> bool:
        return self.catalog_path.exists()

    def _writer_lock(self) -> FileLock:
        return _PatientLock(self.root / "writer.lock", timeout=_WRITER_WAIT_S)

    def attach(
        self,
        con: duckdb.DuckDBPyConnection,
        *,
        catalog: Path | None = None,
        read_only: bool = False,
        snapshot: int | None = None,
    ) -> None:
        """Attach the lake as `lake` and make it the connection's default database.

        Args:
            con: A connection of `asleep_pipeline.lake.engine.connect`.
            catalog: A catalog file that is still being made.
            read_only: Refuse writes.
            snapshot: The snapshot to see; the newest when None.

        Raises:
            LakeError: It cannot be attached.
        """
        options = [f"DATA_PATH {quoted(self.data_path)}"]
        if catalog is None:
            # The catalog remembers where the data was; the folder may have moved since.
            options.append("OVERRIDE_DATA_PATH true")
            # An empty file would become an empty lake.
            options.append("CREATE_IF_NOT_EXISTS false")
        if read_only:
            options.append("READ_ONLY")
        if snapshot is not None:
            options.append(f"SNAPSHOT_VERSION {int(snapshot)}")
        source = quoted(f"ducklake:sqlite:{catalog or self.catalog_path}")
        try:
            con.execute(f"ATTACH {source} AS lake ({', '.join(options)})")
            con.execute("USE lake")
            if self.keys:
                sealing.equip(con, self.keys)
                sealing.switch_on(con)
        except duckdb.Error as error:
            raise LakeError(
                f"The lake at {self.root} cannot be opened: {_first_line(error)}",
                fix="Check the folder's rights and disk, or run `asleep-pipeline doctor`.",
            ) from error

    def _make(self) -> None:
        """Build the catalog under another name and rename it: a crash leaves no half-made lake."""
        unfinished = self.root / "catalog.unfinished.sqlite"
        for leftover in self.root.glob("catalog.unfinished.sqlite*"):
            leftover.unlink()
        con = connect()
        try:
            self.attach(con, catalog=unfinished)
            con.execute("CALL lake.set_option('parquet_compression', 'zstd')")
            con.execute("CALL lake.set_option('parquet_compression_level', 3)")
            con.execute("CALL lake.set_option('data_inlining_row_limit', 0)")
            con.execute("BEGIN")
            for table in TABLES.values():
                _create_table(con, table)
            _insert_lake_info(con, self.shards)
            _sync_tree(self.data_path, newer_than_ns=0)
            _commit(con)
        finally:
            con.close()
        _use_write_ahead_log(unfinished)
        sync(unfinished)
        unfinished.replace(self.catalog_path)
        sync_path_to(self.root)


@cache
def _attached(lake: Lake) -> duckdb.DuckDBPyConnection:
    """The lake attached once a process: loading the extensions costs a tenth of a second."""
    con = connect()
    lake.attach(con)
    return con


class _PatientLock(FileLock):
    """A file lock whose timeout is one of our errors."""

    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().acquire(*args, **kwargs)
        except TimeoutError as error:
            raise LakeError(
                f"Another process has been writing to the lake for {_WRITER_WAIT_S} s.",
                fix="Wait for it, or end it: see `asleep-pipeline status` for the runs.",
            ) from error


def insert(con: duckdb.DuckDBPyConnection, table: Table, frame: pl.DataFrame) -> None:
    """Append the frame's rows; columns it lacks become NULL.

    Args:
        con: A connection of `Lake.write`.
        table: Where to.
        frame: Columns of the table's polars schema, in any order.
    """
    if frame.is_empty():
        return
    order = [column for column in table.sorted_by if column in frame.columns]
    # What is equal in it stays in the order in which it came.
    rows = frame.sort(order, maintain_order=True) if order else frame
    con.register("incoming", rows.to_arrow())
    sealing.put(con, table, frame.columns, "incoming")
    con.unregister("incoming")


def delete_keys(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    keys: pl.DataFrame,
    *,
    dated: tuple[str, date, date] | None = None,
) -> None:
    """Delete the rows whose values in the columns of `keys` stand in it.

    Args:
        con: In a transaction of the lake.
        table: Of the lake.
        keys: Values by column.
        dated: A column of dates, and the first and last of those rows; only files of these dates
            are opened.
    """
    if keys.is_empty():
        return
    con.register("doomed", keys.unique().to_arrow())
    on = " AND ".join(f"t.{c} IS NOT DISTINCT FROM doomed.{c}" for c in keys.columns)
    near = "t.{} BETWEEN DATE '{}' AND DATE '{}'".format(*dated) if dated else "true"
    con.execute(
        f"DELETE FROM lake.{table.name} AS t "
        f"WHERE {near} AND EXISTS (SELECT 1 FROM doomed WHERE {on})"
    )
    con.unregister("doomed")


def _missing(con: duckdb.DuckDBPyConnection) -> dict[str, list[Column]]:
    """The columns that the lake lacks, by table; all of a table that it lacks as a whole."""
    found = con.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'lake'"
    )
    known = set(found.fetchall())
    missing = {
        name: [column for column in table.columns if (name, column.name) not in known]
        for name, table in TABLES.items()
    }
    return {name: columns for name, columns in missing.items() if columns}


def _create_table(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    required = {c.name for c in table.columns if c.required}
    columns = ", ".join(
        f"{name} {type_}{' NOT NULL' if name in required else ''}"
        for name, type_ in table.stored_columns
    )
    con.execute(f"CREATE TABLE lake.{table.name} ({columns})")
    con.execute(f"COMMENT ON TABLE lake.{table.name} IS {quoted(table.description)}")
    _comment(con, table, table.columns)
    if table.partitioned_by:
        con.execute(f"ALTER TABLE lake.{table.name} SET PARTITIONED BY ({table.partitioned_by})")


def _add_columns(con: duckdb.DuckDBPyConnection, table: Table, columns: Sequence[Column]) -> None:
    """NULL in the rows that are there, which is why a column that comes later is never required."""
    types = dict(table.stored_columns)
    for column in columns:
        con.execute(f"ALTER TABLE lake.{table.name} ADD COLUMN {column.name} {types[column.name]}")
    _comment(con, table, columns)


def _comment(con: duckdb.DuckDBPyConnection, table: Table, columns: Sequence[Column]) -> None:
    for column in columns:
        con.execute(
            f"COMMENT ON COLUMN lake.{table.name}.{column.name} IS {quoted(column.comment)}"
        )


def _insert_lake_info(con: duckdb.DuckDBPyConnection, shards: int) -> None:
    con.execute(
        "INSERT INTO lake.lake_info (format_version, shards, created_at) VALUES (?, ?, ?)",
        [FORMAT_VERSION, shards, datetime.now(UTC)],
    )


def _use_write_ahead_log(catalog: Path) -> None:
    """Readers and the writer of a SQLite file in this mode do not wait for each other."""
    con = sqlite3.connect(catalog)
    try:
        (mode,) = con.execute("PRAGMA journal_mode = WAL").fetchone()
    finally:
        con.close()
    if mode != "wal":
        raise LakeError(
            f"The file system of {catalog.parent} cannot hold a SQLite write-ahead log.",
            fix="Put ASLEEP_DATA_DIR on a local disk.",
        )


def _commit(con: duckdb.DuckDBPyConnection) -> None:
    try:
        con.execute("COMMIT")
    except duckdb.Error as error:
        raise LakeError(
            f"The lake refused a commit: {_first_line(error)}",
            fix="Nothing was written; run it again.",
        ) from error


def _sync_tree(folder: Path, *, newer_than_ns: int) -> None:
    """Force files and folders that changed since to the disk; an old folder holds no new file."""
    is_new = folder.stat().st_mtime_ns >= newer_than_ns
    # A lake may have thousands of files, and every commit asks: without a `Path` for each.
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _sync_tree(Path(entry.path), newer_than_ns=newer_than_ns)
            elif is_new and entry.stat().st_mtime_ns >= newer_than_ns:
                sync(Path(entry.path))
    if is_new:
        sync(folder)


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = con.execute(sql).fetchone()
    if row is None:
        raise LakeError("The lake's catalog is incomplete.", fix="Restore the lake's folder.")
    return row


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
