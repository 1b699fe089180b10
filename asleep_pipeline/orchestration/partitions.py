"""The grid: start dates in UTC by shards; months by shards for the averages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from asleep_pipeline.errors import UsageError
from asleep_pipeline.extract.sessions import Window

FIRST_DATE = date(2022, 1, 1)
"""No session is older: the vendor's data API has examples from August 2022 on."""

LONGEST_WINDOW_DAYS = 90
"""Days of one run: at a session a night and some naps, a user's listing stays one or two pages."""

LONGEST_WINDOW_MONTHS = 12

DATE, MONTH, SHARD = "date", "month", "shard"


def grid(shards: int) -> dg.MultiPartitionsDefinition:
    """Dates by shards, today included."""
    days = dg.DailyPartitionsDefinition(FIRST_DATE.isoformat(), end_offset=1)
    return dg.MultiPartitionsDefinition({DATE: days, SHARD: _shards(shards)})


def months(shards: int) -> dg.MultiPartitionsDefinition:
    """Calendar months by shards, the present month included."""
    every = dg.MonthlyPartitionsDefinition(FIRST_DATE.isoformat(), end_offset=1)
    return dg.MultiPartitionsDefinition({MONTH: every, SHARD: _shards(shards)})


def key_of(day: date, shard: int) -> dg.MultiPartitionKey:
    """The grid's key of a date and shard."""
    return dg.MultiPartitionKey({DATE: day.isoformat(), SHARD: str(shard)})


def month_key(month: date, shard: int) -> dg.MultiPartitionKey:
    """The key of a month and shard."""
    return dg.MultiPartitionKey({MONTH: month.isoformat(), SHARD: str(shard)})


def windows(keys: Sequence[str]) -> dict[int, Window]:
    """The dates from first to last of each shard among keys of the grid."""
    dates = _by_shard(keys, DATE)
    return {shard: Window(min(days), max(days)) for shard, days in dates.items()}


def months_by_shard(keys: Sequence[str]) -> dict[int, list[date]]:
    """The months of each shard among keys of `months`."""
    return _by_shard(keys, MONTH)


def spans(start: date, end: date) -> list[Window]:
    """The dates from start to end, both inclusive, cut into windows of one run each.

    Raises:
        UsageError: The end is before the start, or the start before the grid.
    """
    if end < start:
        raise UsageError(f"The end {end} is before the start {start}.", fix="Swap the two dates.")
    if start < FIRST_DATE:
        raise UsageError(
            f"The start {start} is before {FIRST_DATE}, where the partitions begin.",
            fix=f"Start at {FIRST_DATE} or later.",
        )
    step = timedelta(days=LONGEST_WINDOW_DAYS)
    starts = (start + step * n for n in range((end - start) // step + 1))
    return [Window(first, min(first + step - timedelta(days=1), end)) for first in starts]


def _shards(shards: int) -> dg.StaticPartitionsDefinition:
    return dg.StaticPartitionsDefinition([str(shard) for shard in range(shards)])


def _by_shard(keys: Sequence[str], dimension: str) -> dict[int, list[date]]:
    found: dict[int, list[date]] = defaultdict(list)
    for key in keys:
        assert isinstance(key, dg.MultiPartitionKey), "keys of a grid have two dimensions"
        by_dimension = key.keys_by_dimension
        found[int(by_dimension[SHARD])].append(date.fromisoformat(by_dimension[dimension]))
    return dict(found)


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags of a run over all partitions from first to last."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
