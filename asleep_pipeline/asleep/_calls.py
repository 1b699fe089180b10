"""One call: its turn, its attempts, its log line, its count."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Final

import stamina
import structlog
from pydantic import SecretStr

from asleep_pipeline.asleep._breaker import PAUSE_S, Breaker
from asleep_pipeline.asleep._budget import Budget
from asleep_pipeline.asleep._http import Reply, Request, Wire
from asleep_pipeline.asleep._replies import check
from asleep_pipeline.asleep._retry import SCHEDULE, again, again_if_unseen, may_have_worked
from asleep_pipeline.asleep.errors import (
    AsleepError,
    CircuitOpen,
    Gone,
    RateLimited,
    TransientError,
)

# The budget itself takes less.
_NO_WAIT_S: Final = 0.001


@dataclass(slots=True)
class Counters:
    """What a client did and met; times are summed over calls that ran side by side.

    Attributes:
        requests: Requests sent, every attempt counted, by endpoint.
        retries: Those of them that repeated an earlier one, by endpoint.
        refusals: Those that the API refused because of their rate, by endpoint.
        failures: Attempts that failed, by "endpoint: kind of error".
        circuit_openings: Times the service was found to be down.
        retry_wait_s: Seconds waited between attempts.
        held_back_s: Seconds waited for the request budget.
    """

    requests: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    circuit_openings: int = 0
    retry_wait_s: float = 0.0
    held_back_s: float = 0.0

    def add(self, other: Counters) -> None:
        """Take what another client did into account."""
        self.requests.update(other.requests)
        self.retries.update(other.retries)
        self.refusals.update(other.refusals)
        self.failures.update(other.failures)
        self.circuit_openings += other.circuit_openings
        self.retry_wait_s += other.retry_wait_s
        self.held_back_s += other.held_back_s


class Calls:
    """Sends requests within the budget, again where that helps.

    Args:
        wire: The connections.
        budget: How fast.
        key: Cut out of whatever an error quotes.
        max_connections: Calls at a time; a call keeps its place between its attempts, so a
            failing service is asked by few.
        organisation: Named in each log line.
    """

    def __init__(
        self,
        wire: Wire,
        budget: Budget,
        *,
        key: SecretStr,
        max_connections: int,
        organisation: str,
    ) -> None:
        self.counters = Counters()
        self._wire = wire
        self._budget = budget
        self._key = key
        self._places = asyncio.Semaphore(max_connections)
        self._breaker = Breaker()
        # Bound once: finding the configured logger anew costs more than a line that is left out.
        self._log = structlog.get_logger().bind(organisation=organisation)

    async def __call__(self, request: Request) -> Reply:
        """Send a request until it succeeds, fails for good, or its attempts are used up.

        Raises:
            AsleepError: The last failure.
        """
        async with self._places:
            try:
                return await self._attempt(request, 1)
            except TransientError as error:
                first = error
            return await self._again(request, first)

    async def close(self) -> None:
        """Close the connections and the budget."""
        self._budget.close()
        await self._wire.close()

    async def _again(self, request: Request, failure: TransientError) -> Reply:
        """Go on after a first failure, which counts as the first attempt of the schedule."""
        on = again if request.repeatable else again_if_unseen
        failed_at, may_be_done = perf_counter(), False
        async for attempt in stamina.retry_context(on, **SCHEDULE):
            with attempt:
                if attempt.num == 1:
                    raise failure
                self._count_wait(failure, attempt.num, perf_counter() - failed_at)
                may_be_done = may_be_done or may_have_worked(failure)
                try:
                    return await self._attempt(request, attempt.num, may_be_done=may_be_done)
                except TransientError as error:
                    failure, failed_at = error, perf_counter()
                    raise
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _count_wait(self, failure: TransientError, number: int, wait_s: float) -> None:
        self.counters.retry_wait_s += wait_s
        self._log.warning(
            "asleep_retry",
            endpoint=failure.endpoint,
            attempt=number,
            error=type(failure).__name__,
            cause=failure.cause or failure.status,
            wait_s=round(wait_s, 1),
        )

    async def _attempt(self, request: Request, number: int, *, may_be_done: bool = False) -> Reply:
        # Before the turn, which would be spent on nothing; and after it, since it takes time.
        if self._breaker.refuses():
            raise _circuit_open(request.endpoint)
        await self._turn()
        if not self._breaker.admits():
            raise _circuit_open(request.endpoint)
        self.counters.requests[request.endpoint] += 1
        if number > 1:
            self.counters.retries[request.endpoint] += 1
        started = perf_counter()
        try:
            reply = await self._wire.send(request)
            check(request, reply, self._key)
        except AsleepError as error:
            self._judge(error)
            self._tell(request.endpoint, number, started, error.status, error)
            return await self._despite(error, request, may_be_done=may_be_done)
        except BaseException:
            self._breaker.abandoned()
            raise
        self._judge(None)
        self._tell(request.endpoint, number, started, reply.status, None)
        return reply

    async def _turn(self) -> None:
        """Wait for the budget; what takes no longer than to ask for it does not count."""
        asked = perf_counter()
        await self._budget.acquire()
        waited_s = perf_counter() - asked
        if waited_s > _NO_WAIT_S:
            self.counters.held_back_s += waited_s

    async def _despite(self, error: AsleepError, request: Request, *, may_be_done: bool) -> Reply:
        """Slow down where that was refused, and raise the error unless all is well nonetheless."""
        if may_be_done and request.method == "DELETE" and isinstance(error, Gone):
            # An earlier attempt took effect, and its answer was lost.
            return Reply(HTTPStatus.NO_CONTENT, {}, b"")
        self.counters.failures[f"{error.endpoint}: {type(error).__name__}"] += 1
        if isinstance(error, RateLimited):
            self.counters.refusals[request.endpoint] += 1
            await self._budget.refused(error.retry_after_s or 0.0)
        raise error

    def _judge(self, error: AsleepError | None) -> None:
        """Tell the breaker whether the service works: a refusal is an answer, too."""
        if isinstance(error, TransientError) and not isinstance(error, RateLimited):
            if self._breaker.failed():
                self.counters.circuit_openings += 1
                self._log.warning("asleep_circuit_opened", pause_s=PAUSE_S)
        elif self._breaker.succeeded():
            self._log.warning("asleep_circuit_closed")

    def _tell(
        self,
        endpoint: str,
        number: int,
        started: float,
        status: int | None,
        error: AsleepError | None,
    ) -> None:
        """Write the request's line."""
        line = {"endpoint": endpoint, "attempt": number, "status": status}
        elapsed_ms = round((perf_counter() - started) * 1000, 1)
        if error is None:
            self._log.debug("asleep_request", **line, elapsed_ms=elapsed_ms)
        else:
            kind = type(error).__name__
            self._log.warning("asleep_request", **line, error=kind, elapsed_ms=elapsed_ms)


def _circuit_open(endpoint: str) -> CircuitOpen:
    return CircuitOpen(
        f"{endpoint} was not asked: Asleep failed again and again.",
        fix=f"Wait {PAUSE_S:.0f} s and try again; then one request tests the service.",
        endpoint=endpoint,
    )
