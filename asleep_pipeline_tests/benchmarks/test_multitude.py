"""The fast vendor says what the simulator says, of other days and namesakes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from asleep_pipeline.extract.sessions import Window
from asleep_pipeline.lake import Lake
from asleep_pipeline.simulator import Clock, Faults, SimulatorOptions, World
from benchmarks.memory import check, tenths
from benchmarks.multitude import BLOCK_DAYS, PEOPLE, multitude
from benchmarks.ours import clients_of, new_lake, pull_window
from benchmarks.vendor import API_KEY

LAST = date(2026, 10, 31)
FIRST = LAST - timedelta(days=2 * BLOCK_DAYS - 1)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, int]:
    """A lake with 180 days of the first simulated person and one namesake, and the vendor's count."""
    root = tmp_path_factory.mktemp("many")
    with multitude(PEOPLE + 1, 2 * BLOCK_DAYS, LAST, root / "roster.csv") as (url, expected):
        head, *users = (root / "roster.csv").read_text().splitlines()
        (root / "two.csv").write_text("\n".join([head, users[0], users[PEOPLE]]))
        lake, clients = new_lake(root / "two.csv", root), clients_of(url, API_KEY, root)
        for start in (FIRST, FIRST + timedelta(days=BLOCK_DAYS)):
            pull_window(lake, clients, Window(start, start + timedelta(days=BLOCK_DAYS - 1)))
    return lake, expected


def test_nothing_it_says_is_set_aside(loaded: tuple[Lake, int]) -> None:
    """Every session is taken, with its detail, under an id of its own."""
    lake, everyone = loaded
    sql = "SELECT count(DISTINCT session_id), count(sleep_stages) FROM sessions"
    ids, details = lake.frame(sql).row(0)
    assert 0.9 * ids < details <= ids < everyone
    check(lake, ids)


def test_it_says_the_truth_of_the_simulator_moved_by_days(loaded: tuple[Lake, int]) -> None:
    """What is stored of a moved night equals the simulator's night but for its dates."""
    now = datetime.combine(LAST + timedelta(days=3), time(), UTC)
    world = World(SimulatorOptions(people=PEOPLE, now=now), Clock(now), Faults())
    first = LAST - timedelta(days=BLOCK_DAYS - 1)
    nights = world.sessions(world.people[0].user_id, first, LAST)
    truth = [(n["session"]["start_time"], (n["stat"] or {}).get("time_in_sleep")) for n in nights]
    rows = loaded[0].frame("""
        SELECT user_id, started_at AS at, time_in_sleep AS sleep_s
        FROM sessions ORDER BY user_id, started_at""")
    users = rows.partition_by("user_id")
    assert len(users) == 2
    for of_user in users:
        found = [(at, sleep_s) for _, at, sleep_s in of_user.iter_rows()]
        expected = [(datetime.fromisoformat(at), sleep_s) for at, sleep_s in truth]
        assert found[len(truth) :] == expected
        back = timedelta(days=BLOCK_DAYS)
        assert found[: len(truth)] == [(at - back, sleep_s) for at, sleep_s in expected]


def test_a_lake_that_lacks_a_session_is_refused(loaded: tuple[Lake, int]) -> None:
    """No figure is printed of a backfill that is not whole."""
    with pytest.raises(RuntimeError, match="instead of 5"):
        check(loaded[0], 5)


def test_each_tenth_shows_its_highest_sample() -> None:
    """The curve starts where its samples start, and hides no peak."""
    samples = [(100.0 + n, 50.0 + n % 10) for n in range(100)]
    assert tenths(samples) == [59.0] * 10
    assert tenths([]) == []
