"""Asking about many users at once: a few at a time, one's trouble never another's."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from asleep_pipeline.asleep import AsleepClient, AsleepError, CircuitOpen, StopError, UserNotFound
from asleep_pipeline.errors import ConfigurationError, LakeError
from asleep_pipeline.extract.clients import ClientOf, Clients
from asleep_pipeline.extract.jobs import Jobs, side_by_side
from asleep_pipeline.lake.users import LakeUser

log = structlog.get_logger(__name__)

Ask = Callable[[LakeUser, AsleepClient], Awaitable[None]]
StopsAll = (StopError, CircuitOpen)
"""Errors after which no request for the same organisation will work."""


@dataclass(slots=True)
class Crowd:
    """How the users of one run fared.

    Attributes:
        users: How many there are.
        done: Those of whom nothing is to come any more.
        failed: Those whose answers could not be had.
        gone: Those whom the API does not know any more.
        asked: Those who were asked about, by organisation.
        failures: Errors by endpoint and kind.
        stopped: What ended the requests of an organisation; the others go on.
    """

    users: int = 0
    done: int = 0
    failed: int = 0
    gone: list[LakeUser] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    stopped: dict[str, AsleepError] = field(default_factory=dict)

    def distrust_if_all_are_gone(self) -> None:
        """Count an organisation's users as failed when the API knows none of several: the wrong key."""
        gone = Counter(user.org_id for user in self.gone)
        wrong = {org_id for org_id, users in gone.items() if users == self.asked[org_id] > 1}
        trusted = [user for user in self.gone if user.org_id not in wrong]
        if wrong:
            self.failures["no user is known to this key"] += len(self.gone) - len(trusted)
        self.failed += len(self.gone) - len(trusted)
        self.gone = trusted

    def meets(self, user: LakeUser, error: AsleepError) -> None:
        """Count a user who is gone, or whose answers cannot be had."""
        if isinstance(error, UserNotFound):
            self.gone.append(user)
        else:
            # Not the problem's words: they may quote an answer, ids included.
            log.warning("user skipped", endpoint=error.endpoint, kind=type(error).__name__)
            self.failed += 1
        self.note(error.endpoint, error)

    def stop(self, user: LakeUser, error: AsleepError) -> None:
        """Ask about nobody else of the user's organisation."""
        self.note(error.endpoint, error)
        self.stopped.setdefault(user.org_id, error)

    def raise_if_stopped(self) -> None:
        """Raise the first error that ended an organisation's requests, now that the others are done.

        Raises:
            StopError: The key, the plan or the quota forbids any request.
            CircuitOpen: The service fails for everyone.
        """
        for error in self.stopped.values():
            raise error

    def note(self, endpoint: str, error: AsleepError) -> None:
        """Count an error by endpoint and kind."""
        self.failures[f"{endpoint}: {type(error).__name__}"] += 1


async def ask_everyone(
    users: Iterable[LakeUser],
    client_of: ClientOf,
    ask: Ask,
    crowd: Crowd,
    *,
    at_once: int,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Call `ask` for every user, `at_once` of an organisation side by side.

    Raises:
        StopError: The key, the plan or the quota forbids any request for an organisation.
        CircuitOpen: The service fails for everyone of an organisation.
        ExceptionGroup: Of an error of ours.
    """
    stacks: defaultdict[str, Jobs] = defaultdict(Jobs)
    for user in users:
        stacks[user.org_id].add(partial(_ask_one, user, client_of, ask, crowd, on_progress))
    await side_by_side(stacks.values(), at_once=at_once)
    crowd.raise_if_stopped()


async def _ask_one(
    user: LakeUser,
    client_of: ClientOf,
    ask: Ask,
    crowd: Crowd,
    on_progress: Callable[[], None],
) -> None:
    if user.org_id in crowd.stopped:
        return
    crowd.asked[user.org_id] += 1
    try:
        await ask(user, client_of(user.org_id))
    except StopsAll as error:
        crowd.stop(user, error)
        return
    except AsleepError as error:
        crowd.meets(user, error)
    crowd.done += 1
    on_progress()


def ask_all(
    clients: Clients,
    users: Iterable[LakeUser],
    ask: Ask,
    crowd: Crowd,
    on_progress: Callable[[Crowd], None],
) -> None:
    """Call `ask` for every user, as many side by side as there are connections.

    Raises:
        StopError: The key, the plan or the quota forbids any request.
        CircuitOpen: The service fails for everyone.
        LakeError: An answer could not be kept.
    """

    async def everyone() -> None:
        async with clients.open() as client_of:
            await ask_everyone(
                users,
                client_of,
                ask,
                crowd,
                at_once=clients.max_connections,
                on_progress=lambda: on_progress(crowd),
            )

    run(everyone())


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, and raise the first error that stops everyone as itself.

    Raises:
        StopError: The key, the plan or the quota forbids any request.
        CircuitOpen: The service fails for everyone.
        ConfigurationError: The request budget cannot be kept.
        LakeError: An answer could not be kept.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(work)
    except* (*StopsAll, ConfigurationError, LakeError) as errors:
        raise _first(errors) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """By uvloop where there is one: a request costs a fifth less with it."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not made for Windows

    return uvloop.new_event_loop


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
