"""One call: its turn, its attempts, its log line, its count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Any

import stamina
import structlog
from pydantic import SecretStr

from asleep_pipeline.asleep._breaker import PAUSE_S, Breaker
from asleep_pipeline.asleep._budget import Budget
from asleep_pipeline.asleep._http import Reply, Request, Wire
from asleep_pipeline.asleep._replies import check
from asleep_pipeline.asleep._retry import SCHEDULE, again, again_if_unseen
from asleep_pipeline.asleep.errors import (
    AsleepError,
    CircuitOpen,
    Gone,
    RateLimited,
    TransientError,
)


@dataclass(frozen=True)
class Counters:
    """What a client did, by endpoint.

    Attributes:
        requests: Requests sent, every attempt counted.
        retries: Those of them that repeated an earlier one.
        refusals: Those that the API refused because of their rate.
    """

    requests: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)


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
        self._log = structlog.get_logger(organisation=organisation)

    async def __call__(self, request: Request) -> Reply:
        """Send a request until it succeeds, fails for good, or its attempts are used up.

        Raises:
            AsleepError: The last failure.
        """
        on = again if request.repeatable else again_if_unseen
        async with self._places:
            async for attempt in stamina.retry_context(on, **SCHEDULE):
                with attempt:
                    return await self._attempt(request, attempt.num)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    async def close(self) -> None:
        """Close the connections and the budget."""
        self._budget.close()
        await self._wire.close()

    async def _attempt(self, request: Request, number: int) -> Reply:
        await self._budget.acquire()
        if not self._breaker.admits():
            raise _circuit_open(request.endpoint)
        self.counters.requests[request.endpoint] += 1
        self.counters.retries[request.endpoint] += number > 1
        try:
            with self._judged(), self._logged(request.endpoint, number) as line:
                reply = await self._wire.send(request)
                line["status"] = reply.status
                check(request, reply, self._key)
        except RateLimited as error:
            self.counters.refusals[request.endpoint] += 1
            await self._budget.refused(error.retry_after_s or 0.0)
            raise
        except Gone:
            if request.method != "DELETE" or number == 1:
                raise
            # An earlier attempt took effect although its answer was lost.
            return Reply(HTTPStatus.NO_CONTENT, {}, b"")
        return reply

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Tell the breaker whether the service works: a refusal is an answer, too."""
        verdict = self._breaker.abandoned
        try:
            yield
            verdict = self._breaker.succeeded
        except AsleepError as error:
            is_down = isinstance(error, TransientError) and not isinstance(error, RateLimited)
            verdict = self._breaker.failed if is_down else self._breaker.succeeded
            raise
        finally:
            verdict()

    @contextmanager
    def _logged(self, endpoint: str, number: int) -> Iterator[dict[str, Any]]:
        """Write one line, with what the block adds to it."""
        started = perf_counter()
        line: dict[str, Any] = {"endpoint": endpoint, "attempt": number, "status": None}
        write = self._log.debug
        try:
            yield line
        except AsleepError as error:
            line["error"] = type(error).__name__
            write = self._log.warning
            raise
        finally:
            write("asleep_request", **line, elapsed_ms=round((perf_counter() - started) * 1000, 1))


def _circuit_open(endpoint: str) -> CircuitOpen:
    return CircuitOpen(
        f"{endpoint} was not asked: Asleep failed again and again.",
        fix=f"Wait {PAUSE_S:.0f} s and try again; then one request tests the service.",
        endpoint=endpoint,
    )
