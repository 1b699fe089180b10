"""Everything after raw can be made again from raw, without a network."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import NoReturn

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.lake.maintenance import maintain
from asleep_pipeline.lake.tables import AVERAGE_STATS, QUARANTINE, SESSIONS
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline_tests.small_world import FIRST, TODAY, SmallWorld

DAY = timedelta(days=1)


def content(lake: Lake, table: Table) -> pl.DataFrame:
    """A table, in the order of its key."""
    return lake.frame(f"SELECT * FROM {table.name}").sort(table.key)


def live_through_a_history(world: SmallWorld) -> None:
    """Late data, recomputed results, bad answers, deletions, a reappearance; a sync after each."""
    faults, ids = world.sim.faults, sorted(name for _, name in world.truth(FIRST, TODAY))
    late, gone, back, bad, odd = ids[3], ids[10], ids[15], ids[20], ids[25]
    faults.late_uploads = {late: world.sim.clock.now() + DAY}
    faults.deleted_sessions = {back}
    faults.corrupted = {bad: "bad_stage", odd: "percent"}
    faults.recomputed_share = 0.5
    world.load(FIRST, TODAY)
    for deleted in (set(), {gone, back}, {gone}):
        faults.deleted_sessions = deleted
        world.load(FIRST, world.today)
        world.sim.clock.advance(DAY)
    faults.corrupted[late] = "negative"
    world.load(FIRST, world.today)
    world.pipeline().averages(FIRST.replace(day=1), TODAY)


def test_rebuild_makes_the_same_tables_with_the_network_off(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What days of syncs made of raw, raw makes again at once, also after maintenance."""
    live_through_a_history(world)
    tables = (SESSIONS, AVERAGE_STATS, QUARANTINE)
    before = [content(world.lake, table) for table in tables]
    assert [frame.height > 0 for frame in before] == [True, True, True]
    maintain(world.lake, now=world.sim.clock.now() + 400 * DAY)
    monkeypatch.setattr(socket, "socket", _no_network)
    monkeypatch.setattr(socket, "create_connection", _no_network)
    rebuild(world.lake, organisations={}, default_zone="UTC")
    for table, expected in zip(tables, before, strict=True):
        assert_frame_equal(content(world.lake, table), expected)


def test_a_rebuild_that_fails_leaves_everything_as_it_was(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one transaction: readers see the old tables or the new ones."""
    world.load(FIRST, TODAY)
    before = world.content()
    monkeypatch.setattr("asleep_pipeline.normalise.rebuild.read_new_averages", _a_bug)
    with pytest.raises(ZeroDivisionError):
        rebuild(world.lake, organisations={}, default_zone="UTC")
    assert_frame_equal(world.content(), before)


def _no_network(*_: object, **__: object) -> NoReturn:
    raise ConnectionError("There is no network in this test.")


def _a_bug(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError
