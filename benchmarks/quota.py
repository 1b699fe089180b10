"""How much of the rate that a vendor allows is used, and how many requests it refuses.

`python -m benchmarks.quota [SECONDS]` (default: 12 of each case, five minutes in all). The simulator
has this process, each client one of its own, which asks for one user over and over on half again as
many connections as the rate needs. Only what comes after the warm-up counts: 3 s where
`requests_per_second` tells the limit, 25 s where it has to be learned.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Final

import msgspec

from asleep_pipeline.asleep import AsleepClient, RateLimited
from asleep_pipeline.log import configure_logging
from asleep_pipeline.simulator import SimulatorOptions, running

LIMITS_PER_S: Final = (50, 200)
LATENCIES_S: Final = (0.02, 0.2)
STARTING_S: Final = 2
WARM_UP_S: Final = 3
LEARNING_S: Final = 25


class Case(msgspec.Struct, frozen=True):
    """What is measured.

    Attributes:
        per_s: The limit.
        latency_s: Of each answer.
        processes: Clients that share one budget.
        is_known: Whether the client is told it.
        seconds: Measured after the warm-up.
    """

    per_s: int
    latency_s: float
    processes: int
    is_known: bool
    seconds: int

    @property
    def warm_up_s(self) -> int:
        """Seconds that do not count."""
        return WARM_UP_S if self.is_known else LEARNING_S

    @property
    def connections(self) -> int:
        """Of each client."""
        return max(8, math.ceil(self.per_s * self.latency_s * 1.5))


class Found(msgspec.Struct, frozen=True):
    """What a client met: requests answered, and refused."""

    answered: int
    refused: int


class Task(msgspec.Struct, frozen=True):
    """What a client is told: the case, where it asks, and when (s since the epoch)."""

    case: Case
    base_url: str
    api_key: str
    user: str
    budget: str
    starts_at: float


def cases(seconds: int) -> Iterator[Case]:
    """Every case."""
    for processes, is_known in ((1, True), (2, True), (1, False)):
        for per_s, latency_s in product(LIMITS_PER_S, LATENCIES_S):
            yield Case(per_s, latency_s, processes, is_known, seconds)


def measure(case: Case, budget: Path) -> Found:
    """Be the vendor, start its clients, and add up what they met.

    Raises:
        CalledProcessError: A client failed.
    """
    with running(SimulatorOptions(people=1)) as vendor:
        vendor.faults.requests_per_second = case.per_s
        vendor.faults.latency_s = case.latency_s
        user = vendor.world.people[0].user_id
        starts_at = time.time() + STARTING_S
        task = Task(case, vendor.base_url, vendor.api_key, user, str(budget), starts_at)
        found = asyncio.run(_clients(task))
    return Found(sum(f.answered for f in found), sum(f.refused for f in found))


async def _clients(task: Task) -> list[Found]:
    return await asyncio.gather(
        *(asyncio.to_thread(_client, task) for _ in range(task.case.processes))
    )


def _client(task: Task) -> Found:
    command = [
        sys.executable,
        "-m",
        "benchmarks.quota",
        "client",
        msgspec.json.encode(task).decode(),
    ]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(answer, type=Found)


async def ask(task: Task) -> Found:
    """Be a client until the time is over."""
    case = task.case
    since = task.starts_at + case.warm_up_s
    until = since + case.seconds
    answered: list[float] = []
    async with AsleepClient(
        task.api_key,
        base_url=task.base_url,
        max_connections=case.connections,
        requests_per_second=case.per_s if case.is_known else None,
        budget_file=Path(task.budget),
    ) as client:

        async def keep_asking() -> None:
            while time.time() < until:
                with suppress(RateLimited):
                    await client.get_user(task.user)
                    answered.append(time.time())

        await asyncio.sleep(task.starts_at - time.time())
        asking = [asyncio.create_task(keep_asking()) for _ in range(case.connections)]
        await asyncio.sleep(since - time.time())
        refused = client.counters.refusals.total()
        await asyncio.sleep(until - time.time())
        refused = client.counters.refusals.total() - refused
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return Found(sum(since <= at < until for at in answered), refused)


def main(seconds: int) -> None:
    """Print one table."""
    print("| limit/s | latency ms | processes | limit is | used | refused per 1,000 |")
    print("|---:|---:|---:|---|---:|---:|")
    for case in cases(seconds):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(case, Path(folder) / "budget.sqlite")
        used = found.answered / case.per_s / case.seconds
        refused = 1000 * found.refused / (found.answered + found.refused)
        print(
            f"| {case.per_s} | {1000 * case.latency_s:.0f} | {case.processes} | "
            f"{'told' if case.is_known else 'learned'} | {used:.1%} | {refused:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        configure_logging()
        told = msgspec.json.decode(sys.argv[2], type=Task)
        print(msgspec.json.encode(asyncio.run(ask(told))).decode())
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 12)
