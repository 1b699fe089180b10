"""Makes the lake that a release leaves behind, for the releases that come later to open.

Its content is the same in every run: one seed, one clock. From a checkout of the release:

    PYTHONPATH=. python -m asleep_pipeline_tests.lake.make_release NAME

A release that has no such module yet runs the file itself, with its own checkout as PYTHONPATH. What
comes of it, `releases/NAME.tar.xz`, is kept for good: `test_releases.py` opens every one of them.
"""

from __future__ import annotations

import os
import sys
import tarfile
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from asleep_pipeline.lake.cohorts import Cohort, put_cohort
from asleep_pipeline.lake.tables import TABLES
from asleep_pipeline_tests.small_world import FIRST, TODAY, SmallWorld, close, small_world

RELEASES = Path(__file__).parent / "releases"
SHARDS = 2
PEOPLE = 5
DAY = timedelta(days=1)
NOT_CONTENT = {"tz_rules", "lake_info"}
"""Zone rules follow the tzdata of the day, and the rest says when the lake was made."""


def live(world: SmallWorld) -> None:
    """What a small company has after three weeks, ended between a pull and its reading."""
    ids = sorted(session_id for _, session_id in world.truth(FIRST, TODAY - DAY))
    world.sim.faults.corrupted = {ids[3]: "bad_stage", ids[8]: "not_json", ids[12]: "percent"}
    for shard in range(SHARDS):
        world.load(FIRST, TODAY, shard=shard)
    world.pipeline().averages(FIRST.replace(day=1), FIRST.replace(day=1))
    people = [person.user_id for person in world.sim.world.people]
    now = world.sim.clock.now()
    put_cohort(world.lake, Cohort("adults", condition="timezone IS NOT NULL"), now=now)
    put_cohort(world.lake, Cohort("some", user_ids=tuple(people[:2])), now=now)
    world.sim.clock.advance(DAY)
    if find_spec("asleep_pipeline.webhooks"):
        push(world)
    world.sim.clock.advance(DAY)
    for shard in range(SHARDS):
        world.pull(TODAY, world.today, shard=shard)


def push(world: SmallWorld) -> None:
    """Of each person the newest complete session comes by a webhook, and once more by a second."""
    from asleep_pipeline_tests.webhooks.pushes import (  # noqa: PLC0415 - not in every release
        PushedWorld,
    )

    pushed = PushedWorld.of(world)
    newest = {user_id: (user_id, name) for user_id, name in sorted(pushed.complete())}
    pushed.push([*newest.values(), *newest.values()])
    pushed.drain()
    for shard in range(SHARDS):
        world.normalise(shard=shard)


def keep(world: SmallWorld, archive: Path) -> None:
    """Pack the lake, and beside it what its tables say."""
    folder = world.lake.root.parent / "content"
    folder.mkdir()
    for name in TABLES.keys() - NOT_CONTENT:
        frame = world.lake.frame(f"SELECT * FROM {name} ORDER BY ALL")
        # The archive packs it better.
        frame.write_parquet(folder / f"{name}.parquet", compression="uncompressed")
    close(world.lake)
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(world.lake.root, "lake", filter=_anonymous)
        packed.add(folder, "content", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without the machine's names and clock, and without locks."""
    if member.name.endswith(".lock"):
        return None
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def main(name: str) -> None:
    """Make `releases/NAME.tar.xz`."""
    with TemporaryDirectory() as folder:
        os.environ["DAGSTER_HOME"] = folder
        with small_world(Path(folder) / "data", shards=SHARDS, people=PEOPLE) as world:
            live(world)
            keep(world, RELEASES / f"{name}.tar.xz")


if __name__ == "__main__":
    main(*sys.argv[1:])
