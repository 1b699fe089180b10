"""Publishing: bring a private working file up to date, copy it aside, rename the copy into place.

The file holds the lake's tables and the marts made of them, all of one snapshot.

Readers of the published file never wait and never see half a build: a rename is atomic, and whoever
has the old file open keeps it. The working file takes only what changed in the lake since it was
last brought up to date, so that a small change costs little.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

import duckdb
import structlog
from filelock import FileLock

from asleep_pipeline.disk import discard, sync
from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.cohorts import read_cohorts
from asleep_pipeline.lake.columns import Column, Table
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.engine import quoted
from asleep_pipeline.lake.sealing import explained, opened
from asleep_pipeline.lake.tables import AVERAGE_STATS, QUARANTINE, SESSIONS, TZ_RULES, USERS
from asleep_pipeline.sleep import MACROS
from asleep_pipeline.sleep.parameters import Parameters
from asleep_pipeline.warehouse.files import connected, drop_earlier_keys, write_anew
from asleep_pipeline.warehouse.insights import insight_select
from asleep_pipeline.warehouse.marts.build import (
    SELECTS,
    refresh_marts,
    refresh_organisations,
    write_parameters,
)
from asleep_pipeline.warehouse.marts.tables import MARTS, PARAMETERS
from asleep_pipeline.warehouse.parts import in_parts
from asleep_pipeline.warehouse.views.tables import INSIGHT, VIEWS

log = structlog.get_logger(__name__)

PUBLISHED = (USERS, SESSIONS, AVERAGE_STATS, QUARANTINE, TZ_RULES)
"""Tables of the lake that analysts get."""

_SESSIONS_A_PART: Final = 50_000
_BUILD_MEMORY: Final = "512MiB"
"""Of DuckDB, which would else keep the blocks of a build from scratch in memory."""
_DATED_BY: Final = {SESSIONS.name: "start_date", AVERAGE_STATS.name: "month"}

_FOLDER = files("asleep_pipeline.warehouse.views")
_VIEW_SELECTS = {
    view.name: _FOLDER.joinpath(f"{view.name}.sql").read_text(encoding="utf-8")
    for view in VIEWS
    if view is not INSIGHT
} | {INSIGHT.name: insight_select()}
LOAD_INFO = Table(
    "load_info",
    "The last load: one row a table.",
    (
        Column("table_name", "VARCHAR", "Table", required=True),
        Column("rows", "BIGINT", "Rows in the table", "count", required=True),
        Column("rows_changed", "BIGINT", "Rows that this load wrote", "count", required=True),
        Column("lake_snapshot", "BIGINT", "Snapshot of the lake it equals", required=True),
        Column("snapshot_at", "TIMESTAMPTZ", "When that snapshot was committed", "UTC instant"),
        Column("published_at", "TIMESTAMPTZ", "When it was published", "UTC instant"),
        Column("pipeline_version", "VARCHAR", "Release of asleep-pipeline", required=True),
        Column("tzdata_version", "VARCHAR", "Zone rules behind the local times"),
        Column("layout", "VARCHAR", "Hash of the tables' definition", required=True),
    ),
)


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What a publication holds and what it cost.

    Attributes:
        path: The published file.
        lake_snapshot: The snapshot that it equals.
        rows: Rows by table.
        rows_changed: Rows written by table.
        is_full: Whether everything was built anew.
    """

    path: Path
    lake_snapshot: int
    rows: dict[str, int]
    rows_changed: dict[str, int]
    is_full: bool


def publish(
    lake: Lake,
    path: Path,
    *,
    parameters: Parameters | None = None,
    from_scratch: bool = False,
    without_traces: bool = False,
) -> PublishReport:
    """Publish the newest snapshot of the lake as one DuckDB file.

    Args:
        lake: Where from.
        path: The file that analysts open; its working file lives in a folder beside it.
        parameters: What the marts are made with; the defaults when None.
        from_scratch: Build everything anew.
        without_traces: Write the file anew, so that not a byte of a deleted row lingers in it; with
            encryption by another key, so that copies of the earlier one cannot be opened. That costs a
            copy, and no build.

    Raises:
        LakeError: The lake cannot be read.
        WarehouseError: The file cannot be built or moved into place.
    """
    parameters = parameters or Parameters()
    working = path.parent / "warehouse" / "working.duckdb"
    with publishing(path):
        if from_scratch:
            discard(working)
        try:
            report = _bring_up_to_date(lake, working, path, parameters, memory=_BUILD_MEMORY)
        except duckdb.Error as error:
            # It is only a copy of the lake; a damaged one is not worth repairing.
            log.warning("working file discarded", problem=str(error).splitlines()[0])
            discard(working)
            report = _build_or_explain(lake, working, path, parameters)
        if without_traces:
            with _explained(path):
                write_anew(working, lake.keys, memory=_BUILD_MEMORY)
        _put_in_place(working, path)
        drop_earlier_keys(path)
    return report


