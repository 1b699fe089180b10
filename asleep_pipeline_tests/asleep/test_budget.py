"""How fast a key may ask: a ceiling kept, a rate learned, a file shared."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.asleep import AsleepClient
from asleep_pipeline.asleep._budget import (
    Budget,
    FileLedger,
    Ledger,
    MemoryLedger,
    Pace,
    allowed,
    refuse,
    take,
)
from asleep_pipeline.errors import ConfigurationError

T = TypeVar("T")

START_MS = 1_800_000_000_000


def granted(pace: Pace, now_ms: int, ceiling: float | None, asked: int) -> tuple[Pace, int]:
    """The pace after asking again and again in one moment, and how often that was granted."""
    count = 0
    for _ in range(asked):
        pace, wait_ms = take(pace, now_ms, ceiling)
        count += not wait_ms
    return pace, count


def over(seconds: int, pace: Pace, ceiling: float | None) -> tuple[Pace, int]:
    """The pace after asking every millisecond, and how often that was granted."""
    total = 0
    for now_ms in range(START_MS, START_MS + seconds * 1000):
        pace, count = granted(pace, now_ms, ceiling, 2)
        total += count
    return pace, total


@pytest.mark.parametrize("ceiling", [0.5, 1, 10, 250])
def test_ceiling_is_kept_and_used(ceiling: float) -> None:
    """Over ten seconds as many requests go out as allowed, plus a tenth of a second's worth."""
    _, total = over(10, Pace(), ceiling)
    assert 9.8 * ceiling - 1 <= total <= 10 * ceiling


def test_without_a_ceiling_nothing_is_held_back() -> None:
    """Until the API refuses, there is no rate to keep."""
    _, count = granted(Pace(), START_MS, None, 1000)
    assert count == 1000


def test_first_refusal_halves_what_was_seen() -> None:
    """The first refusal tells little: the pace begins at half of the requests of the last second."""
    pace, _ = granted(Pace(), START_MS, None, 300)
    pace = refuse(pace, START_MS + 1500, None, 0)
    assert allowed(pace, START_MS + 1500, None) == 150


def test_refusal_that_was_foretold_cuts_a_tenth() -> None:
    """Where the limit is known, a refusal confirms it."""
    pace = Pace(learned_per_s=100, refused_ms=START_MS - 40_000, busiest=90)
    before = allowed(pace, START_MS, None) or 0
    pace = refuse(pace, START_MS, None, 0)
    assert allowed(pace, START_MS, None) == pytest.approx(0.9 * before)


def test_refusal_soon_after_another_cuts_deeper() -> None:
    """Each one within two seconds of the last squares the cut, down to a half."""
    pace = Pace(learned_per_s=100, refused_ms=START_MS - 40_000, busiest=100)
    cuts = []
    for second in range(5):
        pace = refuse(pace, START_MS + 1000 * second, None, 0)
        cuts.append(round(pace.cut, 2))
    assert cuts == [0.9, 0.81, 0.66, 0.5, 0.5]


def test_pace_that_was_hardly_used_is_halved_at_least() -> None:
    """What was allowed and not asked for says little about what the API takes."""
    pace = Pace(learned_per_s=100, refused_ms=START_MS - 30_000)
    pace = refuse(pace, START_MS, None, 0)
    assert allowed(pace, START_MS, None) == pytest.approx(0.9 * 97 / 2)


def test_refusals_of_one_moment_count_once() -> None:
    """Requests under way when the rate was cut do not cut it again."""
    pace, _ = granted(Pace(), START_MS, None, 300)
    for late_ms in (0, 1, 400, 999):
        pace = refuse(pace, START_MS + late_ms, None, 0)
    assert (pace.learned_per_s, pace.refused_ms) == (300, START_MS)


def test_refusals_one_after_another_cut_again_down_to_a_floor() -> None:
    """A rate that is still too high is cut again, but never to nothing."""
    pace, _ = granted(Pace(), START_MS, None, 300)
    for second in range(30):
        pace = refuse(pace, START_MS + 1000 * second, None, 0)
    assert allowed(pace, START_MS + 29_000, None) == 0.1


