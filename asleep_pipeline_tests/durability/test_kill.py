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
    undisturbed_s = seconds_of(errand_to(tmp_path / "undisturbed"))
    expected = content_of(tmp_path / "undisturbed")
    details = details_in_raw(tmp_path / "undisturbed")
    draws = random.Random(2)
    moments = sorted(undisturbed_s * draws.random() for _ in range(KILLS))
    lakes = 0
    with reader(tmp_path) as seen:
        while moments:
            data_dir = tmp_path / f"data-{lakes:02}"
            # The earliest moment left meets a lake that is still being made.
            moment_s: float | None = moments[0]
            while not ends(sim, errand_to(data_dir), moment_s, details):
                moments = [other for other in moments if other != moment_s]
                moment_s = draws.choice(moments) if moments else None
            assert_same(content_of(data_dir), expected)
            lakes += 1
    assert seen["problems"] == []
    assert seen["lake_reads"] > KILLS
    assert seen["file_reads"] > KILLS
    print(f"{KILLS} kills, {lakes} lakes, {undisturbed_s:.1f} s undisturbed, {seen}")  # noqa: T201 - figures to read


def seconds_of(errand: Errand) -> float:
    """How long an undisturbed backfill takes."""
    with started(errand) as process:
        since = time.monotonic()
        assert process.wait(LONGEST_RUN_S) == 0
        return time.monotonic() - since


def ends(sim: RunningSimulator, errand: Errand, moment_s: float | None, details: int) -> bool:
    """Whether a backfill ends before it is killed, so many seconds after its start.

    It may ask for nothing but what is not committed yet.
    """
    missing = details - details_in_raw(Path(errand.data_dir))
    asked_before = sim.requests["get_session"]
    with started(errand) as process:
        try:
            assert process.wait(LONGEST_RUN_S if moment_s is None else moment_s) == 0
            is_ended = True
        except subprocess.TimeoutExpired:
            process.kill()
            assert moment_s is not None, "the backfill hangs"
            is_ended = False
    # The simulator may count requests of the one that was killed before only now.
    assert sim.requests["get_session"] - asked_before <= missing + CONNECTIONS
    return is_ended


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


def details_in_raw(data_dir: Path) -> int:
    """How many details are committed; no one stands there twice, or it was asked for again."""
    if not (data_dir / "lake" / "catalog.sqlite").exists():
        return 0
    details = Lake.open(data_dir / "lake").frame(
        "SELECT user_id, session_id FROM lake.raw WHERE endpoint = 'get_session'"
    )
    assert details.is_unique().all()
    return details.height
