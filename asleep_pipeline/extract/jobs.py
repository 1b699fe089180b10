"""Work that brings more work, a few pieces at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

Job = Callable[[], Awaitable[object]]

# Each may hold connections of its own, and a process may open about a thousand.
_STACKS_AT_ONCE: Final = 16


class Jobs:
    """A stack: what a job adds is done before what was waiting, so little waits at any time.

    A task for each piece would cost as much as a seventh of its request.
    """

    def __init__(self) -> None:
        self._stack: asyncio.LifoQueue[Job] = asyncio.LifoQueue()

    def add(self, job: Job) -> None:
        """Have a job done; a job may add others."""
        self._stack.put_nowait(job)

    async def run(self, *, at_once: int) -> None:
        """Do all jobs, `at_once` of them side by side.

        Raises:
            ExceptionGroup: Of the first error of a job, which ends all others.
        """
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._work()) for _ in range(at_once)]
            await self._stack.join()
            for worker in workers:
                worker.cancel()

    async def _work(self) -> None:
        while True:
            job = await self._stack.get()
            await job()
            self._stack.task_done()


async def side_by_side(stacks: Iterable[Jobs], *, at_once: int) -> None:
    """Do the jobs of several stacks, so that one whose jobs wait holds up no other.

    Args:
        stacks: Jobs of one organisation each.
        at_once: Jobs of one stack that are done side by side.

    Raises:
        ExceptionGroup: Of the first error of a job, which ends all others.
    """
    places = asyncio.Semaphore(_STACKS_AT_ONCE)

    async def do(jobs: Jobs) -> None:
        async with places:
            await jobs.run(at_once=at_once)

    async with asyncio.TaskGroup() as group:
        for jobs in stacks:
            group.create_task(do(jobs))