def test_rate_recovers_gradually() -> None:
    """The curve rises to its plateau in half a minute, passes the mark later, up to the ceiling."""
    pace = Pace(learned_per_s=100, refused_ms=START_MS)
    rates = [allowed(pace, START_MS + 1000 * second, 300) or 0 for second in range(400)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(90)
    assert rates[30] == pytest.approx(97)
    assert rates[52] < 100 < rates[53]
    assert rates[-1] == 300


def test_old_refusal_is_forgotten() -> None:
    """Ten minutes after the last refusal a client without ceiling is free again."""
    pace = refuse(Pace(), START_MS, None, 0)
    assert allowed(pace, START_MS + 600_001, None) is None


def test_pause_is_kept_by_all_and_bounded() -> None:
    """The silence that the API asks for holds every request back, for a minute at most."""
    pace = refuse(Pace(), START_MS, None, 5)
    assert take(pace, START_MS + 1000, None) == (pace, 4000)
    assert take(pace, START_MS + 5000, None)[1] == 0
    bounded = refuse(Pace(), START_MS, None, 10**9)
    assert take(bounded, START_MS, None)[1] == 60_000


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(-(10**10), 10**10), st.booleans(), st.floats(0, 1e9)), max_size=20
    ),
    st.none() | st.floats(0.001, 1e5),
)
def test_no_clock_stops_the_budget(
    steps: list[tuple[int, bool, float]], ceiling: float | None
) -> None:
    """However the clock jumps, the next request waits a bounded time, and then may go."""
    pace, now_ms = Pace(), START_MS
    for step_ms, is_refusal, pause_s in steps:
        now_ms = max(0, now_ms + step_ms)
        pace = (
            refuse(pace, now_ms, ceiling, pause_s) if is_refusal else take(pace, now_ms, ceiling)[0]
        )
    waited_ms = wait_ms = 0
    for _ in range(3):
        pace, wait_ms = take(pace, now_ms + waited_ms, ceiling)
        waited_ms += wait_ms
        if not wait_ms:
            break
    assert not wait_ms
    longest_pause_ms = longest_queue_ms = 60_000
    assert waited_ms <= longest_pause_ms + longest_queue_ms + 1000 / min(ceiling or 1, 0.1)


# --- the ledgers ---------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Each place where a pace can be kept."""
    kept: Ledger = (
        MemoryLedger() if request.param == "memory" else FileLedger(tmp_path / "b" / "x.db", "key")
    )
    yield kept
    kept.close()


def test_ledger_keeps_the_pace(ledger: Ledger) -> None:
    """What one update leaves, the next one finds."""
    assert ledger.update(lambda pace: (Pace(taken=pace.taken + 1), pace.taken)) == 0
    assert ledger.update(lambda pace: (pace, pace.taken)) == 1


def test_ledger_is_unchanged_when_an_update_fails(ledger: Ledger) -> None:
    """An update takes place whole or not at all, and the ledger works on."""

    def fail(_pace: Pace) -> tuple[Pace, None]:
        raise ZeroDivisionError

    ledger.update(lambda _: (Pace(taken=7), None))
    with pytest.raises(ZeroDivisionError):
        ledger.update(fail)
    assert ledger.update(lambda pace: (pace, pace.taken)) == 7


def test_file_is_one_budget_a_key(tmp_path: Path) -> None:
    """Two ledgers of one key share a pace; another key has its own."""
    path = tmp_path / "budget.db"
    one, two, other = FileLedger(path, "key"), FileLedger(path, "key"), FileLedger(path, "other")
    one.update(lambda _: (Pace(taken=7), None))
    assert two.update(lambda pace: (pace, pace.taken)) == 7
    assert other.update(lambda pace: (pace, pace.taken)) == 0
    for each in (one, two, other):
        each.close()