def publishing(path: Path) -> AbstractContextManager[object]:
    """Whoever is in the block is the only one who brings a published file up to date."""
    workshop = path.parent / "warehouse"
    workshop.mkdir(parents=True, exist_ok=True)
    return FileLock(workshop / "publish.lock")


def _build_or_explain(
    lake: Lake, working: Path, path: Path, parameters: Parameters
) -> PublishReport:
    with _explained(path):
        # Without a limit, in case that it was the limit.
        return _bring_up_to_date(lake, working, path, parameters, memory=None)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(
            f"The warehouse {path} cannot be built: {str(error).splitlines()[0]}",
            fix="The published file stays as it was. Check the disk, then run it again.",
        ) from error


def _bring_up_to_date(
    lake: Lake,
    working: Path,
    path: Path,
    parameters: Parameters,
    *,
    memory: str | None,
) -> PublishReport:
    snapshot = lake.snapshot_id()
    layout = _layout(parameters)
    with _workshop(lake, working, snapshot) as con:
        since = _snapshot_of(con, layout)
        if since is None:
            # A build from scratch commits each statement, since memory holds what is not committed:
            # it counts only when `load_info` is there, which is written last.
            if memory:
                con.execute(f"SET memory_limit = '{memory}'")
            _create(con)
            write_parameters(con, parameters)
        else:
            con.execute("BEGIN")
        changed = Counter({t.name: _load(con, t, since, snapshot) for t in PUBLISHED})
        of_organisations = refresh_organisations(con, parameters.own)
        if since != snapshot or of_organisations:
            changed.update(of_organisations)
            changed.update(refresh_marts(con, read_cohorts(con)))
        rows = {t.name: _count(con, f"SELECT count(*) FROM {t.name}") for t in (*PUBLISHED, *MARTS)}
        if since is None:
            con.execute("BEGIN")
        _write_load_info(con, rows, changed, snapshot, layout)
        con.execute("COMMIT")
        # Without it, the write-ahead log would be missing beside the copy.
        con.execute("CHECKPOINT")
    return PublishReport(path, snapshot, rows, dict(changed), is_full=since is None)


@contextmanager
def _workshop(lake: Lake, working: Path, snapshot: int) -> Iterator[duckdb.DuckDBPyConnection]:
    with connected(working, lake.keys) as con, explained():
        lake.attach(con, read_only=True, snapshot=snapshot)
        con.execute("USE working")
        yield con


def _snapshot_of(con: duckdb.DuckDBPyConnection, layout: str) -> int | None:
    """The snapshot that the working file equals; None when it must be built anew."""
    tables = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'working' "
        "AND table_name = 'load_info'"
    ).fetchone()
    if not tables or not tables[0]:
        return None
    # The changes after a snapshot that has expired are not complete any more; and a lake that was
    # replaced, or restored from a copy, may have another snapshot of the same number.
    row = con.execute(
        "SELECT max(lake_snapshot) FROM load_info WHERE layout = $1 "
        "AND (lake_snapshot, snapshot_at) IN "
        "(SELECT (snapshot_id, snapshot_time) FROM ducklake_snapshots('lake'))",
        [layout],
    )
    since = row.fetchone()
    return None if since is None or since[0] is None else int(since[0])


def _create(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(MACROS)
    for table in (*PUBLISHED, PARAMETERS, *MARTS, LOAD_INFO):
        columns = ", ".join(
            f"{c.name} {c.type}{' NOT NULL' if c.required else ''}" for c in table.published
        )
        con.execute(f"CREATE OR REPLACE TABLE {table.name} ({columns})")
        _comment(con, "TABLE", table)
    for view in VIEWS:
        columns = ", ".join(f"{c.name}::{c.type} AS {c.name}" for c in view.columns)
        con.execute(
            f"CREATE OR REPLACE VIEW {view.name} AS SELECT {columns} FROM ({_VIEW_SELECTS[view.name]})"
        )
        _comment(con, "VIEW", view)


def _comment(con: duckdb.DuckDBPyConnection, kind: str, table: Table) -> None:
    con.execute(f"COMMENT ON {kind} {table.name} IS {quoted(table.description)}")
    for column in table.published:
        con.execute(f"COMMENT ON COLUMN {table.name}.{column.name} IS {quoted(column.comment)}")


def _load(con: duckdb.DuckDBPyConnection, table: Table, since: int | None, upto: int) -> int:
    """Take over what changed in a table after the snapshot `since`; everything when None."""
    if since == upto:
        return _load_nothing(con, table)
    if since is None or table is QUARANTINE:
        # Few rows, and a key with NULLs: replaced as a whole.
        return _load_all(con, table)
    return _load_changes(con, table, [table.name, since + 1, upto])


def _load_nothing(con: duckdb.DuckDBPyConnection, table: Table) -> int:
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE changed_{table.name} AS "
        f"SELECT {', '.join(table.key)} FROM {table.name} LIMIT 0"
    )
    return 0


