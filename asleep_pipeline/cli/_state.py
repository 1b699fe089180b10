"""What the data folder holds, as `status`, `doctor` and `demo` tell it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

    from asleep_pipeline.lake import Lake

_CHANGES_ROWS = ("tables_inserted_into", "tables_deleted_from", "inlined_insert", "inlined_delete")


@dataclass(frozen=True, slots=True)
class Published:
    """The published file.

    Attributes:
        published_at: When it was published, UTC.
        lake_snapshot: The snapshot of the lake that it equals.
        is_behind: Whether a table of it has changed in the lake since.
        rows: Rows by table.
    """

    published_at: datetime
    lake_snapshot: int
    is_behind: bool
    rows: dict[str, int]


def published(lake: Lake, path: Path) -> Published | None:
    """Read what the published file says of itself; None when there is none.

    Raises:
        LakeError: The lake cannot be read.
        WarehouseError: The file cannot be read.
    """
    if not path.exists():
        return None
    from asleep_pipeline.warehouse.export import read_warehouse

    with read_warehouse(path) as con:
        info = con.execute(
            "SELECT table_name, rows, published_at, lake_snapshot FROM load_info"
        ).pl()
    snapshot, published_at = info["lake_snapshot"].max(), info["published_at"].max()
    assert isinstance(snapshot, int)
    assert isinstance(published_at, datetime)
    rows = dict(info.select("table_name", "rows").iter_rows())
    return Published(published_at, snapshot, _changed_since(lake, snapshot, set(rows)), rows)


def _changed_since(lake: Lake, snapshot: int, tables: set[str]) -> bool:
    """Whether one of the tables has changed; compaction and raw answers do not count."""
    with lake.read() as con:
        ids = {
            str(number)
            for name, number in con.execute(
                "SELECT table_name, table_id FROM ducklake_table_info('lake')"
            ).fetchall()
            if name in tables
        }
        changes = con.execute(
            "SELECT changes FROM ducklake_snapshots('lake') WHERE snapshot_id > $1", [snapshot]
        ).fetchall()
    return any(ids & set(change.get(kind, ())) for (change,) in changes for kind in _CHANGES_ROWS)


def contents(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Users, sessions by state, their dates, averages and what is in quarantine.

    Args:
        con: A connection of `Lake.read`.
    """
    users, gone = _row(con, "SELECT count(*), count(deleted_at) FROM lake.users")
    first, last = _row(con, "SELECT min(start_date), max(start_date) FROM lake.sessions")
    (averages,) = _row(con, "SELECT count(*) FROM lake.average_stats")
    return {
        "users": users,
        "users_gone": gone,
        "sessions": _counts(con, "SELECT state, count(*) FROM lake.sessions GROUP BY 1 ORDER BY 1"),
        "first_date": first,
        "last_date": last,
        "average_stats": averages,
        "quarantine": _counts(
            con, "SELECT rule, count(*) FROM lake.quarantine GROUP BY 1 ORDER BY 1"
        ),
    }


def unfinished(con: duckdb.DuckDBPyConnection, now: datetime) -> list[dict[str, Any]]:
    """Sessions that are not COMPLETE yet, the oldest first, with their age in hours."""
    rows = con.execute(
        """
        SELECT user_id, session_id, state, started_at FROM lake.sessions
        WHERE state <> 'COMPLETE' ORDER BY started_at
        """
    ).pl()
    return [row | {"age_h": _hours(row["started_at"], now)} for row in rows.to_dicts()]


def gaps(con: duckdb.DuckDBPyConnection, quiet_since: date) -> list[dict[str, Any]]:
    """Users who are not gone and have no session that started since then, the longest quiet first."""
    rows = con.execute(
        """
        SELECT u.user_id, count(s.session_id) AS sessions, max(s.start_date) AS last_date
        FROM lake.users AS u LEFT JOIN lake.sessions AS s USING (user_id)
        WHERE u.deleted_at IS NULL
        GROUP BY u.user_id
        HAVING coalesce(max(s.start_date) < $1, true)
        ORDER BY last_date NULLS FIRST, u.user_id
        """,
        [quiet_since],
    ).pl()
    return rows.to_dicts()


def _hours(since: datetime, now: datetime) -> float:
    return round((now - since).total_seconds() / 3600, 1)


def _row(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    return con.execute(sql).fetchall()[0]


def _counts(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, int]:
    return dict(con.execute(sql).fetchall())
