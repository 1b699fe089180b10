"""What the pull found that webhooks missed, from a lost day to the figure of a scrape."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from asleep_pipeline.lake import Lake
from asleep_pipeline.warehouse import publish
from asleep_pipeline.webhooks.missed import (
    Pushes,
    PushesCollector,
    pushes_of_shard,
    pushes_published,
)
from asleep_pipeline_tests.small_world import FIRST, SmallWorld
from asleep_pipeline_tests.webhooks.pushes import PushedWorld

DAY = timedelta(days=1)


def in_the_lake(lake: Lake) -> Pushes:
    """The numbers of the only shard."""
    with lake.read() as con:
        return pushes_of_shard(con, 0)


def live_through_a_lost_day(pushed: PushedWorld) -> int:
    """Four days with webhooks but for the second; how many sessions were lost that day."""
    clock, lost = pushed.world.sim.clock, 0
    known = set(pushed.complete())
    pushed.push(known)
    pushed.take()
    for day in range(4):
        clock.advance(DAY)
        new = set(pushed.complete()) - known
        known |= new
        if day == 1:
            lost = len(new)
        else:
            pushed.push(new)
            pushed.take(reread=True)
    return lost


def test_a_day_of_lost_webhooks_is_healed_by_the_next_pull_and_counted(world: SmallWorld) -> None:
    """The rows are the truth, and the lost ones are missed, in the lake as in the file."""
    pushed = PushedWorld.of(world)
    lost = live_through_a_lost_day(pushed)
    assert lost > 0
    assert in_the_lake(world.lake).missed == 0
    pushed.sync()
    world.assert_true(FIRST, world.today)
    assert in_the_lake(world.lake).missed == lost
    path = world.platform.settings.warehouse_path
    publish(world.lake, path)
    assert pushes_published(path) == in_the_lake(world.lake)


def test_the_figures_are_told_at_each_scrape(world: SmallWorld, tmp_path: Path) -> None:
    """Of the file that is published at the time; without one there are none."""
    path = tmp_path / "asleep.duckdb"
    registry = CollectorRegistry()
    registry.register(PushesCollector(path))
    missed = "asleep_webhooks_sessions_missed"
    assert registry.get_sample_value(missed) is None
    publish(world.lake, path)
    assert registry.get_sample_value(missed) == 0
    lost = live_through_a_lost_day(pushed := PushedWorld.of(world))
    pushed.sync()
    publish(world.lake, path)
    assert registry.get_sample_value(missed) == lost
    path.unlink()
    assert registry.get_sample_value(missed) is None