def _load_all(con: duckdb.DuckDBPyConnection, table: Table) -> int:
    con.execute(f"DELETE FROM {table.name}")
    if table is SESSIONS:
        some = f"lake.{table.name} WHERE user_id BETWEEN $1 AND $2"
        rows = sum(_insert(con, table, some, users) for users in _parts(con))
    else:
        rows = _insert(con, table, f"lake.{table.name}")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE changed_{table.name} AS "
        f"SELECT {', '.join(table.key)} FROM {table.name}"
    )
    return rows


def _parts(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """First and last user of parts of `sessions` that memory can sort, in the order of users."""
    parts = in_parts("lake.sessions", _SESSIONS_A_PART)
    return con.execute(
        f"SELECT min(user_id), max(user_id) FROM ({parts}) GROUP BY part ORDER BY part"
    ).fetchall()


def _load_changes(con: duckdb.DuckDBPyConnection, table: Table, span: list[object]) -> int:
    keys, changed = ", ".join(table.key), f"changed_{table.name}"
    date = _DATED_BY.get(table.name, "NULL::DATE")
    found = _count(
        con,
        f"CREATE OR REPLACE TEMP TABLE {changed} AS "
        f"SELECT {keys}, min({date}) AS first_date, max({date}) AS last_date "
        f"FROM ducklake_table_changes('lake', 'main', $1, $2, $3) GROUP BY {keys}",
        span,
    )
    if not found:
        return 0
    same_key = " AND ".join(f"{table.name}.{name} = {changed}.{name}" for name in table.key)
    con.execute(f"DELETE FROM {table.name} USING {changed} WHERE {same_key}")
    source = f"lake.{table.name} SEMI JOIN {changed} USING ({keys})"
    return _insert(con, table, f"{source} WHERE {_dates_of_changes(con, table)}")


def _dates_of_changes(con: duckdb.DuckDBPyConnection, table: Table) -> str:
    """A condition that all changed rows meet: files know their dates, so others stay unopened."""
    date = _DATED_BY.get(table.name)
    if date is None:
        return "true"
    sql = f"SELECT min(first_date), max(last_date) FROM changed_{table.name}"
    first, last = con.execute(sql).fetchone() or (None, None)
    return f"{date} BETWEEN DATE '{first}' AND DATE '{last}'"


def _insert(
    con: duckdb.DuckDBPyConnection, table: Table, source: str, values: object = None
) -> int:
    columns = ", ".join(c.name for c in table.published)
    rows = opened(con, table, source)
    order = f" ORDER BY {', '.join(table.sorted_by)}" if table.sorted_by else ""
    return _count(con, f"INSERT INTO {table.name} SELECT {columns} FROM {rows}{order}", values)


def _write_load_info(
    con: duckdb.DuckDBPyConnection,
    rows: dict[str, int],
    changed: Counter[str],
    snapshot: int,
    layout: str,
) -> None:
    tzdata = con.execute("SELECT tzdata_version FROM lake.lake_info").fetchone()
    at = con.execute(
        "SELECT snapshot_time FROM ducklake_snapshots('lake') WHERE snapshot_id = $1", [snapshot]
    ).fetchone()
    con.execute("DELETE FROM load_info")
    for name, count in rows.items():
        con.execute(
            "INSERT INTO load_info VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                name,
                count,
                changed[name],
                snapshot,
                at[0] if at else None,
                datetime.now(UTC),
                version("asleep-pipeline"),
                tzdata[0] if tzdata else None,
                layout,
            ],
        )


def _layout(parameters: Parameters) -> str:
    """A hash of all definitions; a working file made with others is built anew.

    What organisations have of their own is no part of it: that is brought up to date like the data.
    """
    common = parameters.model_copy(update={"own": {}})
    tables = (PUBLISHED, PARAMETERS, MARTS, VIEWS, LOAD_INFO)
    definitions = repr((tables, MACROS, SELECTS, _VIEW_SELECTS, common))
    return hashlib.sha256(definitions.encode()).hexdigest()[:16]


def _put_in_place(working: Path, path: Path) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        shutil.copyfile(working, unfinished)
        sync(unfinished)
        unfinished.replace(path)
        sync(path.parent)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise WarehouseError(
            f"The warehouse cannot be put in place at {path}: {error.strerror}.",
            fix="Check the folder's rights and the free disk, then run it again.",
        ) from error


def _count(con: duckdb.DuckDBPyConnection, sql: str, values: object = None) -> int:
    row = con.execute(sql, values).fetchone()
    return int(row[0]) if row else 0
