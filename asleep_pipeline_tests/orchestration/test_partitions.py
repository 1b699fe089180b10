"""Every session and every day has one place in the grid, the same for ever."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.orchestration.partitions import (
    FIRST_DATE,
    LONGEST_WINDOW_DAYS,
    grid,
    key_of,
    months,
    spans,
    windows,
)
from asleep_pipeline.zones.local_time import months_between, utc_date

SHARDS = 4
LAST = date(2027, 12, 31)
DAY = timedelta(days=1)
GOLDEN = {
    ("2026-03-02T00:30:00+09:00", "G-20230101000000-abcdefghijklmnopqrst"): "2026-03-01|2",
    ("2026-03-01T15:30:00Z", "G-20230101000000-abcdefghijklmnopqrst"): "2026-03-01|2",
    ("2024-02-29T23:59:59-00:01", "u1"): "2024-03-01|1",
    ("2024-02-29T23:59:59.999999+00:00", "u2"): "2024-02-29|2",
    ("2025-12-31T12:00:00-12:00", "Ünïcode"): "2026-01-01|0",
    ("2026-01-01T13:59:59+14:00", "수면"): "2025-12-31|3",
}
"""Another answer would orphan what lies in every lake that exists."""

SAY_KEYS = """
import sys
from datetime import datetime
from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.orchestration.partitions import key_of
from asleep_pipeline.zones.local_time import utc_date
for line in sys.stdin:
    moment, user_id = line.rstrip("\\n").split(" ", 1)
    print(key_of(utc_date(datetime.fromisoformat(moment)), shard_of(user_id, 4)))
"""

offsets = st.integers(-24 * 60 + 1, 24 * 60 - 1).map(lambda m: timezone(timedelta(minutes=m)))
instants = st.datetimes(
    datetime(2022, 1, 2),  # noqa: DTZ001 - in UTC by the next line
    datetime(2027, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)
days = st.dates(FIRST_DATE, LAST)


@pytest.fixture(scope="module")
def keys() -> Counter[str]:
    """Every key of the grid, and how often it is there."""
    return Counter(grid(SHARDS).get_partition_keys(current_time=datetime(2027, 12, 31, tzinfo=UTC)))


def place(moment: datetime, user_id: str) -> str:
    """The key of a session that starts then."""
    return str(key_of(utc_date(moment), shard_of(user_id, SHARDS)))


@given(instant=instants, offset=offsets, user_id=st.text())
def test_a_session_has_one_place_whatever_its_offset(
    keys: Counter[str], instant: datetime, offset: timezone, user_id: str
) -> None:
    """The UTC date of its start and its user's shard, which the grid has once."""
    key = place(instant.astimezone(offset), user_id)
    assert key == place(instant, user_id)
    assert keys[key] == 1
    assert key.startswith(f"{instant:%Y-%m-%d}|")


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_places_are_the_same_in_every_process_and_release(seed: str) -> None:
    """Whatever the hashes of a process begin with."""
    asked = "\n".join(f"{moment} {user_id}" for moment, user_id in GOLDEN)
    run = subprocess.run(
        [sys.executable, "-c", SAY_KEYS],
        env={"PYTHONHASHSEED": seed, "TZ": "Pacific/Apia", "PYTHONUTF8": "1"},
        input=asked,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert run.stdout.splitlines() == list(GOLDEN.values())


@given(days, days)
def test_spans_cover_each_day_of_a_period_once(one: date, other: date) -> None:
    """None is longer than one listing, and none reaches beyond the period."""
    start, end = sorted((one, other))
    parts = spans(start, end)
    covered = [
        part.start + DAY * n for part in parts for n in range((part.end - part.start).days + 1)
    ]
    assert covered == [start + DAY * n for n in range((end - start).days + 1)]
    assert all((part.end - part.start).days < LONGEST_WINDOW_DAYS for part in parts)


@given(days, days, st.integers(0, SHARDS - 1))
def test_the_keys_of_a_span_give_the_span_again(one: date, other: date, shard: int) -> None:
    """Also when a run names its keys in another order."""
    start, end = sorted((one, other))
    (span, *_) = spans(start, end)
    chosen = [key_of(span.start + DAY * n, shard) for n in range((span.end - span.start).days + 1)]
    assert windows(chosen[::-1]) == {shard: span}


@given(days, days)
def test_months_cover_each_day_of_a_period_once(one: date, other: date) -> None:
    """In order, each by its first day."""
    start, end = sorted((one, other))
    touched = {(start + DAY * n).replace(day=1) for n in range((end - start).days + 1)}
    assert months_between(start, end) == sorted(touched)


def test_the_grid_of_months_has_every_month_up_to_the_present_once() -> None:
    """By every shard."""
    now = datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)
    keys = Counter(months(SHARDS).get_partition_keys(current_time=now))
    wanted = {f"{m}|{s}" for m in months_between(FIRST_DATE, LAST) for s in range(SHARDS)}
    assert keys == Counter(wanted)
