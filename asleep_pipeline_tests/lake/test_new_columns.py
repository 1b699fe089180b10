"""A lake of an earlier release gets the columns that came later, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from asleep_pipeline.lake import TABLES, Lake
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.maintenance import maintain
from asleep_pipeline.lake.tables import SESSIONS
from asleep_pipeline.warehouse.publish import publish
from asleep_pipeline_tests.hand_made import session
from asleep_pipeline_tests.lake.conftest import NOW, close

NEW = {"pushed_at", "list_row"}


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """A lake that was made without the new columns, with one session."""
    old = replace(SESSIONS, columns=tuple(c for c in SESSIONS.columns if c.name not in NEW))
    with monkeypatch.context() as patch:
        patch.setitem(TABLES, "sessions", old)
        lake = Lake.create(tmp_path / "lake", shards=1)
        put(lake, old, "2026-03-01T22:00")
    yield lake
    close(lake)


def put(lake: Lake, table: Table, start: str, **more: object) -> None:
    """Add a session."""
    row = session("u", start, "100L") | more
    frame = pl.DataFrame([row], schema={name: table.schema[name] for name in row})
    with lake.write("a session") as con:
        insert(con, table, frame)


def test_opening_adds_what_is_missing_once(before: Lake) -> None:
    """With its comment, and NULL in the rows that are there."""
    assert NEW.isdisjoint(before.frame("SELECT * FROM sessions").columns)
    lake = Lake.open(before.root)
    snapshot = lake.snapshot_id()
    assert Lake.open(before.root).snapshot_id() == snapshot
    assert lake.frame("SELECT pushed_at, list_row FROM sessions").rows() == [(None, None)]
    comments = lake.frame(
        "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'sessions'"
    )
    assert dict(comments.iter_rows()) == {c.name: c.comment for c in SESSIONS.columns}


def test_what_was_before_can_be_read_later(before: Lake) -> None:
    """As it was then, and after compaction as it is now."""
    snapshot = before.snapshot_id()
    lake = Lake.open(before.root)
    put(lake, SESSIONS, "2026-03-02T22:00", pushed_at=NOW)
    with lake.read_at(snapshot) as con:
        then = con.execute("SELECT * FROM sessions").pl()
    assert (then.height, NEW & set(then.columns)) == (1, set())
    maintain(lake, now=NOW + timedelta(days=365))
    pushed = lake.frame("SELECT pushed_at FROM sessions ORDER BY started_at")["pushed_at"]
    assert pushed.to_list() == [None, NOW]


def test_the_published_file_follows(before: Lake, tmp_path: Path) -> None:
    """Anew after the upgrade, and then with every change."""
    lake, path = Lake.open(before.root), tmp_path / "asleep.duckdb"
    assert publish(lake, path).is_full
    put(lake, SESSIONS, "2026-03-02T22:00", pushed_at=NOW)
    report = publish(lake, path)
    assert (report.is_full, report.rows_changed["sessions"]) == (False, 1)