ASKING = """
import sqlite3, sys, time
from pathlib import Path
from asleep_pipeline.asleep._budget import FileLedger, take

ledger, count = FileLedger(Path(sys.argv[1]), "key"), 0
for _ in range(300):
    while True:
        try:
            count += ledger.update(lambda pace: take(pace, int(sys.argv[2]), 2000.0)) == 0
            break
        except sqlite3.OperationalError:
            time.sleep(0.0005)
print(count)
"""


def test_processes_share_one_budget(tmp_path: Path) -> None:
    """Processes that ask in the same moment get together what one alone would get."""
    ledger = FileLedger(tmp_path / "budget.db", "key")
    ledger.update(lambda _: (Pace(arrival_us=START_MS * 1000), None))
    ledger.close()
    command = [sys.executable, "-c", ASKING, str(tmp_path / "budget.db"), str(START_MS)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]
    every_us, catch_up_us = 510, 250_000
    assert sum(counts) == catch_up_us // every_us + 1


async def test_clients_of_one_file_slow_down_together(tmp_path: Path) -> None:
    """A refusal that one client met holds back the other."""
    path = tmp_path / "budget.db"

    def refusing(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={"detail": "x"})

    transport = httpx.MockTransport(refusing)
    async with AsleepClient("key", budget_file=path, transport=transport) as client:
        with pytest.raises(Exception, match="too many requests"):
            await client.get_user("u")
    other = FileLedger(path, "key")
    assert other.update(lambda pace: (pace, pace.learned_per_s)) == 1
    other.close()


async def test_waiting_for_another_process_leaves_the_loop_free(tmp_path: Path) -> None:
    """While the file is held elsewhere, other tasks go on; then the request gets its turn."""
    path = tmp_path / "budget.db"
    budget = Budget(FileLedger(path, "key"), 1000)
    await budget.acquire()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(budget.acquire())
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    holder.execute("ROLLBACK")
    await waiting
    holder.close()
    budget.close()


async def test_requests_are_granted_in_the_order_they_came() -> None:
    """Nobody overtakes while the rate makes all wait."""
    order: list[int] = []
    ticks = iter(range(START_MS, START_MS + 10**9, 40))
    budget = Budget(MemoryLedger(), 10, clock=lambda: next(ticks))

    async def ask(number: int) -> None:
        await budget.acquire()
        order.append(number)

    with stamina.set_testing(False):
        await asyncio.gather(*(ask(number) for number in range(4)))
    assert order == [0, 1, 2, 3]


async def test_free_budget_asks_the_ledger_four_times_a_second() -> None:
    """While no limit is known a request costs no transaction, and yet is counted."""
    now_ms = START_MS
    asked = []

    class Counting(MemoryLedger):
        def update(self, change: Callable[[Pace], tuple[Pace, T]]) -> T:
            asked.append(now_ms)
            return super().update(change)

    ledger = Counting()
    budget = Budget(ledger, None, clock=lambda: now_ms)
    for _ in range(1000):
        await budget.acquire()
        now_ms += 1
    assert asked == [START_MS, START_MS + 250, START_MS + 500, START_MS + 750]
    await budget.refused(0)
    assert ledger.update(lambda pace: (pace, pace.learned_per_s)) == pytest.approx(751 * 0.9)


async def test_refusal_elsewhere_is_noticed_within_a_second(tmp_path: Path) -> None:
    """A process that was free holds back once another one was refused."""
    now_ms = START_MS
    free, other = (
        Budget(FileLedger(tmp_path / "budget.db", "key"), None, clock=lambda: now_ms)
        for _ in range(2)
    )
    await free.acquire()
    await other.refused(60)
    now_ms += 250
    waiting = asyncio.create_task(free.acquire())
    with stamina.set_testing(False):
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    free.close()
    other.close()


async def test_unusable_file_is_told(tmp_path: Path) -> None:
    """A file that is no budget is refused with what to do about it."""
    path = tmp_path / "budget.db"
    path.write_text("this is no database, and long enough to tell" * 100)
    budget = Budget(FileLedger(path, "key"), None)
    with pytest.raises(ConfigurationError, match="delete the file"):
        await budget.acquire()
