"""A lake that an earlier release made is opened, upgraded, read on and published by this one.

The lakes lie in `releases/`, with what their tables said; `make_release.py` tells how they are made.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from asleep_pipeline.errors import LakeError
from asleep_pipeline.lake import TABLES, Lake
from asleep_pipeline.lake.ducklake import FORMAT_VERSION
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.warehouse.publish import publish
from asleep_pipeline_tests.lake.make_release import DAY, PEOPLE, RELEASES, SHARDS
from asleep_pipeline_tests.small_world import (
    FIRST,
    NOON,
    TODAY,
    Key,
    SmallWorld,
    close,
    small_world,
)

ARCHIVES = sorted(RELEASES.glob("*.tar.xz"))


@dataclass(frozen=True)
class Left:
    """What a release has left: its lake's folder, and what its tables said by their names."""

    root: Path
    content: dict[str, pl.DataFrame]


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A release's lake, unpacked; to be copied."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(request.param) as packed:
        packed.extractall(folder, filter="data")
    files = (folder / "content").glob("*.parquet")
    return Left(folder / "lake", {file.stem: pl.read_parquet(file) for file in files})


@pytest.fixture
def left(kept: Left, tmp_path: Path) -> Iterator[Left]:
    """The same, of the test's own."""
    left = replace(kept, root=Path(copytree(kept.root, tmp_path / "lake")))
    yield left
    close(Lake(left.root, SHARDS))


@pytest.fixture
def later(kept: Left, tmp_path: Path) -> Iterator[SmallWorld]:
    """The company of the release, a day later, with this release and the lake of that one."""
    with small_world(tmp_path / "data", now=NOON + 3 * DAY, shards=SHARDS, people=PEOPLE) as world:
        close(world.lake)
        rmtree(world.lake.root)
        copytree(kept.root, world.lake.root)
        yield replace(world, lake=world.platform.lake())


def test_there_is_a_lake_of_every_kind() -> None:
    """The tests below must not pass for want of anything to open."""
    assert {path.name.split(".")[0] for path in ARCHIVES} >= {"before-webhooks", "webhooks"}


def test_nothing_is_lost_or_changed_by_opening(left: Left) -> None:
    """Every row of every table is there, and a column that came later is NULL in it."""
    lake = Lake.open(left.root)
    assert lake.shards == SHARDS
    for name, before in left.content.items():
        now = lake.frame(f"SELECT * FROM {name}")
        assert before.height > 0, name
        assert_frame_equal(now.select(before.columns), before, check_row_order=False)
        assert set(now.columns) == {column.name for column in TABLES[name].columns}
        assert all(now[column].null_count() == now.height for column in news(now, before))


def news(now: pl.DataFrame, before: pl.DataFrame) -> set[str]:
    """The columns that came later."""
    return set(now.columns) - set(before.columns)


def test_what_was_left_unread_is_read_once_and_can_be_made_again(left: Left) -> None:
    """Reading goes on after `progress`, and a rebuild of everything says the same."""
    lake = Lake.open(left.root)
    assert read(lake) > 0
    assert read(lake) == 0
    told = [lake.frame(f"SELECT * FROM {name} ORDER BY ALL") for name in ("sessions", "quarantine")]
    assert told[0].height > left.content["sessions"].height
    rebuild(lake, organisations={}, default_zone="UTC")
    for name, before in zip(("sessions", "quarantine"), told, strict=True):
        assert_frame_equal(lake.frame(f"SELECT * FROM {name} ORDER BY ALL"), before)


def read(lake: Lake) -> int:
    """Read what is new in raw; the number of answers."""
    return sum(
        normalise_sessions(lake, shard=shard, organisations={}, default_zone="UTC").answers
        for shard in range(lake.shards)
    )


def test_a_sync_adds_the_news_and_nothing_else(
    later: SmallWorld, kept: Left, tmp_path: Path
) -> None:
    """What a release knew stays as it was, what came since is true, and all of it is published."""
    since = TODAY - DAY
    old = {key(row): row for row in kept.content["sessions"].to_dicts()}
    sync(later, since)
    assert 0 < later.sim.requests["get_session"] <= len(later.truth(since, later.today))
    stored, truth = later.stored(), later.truth(FIRST, later.today)
    assert stored.keys() == truth.keys()
    assert stored.keys() > old.keys()
    for which in old.keys() - later.truth(since, later.today).keys():
        assert {name: stored[which][name] for name in old[which]} == old[which]
    for which, said in later.truth(since, later.today).items():
        assert {name: stored[which][name] for name in said} == said
    assert_published(later.lake, tmp_path / "asleep.duckdb")


def test_what_the_release_has_asked_is_not_asked_again(later: SmallWorld) -> None:
    """Settled sessions are known by its raw answers; a second sync of the day asks for no detail."""
    settled = FIRST + 5 * DAY
    sync(later, FIRST, settled)
    # Only one that could not be read then.
    assert later.sim.requests["get_session"] <= 1
    sync(later, TODAY - DAY)
    later.sim.requests.reset()
    sync(later, TODAY - DAY)
    assert later.sim.requests["get_session"] == 0


def sync(world: SmallWorld, start: date, end: date | None = None) -> None:
    """Pull and read the dates from one on, of every shard."""
    for shard in range(SHARDS):
        world.load(start, end or world.today, shard=shard)


def key(row: dict[str, Any]) -> Key:
    """Which session."""
    return row["user_id"], row["session_id"]


def assert_published(lake: Lake, path: Path) -> None:
    """The published file says what the lake says, in every column that both have."""
    publish(lake, path)
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        for name in ("sessions", "average_stats", "quarantine", "users"):
            said = con.execute(f"SELECT * FROM {name}").pl()
            assert_frame_equal(
                said,
                lake.frame(f"SELECT * FROM {name}").select(said.columns),
                check_row_order=False,
            )
        (cohorts,) = con.execute("SELECT count(DISTINCT cohort) FROM cohort_member").fetchone() or (
            0,
        )
    assert cohorts == len(lake.frame("SELECT * FROM cohorts"))


def test_a_newer_lake_is_refused_and_left_as_it_is(left: Left) -> None:
    """The sentence says which format it has, which one is read, and what to do."""
    lake = Lake.open(left.root)
    with lake.write("a later release") as con:
        con.execute("UPDATE lake.lake_info SET format_version = $1", [FORMAT_VERSION + 1])
        con.execute("ALTER TABLE lake.sessions DROP COLUMN extra")
    snapshot = lake.snapshot_id()
    for enter in (Lake.open, partial(Lake.create, shards=SHARDS)):
        with pytest.raises(
            LakeError, match=f"has format {FORMAT_VERSION + 1}; .* {FORMAT_VERSION}"
        ) as caught:
            enter(left.root)
        assert caught.value.fix == "Upgrade asleep-pipeline."
    assert lake.snapshot_id() == snapshot
