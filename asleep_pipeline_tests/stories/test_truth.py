"""Whatever the order and whatever the weather, the table says what the API would say."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from random import Random

import polars as pl
from polars.testing import assert_frame_equal

from asleep_pipeline.simulator import Faults
from asleep_pipeline_tests.small_world import FIRST, TODAY, small_world

BAD_WEATHER = Faults(
    seed=3,
    server_error_share=0.08,
    reset_share=0.04,
    truncated_share=0.04,
    latency_s=0.001,
    requests_per_second=300,
)
Part = tuple[date, date, int]
"""First date, last date, shard"""


def parts(days: int) -> list[Part]:
    """The dates cut into windows of some days, for both shards."""
    starts = range(0, (TODAY - FIRST).days + 1, days)
    windows = [(FIRST + timedelta(days=n), FIRST + timedelta(days=n + days - 1)) for n in starts]
    return [(start, end, shard) for start, end in windows for shard in (0, 1)]


def load_in_bad_weather(folder: Path, *, days: int, seed: int) -> pl.DataFrame:
    """Load every part twice, in some order, while the API fails; return the table after a check."""
    with small_world(folder, shards=2, people=4) as world:
        world.sim.faults.become(BAD_WEATHER)
        todo = 2 * parts(days)
        Random(seed).shuffle(todo)
        for start, end, shard in todo:
            world.load(start, end, shard=shard)
        world.assert_true(FIRST, TODAY)
        return world.content()


def test_any_order_of_partitions_twice_with_faults_gives_the_truth(tmp_path: Path) -> None:
    """Windows and shards come as they like, twice: nothing is missing, doubled, wrong or different."""
    in_parts = load_in_bad_weather(tmp_path / "in parts", days=8, seed=1)
    at_once = load_in_bad_weather(tmp_path / "at once", days=21, seed=2)
    assert_frame_equal(in_parts, at_once)
