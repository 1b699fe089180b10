"""How fast a key may ask: a ceiling kept, a rate learned, a file shared."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    assert 10 * ceiling - 1 <= total <= 10 * ceiling + max(1, ceiling / 10) + 1


def test_without_a_ceiling_nothing_is_held_back() -> None:
    """Until the API refuses, there is no rate to keep."""
    _, count = granted(Pace(), START_MS, None, 1000)
    assert count == 1000


def test_refusal_halves_what_was_seen() -> None:
    """The rate learned is half of the requests of the last full second."""
    pace, _ = granted(Pace(), START_MS, None, 300)
    pace = refuse(pace, START_MS + 1500, None, 0)
    assert allowed(pace, START_MS + 1500, None) == 150


def test_refusals_of_one_moment_count_once() -> None:
    """Requests under way when the rate was cut do not cut it again."""
    pace, _ = granted(Pace(), START_MS, None, 300)
    for late_ms in (0, 1, 400, 999):
        pace = refuse(pace, START_MS + late_ms, None, 0)
    assert pace.learned_per_s == 150


def test_refusals_one_after_another_cut_again_down_to_a_floor() -> None:
    """A rate that is still too high is cut again, but never to nothing."""
    pace, _ = granted(Pace(), START_MS, None, 300)
    for second in range(20):
        pace = refuse(pace, START_MS + 1000 * second, None, 0)
    assert allowed(pace, START_MS + 19_000, None) == 0.1


def test_rate_recovers_gradually() -> None:
    """The learned rate grows by a twentieth each second, up to the ceiling."""
    pace, _ = granted(Pace(), START_MS, 100, 100)
    pace = refuse(pace, START_MS, 100, 0)
    rates = [allowed(pace, START_MS + 1000 * second, 100) for second in range(400)]
    assert rates[1] == pytest.approx((rates[0] or 0) * 1.05)
    assert rates == sorted(rates, key=lambda rate: rate or 0)
    assert rates[-1] == 100


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
    command = [sys.executable, "-c", ASKING, str(tmp_path / "budget.db"), str(START_MS)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(counts) == 200


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
    assert other.update(lambda pace: (pace, pace.learned_per_s)) == 0.5
    other.close()


async def test_waiting_for_another_process_leaves_the_loop_free(tmp_path: Path) -> None:
    """While the file is held elsewhere, other tasks go on; then the request gets its turn."""
    path = tmp_path / "budget.db"
    budget = Budget(FileLedger(path, "key"), None)
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


async def test_unusable_file_is_told(tmp_path: Path) -> None:
    """A file that is no budget is refused with what to do about it."""
    path = tmp_path / "budget.db"
    path.write_text("this is no database, and long enough to tell" * 100)
    budget = Budget(FileLedger(path, "key"), None)
    with pytest.raises(ConfigurationError, match="delete the file"):
        await budget.acquire()
