"""Stopped after any commit and started again, the work ends as if it had never been stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from shutil import copytree, rmtree

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from asleep_pipeline.errors import LakeError
from asleep_pipeline.extract import answers
from asleep_pipeline.lake import ducklake
from asleep_pipeline.warehouse.publish import publish
from asleep_pipeline_tests.small_world import NOON, TODAY, SmallWorld, close, small_world

START = TODAY - timedelta(days=4)
SHARDS = 2
CHUNK = 8
"""Answers of one commit."""


class StoppedError(LakeError):
    """The process ends here."""


@dataclass
class Commits:
    """Lets some commits happen, and none after them.

    Attributes:
        left: How many may still happen; None for any number.
        made: How many have happened.
    """

    left: int | None = None
    made: int = 0

    def __call__(self, con: duckdb.DuckDBPyConnection) -> None:
        """Commit, and stop if it was the last."""
        if self.left is not None and self.made >= self.left:
            raise StoppedError("The process ends here.")
        con.execute("COMMIT")
        self.made += 1
        if self.made == self.left:
            raise StoppedError("The process ends here.")

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Every commit of the lake goes through it meanwhile."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ducklake, "_commit", self)
            yield


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmallWorld, Path]]:
    """A company, and the lake with which its work begins."""
    folder = tmp_path_factory.mktemp("resume")
    with (
        pytest.MonkeyPatch.context() as patch,
        small_world(folder / "data", shards=SHARDS, people=4, first_date=START, now=NOON) as world,
    ):
        patch.setattr(answers, "CHUNK_ANSWERS", CHUNK)
        close(world.lake)
        yield world, Path(copytree(world.lake.root, folder / "begin"))


def anew(begun: tuple[SmallWorld, Path], name: str) -> SmallWorld:
    """The same beginning, in a lake of its own."""
    world, begin = begun
    lake = replace(world.lake, root=Path(copytree(begin, begin.parent / name)))
    world.sim.requests.reset()
    return replace(world, lake=lake)


def work(world: SmallWorld) -> None:
    """All of it, from the API to the published file."""
    for shard in range(SHARDS):
        world.load(START, TODAY, shard=shard)
    publish(world.lake, file_of(world))


def file_of(world: SmallWorld) -> Path:
    """Its published file."""
    return world.lake.root.with_suffix(".duckdb")


def published(world: SmallWorld) -> dict[str, pl.DataFrame]:
    """The tables of sessions and of nights as analysts read them."""
    with duckdb.connect(str(file_of(world)), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        frames = {
            name: con.execute(f"SELECT * FROM {name}").pl()
            for name in ("sessions", "fct_session", "fct_night")
        }
    return {
        name: frame.drop("listed_at", "fetched_at", strict=False) for name, frame in frames.items()
    }


def details(world: SmallWorld) -> list[tuple[str, str]]:
    """The details in raw."""
    asked = "SELECT user_id, session_id FROM raw WHERE endpoint = 'get_session' ORDER BY ALL"
    return world.lake.frame(asked).rows()


def test_work_that_stops_after_any_commit_goes_on_from_there(
    begun: tuple[SmallWorld, Path],
) -> None:
    """The lake and the published file become the same, and no detail that was kept is asked again."""
    whole, commits = anew(begun, "whole"), Commits()
    with commits.counted():
        work(whole)
    expected = published(whole)
    assert commits.made > 2 * SHARDS, "there must be chunks to be stopped between"
    close(whole.lake)
    for number in range(1, commits.made + 1):
        world = anew(begun, f"stopped-{number}")
        with Commits(left=number).counted(), suppress(StoppedError):
            work(world)
        kept = details(world)
        world.sim.requests.reset()
        work(world)
        assert world.sim.requests["get_session"] == len(details(world)) - len(kept)
        assert (
            len(details(world))
            == len(set(details(world)))
            == expected["sessions"]["has_detail"].sum()
        )
        assert_same(published(world), expected)
        world.assert_true(START, TODAY)
        close(world.lake)
        rmtree(world.lake.root)


def assert_same(tables: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> None:
    """Each table holds the same rows."""
    for name, frame in expected.items():
        assert_frame_equal(tables[name], frame, check_row_order=False)
