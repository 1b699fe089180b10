"""Memory of a backfill of very many sessions in one go, by the program, sampled over the run.

`python -m benchmarks.memory [SESSIONS]` (default: a million: 2,800 users of 360 days). The API is
`multitude.py`, since the simulator would be what takes the time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asleep_pipeline.lake import Lake
from benchmarks.costs import Cost, measure
from benchmarks.entrants import PACKAGES
from benchmarks.job import Job
from benchmarks.multitude import BLOCK_DAYS, SESSIONS_PER_USER_AND_BLOCK, multitude
from benchmarks.ours_cli import PROGRAM, backfill, environment, run_program
from benchmarks.tables import print_machine, print_table
from benchmarks.vendor import API_KEY

BLOCKS = 4
DAYS = BLOCKS * BLOCK_DAYS
TENTHS = 10


def main(sessions: int) -> None:
    """Print one table of what it took, and one of the memory over the run."""
    print_machine(PACKAGES)
    users = max(round(sessions / SESSIONS_PER_USER_AND_BLOCK / BLOCKS), 1)
    last = datetime.now(UTC).date() - timedelta(days=10)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with multitude(users, DAYS, last, root / "roster.csv") as (url, expected):
            job = Job(url, API_KEY, root / "roster.csv", last - timedelta(DAYS - 1), last, root)
            cost, pulled_s = measured(job)
        check(Lake.open(root / "lake"), expected)
        _tell(expected, users, cost, pulled_s)


def measured(job: Job) -> tuple[Cost, float]:
    """Do it: what it took, and after how many seconds the last answer was there."""
    run_program(job, "users", "import", str(job.roster))
    began = time.time()
    cost = measure([*PROGRAM, *backfill(job)], job.out, environment(job))
    last_answer = "SELECT epoch(max(fetched_at)) FROM raw"
    return cost, float(Lake.open(job.out / "lake").frame(last_answer).item()) - began


def check(lake: Lake, expected: int) -> None:
    """Make sure that all is there.

    Raises:
        RuntimeError: It is not.
    """
    sql = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM quarantine)"
    found = lake.frame(sql).row(0)
    if found != (expected, 0):
        raise RuntimeError(f"{found} sessions and answers in quarantine instead of {expected}, 0")


def tenths(memory: Sequence[tuple[float, float]]) -> list[float]:
    """The most MiB in each tenth of the time."""
    if not memory:
        return []
    slots: list[list[float]] = [[] for _ in range(TENTHS)]
    start_s, end_s = memory[0][0], memory[-1][0] + 1e-9
    for at, mib in memory:
        slots[int(TENTHS * (at - start_s) / (end_s - start_s))].append(mib)
    return [max(slot, default=0.0) for slot in slots]


def _tell(sessions: int, users: int, cost: Cost, pulled_s: float) -> None:
    pull = [(at, mib) for at, mib in cost.memory if at <= pulled_s]
    publish = [(at, mib) for at, mib in cost.memory if at > pulled_s]
    print(f"\n{sessions:,} sessions of {users:,} users over {DAYS} days.")
    print(f"{cost.cpu_s:,.0f} CPU s, {cost.wall_s:,.0f} s; peak {cost.peak_mib:,.0f} MiB.")
    print_table(
        ("most MiB in each tenth of", *(str(n + 1) for n in range(TENTHS))),
        [
            ("the pull", *(round(mib) for mib in tenths(pull))),
            ("the rest: marts, publication", *(round(mib) for mib in tenths(publish))),
        ],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
