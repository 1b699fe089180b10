"""Maintenance: fewer files, the same content, and nobody is misled by what has expired."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.maintenance import FILES_KEPT, SNAPSHOTS_KEPT, maintain
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.verify import differences
from asleep_pipeline_tests.small_world import FIRST, SmallWorld

_HASHES = (
    "SELECT count(*), sum(hash(s)) FROM (SELECT * FROM lake.sessions) AS s",
    "SELECT count(*), sum(hash(r)) FROM (SELECT *, rowid, snapshot_id FROM lake.raw) AS r",
    "SELECT count(*), sum(hash(u)) FROM (SELECT * FROM lake.users) AS u",
)
_WEEK_LATER = FIRST + timedelta(days=7)


def hashes(lake: Lake) -> list[Any]:
    return [lake.frame(sql).row(0) for sql in _HASHES]


def files(lake: Lake) -> int:
    return sum(1 for _ in lake.data_path.rglob("*.parquet"))


@pytest.fixture
def busy(world: SmallWorld) -> SmallWorld:
    """A lake with many commits: every few days loaded on their own, then again."""
    for days in range(0, 20, 4):
        world.load(FIRST + timedelta(days=days), FIRST + timedelta(days=days + 3))
    with world.lake.write("delete most of May, as a listing without them would") as con:
        con.execute("DELETE FROM lake.sessions WHERE hash(session_id) % 4 > 0")
    return world


def test_content_stays_and_files_become_fewer(busy: SmallWorld) -> None:
    """Rows, and the row ids and snapshots of raw that its readers rely on, are as before."""
    lake, before = busy.lake, hashes(busy.lake)
    report = maintain(lake, now=busy.sim.clock.now())
    assert hashes(lake) == before
    assert report.files_after < report.files_before
    assert maintain(lake, now=busy.sim.clock.now()).files_after == report.files_after


def test_new_answers_are_read_after_maintenance(world: SmallWorld) -> None:
    """Whoever had not read raw to its end goes on where they were."""
    world.load(FIRST, FIRST + timedelta(days=9))
    world.pull(FIRST + timedelta(days=10), world.today)
    maintain(world.lake, now=world.sim.clock.now())
    assert world.normalise().answers > 0
    rows = world.lake.frame("SELECT user_id, session_id, state, has_detail FROM lake.sessions")
    read = {row[:2]: row[2:] for row in rows.iter_rows()}
    truth = world.truth(FIRST, world.today)
    assert read == {key: (row["state"], row["has_detail"]) for key, row in truth.items()}


def test_files_are_deleted_when_nobody_can_be_reading_them(busy: SmallWorld) -> None:
    """A file that was merged away stays for a day, for the query that is still running."""
    lake = busy.lake
    now = _now(lake)
    maintain(lake, now=now)
    kept = files(lake)
    assert maintain(lake, now=now + FILES_KEPT + timedelta(hours=1)).files_deleted > 0
    assert files(lake) < kept


def test_strays_are_deleted(busy: SmallWorld) -> None:
    """A file that a crash left behind goes, once it is old enough to be no load's."""
    lake = busy.lake
    stray = lake.data_path / "main" / "sessions" / "stray.parquet"
    duckdb.sql("SELECT 1 AS x").write_parquet(str(stray))
    maintain(lake, now=_now(lake))
    assert stray.exists()
    maintain(lake, now=_now(lake) + FILES_KEPT + timedelta(hours=1))
    assert not stray.exists()


def test_old_snapshots_expire_and_young_ones_do_not(busy: SmallWorld) -> None:
    """An earlier state can be read for the grace period."""
    lake = busy.lake
    snapshot, now = lake.snapshot_id(), _now(lake)
    lake_after = hashes(lake)
    assert maintain(lake, now=now).snapshots_expired == 0
    with lake.read_at(snapshot) as con:
        assert con.execute("SELECT count(*) FROM lake.sessions").fetchall()
    assert maintain(lake, now=now + SNAPSHOTS_KEPT * 2).snapshots_expired > 0
    assert hashes(lake) == lake_after


@pytest.mark.parametrize("expires", [False, True])
def test_publishing_goes_on_after_maintenance(
    busy: SmallWorld, tmp_path: Path, expires: bool
) -> None:
    """What changed before and after is published, whether or not the last published state expired."""
    lake, path = busy.lake, tmp_path / "asleep.duckdb"
    publish(lake, path)
    published = lake.snapshot_id()
    with lake.write("lose a week") as con:
        con.execute("DELETE FROM lake.sessions WHERE start_date < $1", [_WEEK_LATER])
    with lake.write("and a user changes") as con:
        con.execute("UPDATE lake.users SET org_id = 'moved'")
    if expires:
        _expire_up_to(lake, published)
    maintain(lake, now=_now(lake))
    report = publish(lake, path)
    assert report.is_full is expires
    assert differences(lake, path) == {}
    with duckdb.connect(str(path), read_only=True) as con:
        first = con.execute("SELECT min(start_date) FROM sessions").fetchall()[0][0]
        assert first >= _WEEK_LATER
        assert con.execute("SELECT DISTINCT org_id FROM users").fetchall() == [("moved",)]


def _now(lake: Lake) -> Any:
    """The catalog stamps its snapshots by the computer's clock."""
    return lake.frame("SELECT max(snapshot_time) FROM ducklake_snapshots('lake')").item()


def _expire_up_to(lake: Lake, snapshot: int) -> None:
    with lake.maintain() as con:
        con.execute(
            f"CALL ducklake_expire_snapshots('lake', versions => {list(range(snapshot + 1))})"
        )
        con.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
