"""Work that brings more work."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from asleep_pipeline.extract.jobs import Jobs, side_by_side


async def test_what_a_job_adds_is_done_before_what_waits() -> None:
    """So that the details of a user who was listed do not pile up behind all other listings."""
    done: list[str] = []
    jobs = Jobs()

    async def job(name: str, *more: str) -> None:
        done.append(name)
        for each in more:
            jobs.add(partial(job, each))

    jobs.add(partial(job, "second"))
    jobs.add(partial(job, "first", "its last", "its first"))
    await jobs.run(at_once=1)
    assert done == ["first", "its first", "its last", "second"]


async def test_jobs_of_one_fill_all_places() -> None:
    """However few there are at first, as many run as may, and never more."""
    together = asyncio.Barrier(3)
    running = most = 0
    jobs = Jobs()

    async def job() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await together.wait()
        running -= 1

    async def first() -> None:
        for _ in range(9):
            jobs.add(job)

    jobs.add(first)
    await jobs.run(at_once=3)
    assert (most, running) == (3, 0)


async def test_an_error_ends_all_other_jobs() -> None:
    """It is raised, what is under way is cancelled, and what waits is not begun."""
    ended: list[str] = []
    jobs = Jobs()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("under way")

    async def fails() -> None:
        raise LookupError

    async def never() -> None:
        ended.append("begun")

    for job in (never, fails, waits):
        jobs.add(job)
    with pytest.raises(ExceptionGroup) as caught:
        await jobs.run(at_once=2)
    assert caught.group_contains(LookupError)
    assert ended == ["under way"]


async def test_no_jobs_are_done_at_once() -> None:
    """A shard without users is no reason to wait."""
    await Jobs().run(at_once=2)


async def test_stacks_do_not_wait_for_each_other() -> None:
    """An organisation whose requests are held back leaves the places of the others alone."""
    others_are_done = asyncio.Event()
    held_back, other = Jobs(), Jobs()
    for _ in range(5):
        held_back.add(others_are_done.wait)

    async def last() -> None:
        others_are_done.set()

    other.add(last)
    async with asyncio.timeout(10):
        await side_by_side([held_back, other], at_once=2)
    assert others_are_done.is_set()
