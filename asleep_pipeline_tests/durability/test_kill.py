"""A backfill that is killed again and again ends as if nothing had happened; readers see no trace."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asleep_pipeline.lake import Lake
from asleep_pipeline.simulator import RunningSimulator
from asleep_pipeline_tests.durability.backfill import CONNECTIONS, STARTED, Errand
from asleep_pipeline_tests.durability.conftest import ErrandTo
from asleep_pipeline_tests.durability.content import assert_same, content_of

KILLS = 20
LONGEST_RUN_S = 120


def test_a_killed_backfill_resumes_and_no_reader_notices(
    sim: RunningSimulator,
    errand_to: ErrandTo,
    tmp_path: Path,
) -> None:
    """SIGKILL at 20 random moments: the same content, no committed detail asked again, no bad read."""
    errand = errand_to(tmp_path / "undisturbed")
    duration_s = run(errand, None)[0]
    expected, details = content_of(tmp_path / "undisturbed"), details_in_raw(errand)
    draws = random.Random(2)
    # The earliest ones meet a lake that is still being made.
    shares = sorted(draws.random() for _ in range(KILLS))
    lakes = 0
    with reader(tmp_path) as seen:
        while shares:
            data_dir = tmp_path / f"data-{lakes:02}"
            moments = [share * duration_s for share in shares]
            spent_s, kills = until_ended(sim, errand_to(data_dir), moments, details)
            assert_same(content_of(data_dir), expected)
            shares = shares[kills:]
            # The machine may have had more to do at first; a moment after the end kills nobody.
            duration_s = min(duration_s, spent_s)
            lakes += 1
    assert seen["problems"] == []
    assert seen["lake_reads"] > KILLS
    assert seen["file_reads"] > KILLS
    print(f"{KILLS} kills, {lakes} lakes, at most {duration_s:.1f} s undisturbed, {seen}")  # noqa: T201 - figures to read


def until_ended(
    sim: RunningSimulator, errand: Errand, moments_s: list[float], details: int
) -> tuple[float, int]:
    """Run and kill, a moment later in each run, until one ends before its moment.

    No run may ask for anything but what is not committed yet.

    Returns:
        The seconds that all runs took together, and how many were killed.
    """
    spent_s = 0.0
    for kills, moment_s in enumerate([*moments_s, None]):
        missing = details - details_in_raw(errand)
        asked_before = sim.requests["get_session"]
        took_s, is_ended = run(errand, moment_s)
        # The simulator may count requests of the one that was killed before only now.
        assert sim.requests["get_session"] - asked_before <= missing + CONNECTIONS
        spent_s += took_s
        if is_ended:
            return spent_s, kills
    raise AssertionError("a backfill without a moment to be killed at ends")


def run(errand: Errand, moment_s: float | None) -> tuple[float, bool]:
    """Run a backfill, killed so many seconds after its start: seconds, and whether it ended before."""
    with started(errand) as process:
        since = time.monotonic()
        try:
            assert process.wait(LONGEST_RUN_S if moment_s is None else moment_s) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            assert moment_s is not None, "the backfill hangs"
            return moment_s, False
        return time.monotonic() - since, True


@contextmanager
def started(errand: Errand) -> Iterator[subprocess.Popen[str]]:
    """A backfill that has its modules loaded and begins its work."""
    command = errand.command("backfill")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{STARTED}\n"
        yield process


@contextmanager
def reader(folder: Path) -> Iterator[dict[str, Any]]:
    """Read all the time in another process; the mapping is filled with what it saw at the end."""
    seen: dict[str, Any] = {}
    command = [sys.executable, "-m", "asleep_pipeline_tests.durability.reader", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield seen
        seen.update(json.loads(process.communicate()[0]))


def details_in_raw(errand: Errand) -> int:
    """How many details are committed; no one stands there twice, or it was asked for again."""
    lake = Path(errand.data_dir) / "lake"
    if not (lake / "catalog.sqlite").exists():
        return 0
    details = Lake.open(lake).frame(
        "SELECT user_id, session_id FROM lake.raw WHERE endpoint = 'get_session'"
    )
    assert details.is_unique().all()
    return details.height
