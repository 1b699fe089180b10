"""Hand-made sessions in a lake, and the marts that are published of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.ducklake import delete_keys, insert
from asleep_pipeline.lake.tables import SESSIONS
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.sleep.parameters import Parameters
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.publish import PublishReport
from asleep_pipeline_tests.small_world import close, empty_lake

Row = dict[str, Any]

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_CODES = {"U": -1, "W": 0, "L": 1, "D": 2, "R": 3}


def stages(text: str) -> list[int]:
    """Read `20W 3L`: so many epochs of a stage, one run after the other."""
    return [_CODES[run[-1]] for run in text.split() for _ in range(int(run[:-1]))]


def session(
    user_id: str,
    start: str,
    series: Sequence[int] | str | None,
    *,
    zone: str = "UTC",
    length: timedelta | None = None,
    **more: Any,
) -> Row:
    """A row of `sessions`.

    Args:
        user_id: Whose it is.
        start: Local wall time of its start, ISO 8601.
        series: Its sleep stages, as numbers or as `stages` reads them; None without any.
        zone: Where it was recorded.
        length: Time in bed; that of the stages when None.
        **more: Other columns, and those that should differ.
    """
    sleep_stages = stages(series) if isinstance(series, str) else series
    length = timedelta(seconds=30 * len(sleep_stages or ())) if length is None else length
    started_at = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    row = {
        "session_id": f"{started_at:%Y%m%d%H%M%S}_aaaaa",
        "user_id": user_id,
        "org_id": "default",
        "shard": 0,
        "state": "COMPLETE",
        "created_timezone": zone,
        "timezone": zone,
        "timezone_source": "session",
        "start_date": started_at.date(),
        "sleep_stages": sleep_stages,
        "missing_data_ratio": 0.0,
        "peculiarities": [],
        "has_stat": False,
        "has_detail": True,
        "is_quarantined": False,
        "listed_at": started_at + length,
        "fetched_at": started_at + length,
    }
    return row | _placed(started_at, started_at + length, ZoneInfo(zone)) | more


def _placed(started_at: datetime, ended_at: datetime, zone: ZoneInfo) -> Row:
    start, end = started_at.astimezone(zone), ended_at.astimezone(zone)
    offsets = [
        (moment.utcoffset() or timedelta()) // timedelta(minutes=1) for moment in (start, end)
    ]
    return {
        "started_at": started_at,
        "ended_at": ended_at,
        "started_at_local": start.replace(tzinfo=None),
        "ended_at_local": end.replace(tzinfo=None),
        "utc_offset_start_min": offsets[0],
        "utc_offset_end_min": offsets[1],
        "start_date_local": start.date(),
        "night_date": end.date(),
    }


@dataclass(frozen=True, slots=True)
class HandMade:
    """A lake with what a test puts into it, and the file that is published of it."""

    lake: Lake
    path: Path

    def put_users(self, *users: Row) -> None:
        """Add to the roster, or change it."""
        put_users(self.lake, pl.DataFrame(users), now=LONG_AGO)

    def put(self, *rows: Row) -> None:
        """Insert sessions, or replace those with the same key."""
        frame = pl.DataFrame(rows, schema=SESSIONS.schema)
        with self.lake.write("a test's sessions") as con:
            delete_keys(con, SESSIONS, frame.select(SESSIONS.key))
            insert(con, SESSIONS, frame)

    def drop(self, rows: Iterable[Row]) -> None:
        """Delete sessions."""
        with self.lake.write("without a test's sessions") as con:
            keys = [{name: row[name] for name in SESSIONS.key} for row in rows]
            delete_keys(con, SESSIONS, pl.DataFrame(keys))

    def publish(self, parameters: Parameters | None = None) -> PublishReport:
        """Bring the file up to date."""
        return publish(self.lake, self.path, parameters=parameters)

    def frame(self, sql: str, values: Sequence[object] = ()) -> pl.DataFrame:
        """The answer of one query to the file, instants in UTC."""
        with duckdb.connect(str(self.path), read_only=True) as con:
            con.execute("SET TimeZone = 'UTC'")
            return con.execute(sql, list(values)).pl()

    def rows(self, sql: str, *values: object) -> list[Row]:
        """The same, as dictionaries."""
        return self.frame(sql, values).to_dicts()

    def row(self, sql: str, *values: object) -> Row:
        """The one row that answers a query."""
        (row,) = self.rows(sql, *values)
        return row


@contextmanager
def hand_made(folder: Path) -> Iterator[HandMade]:
    """A lake without users and sessions, in a folder."""
    lake = Lake.open(Path(copytree(empty_lake(1), folder / "lake")))
    yield HandMade(lake, folder / "asleep.duckdb")
    close(lake)
