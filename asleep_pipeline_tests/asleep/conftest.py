"""A fake vendor at the transport, and a real socket for what only a wire can do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
import stamina

from asleep_pipeline.asleep import AsleepClient

ATTEMPTS = 4

Plain = dict[str, Any]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ok(result: Any, status: int = 200) -> httpx.Response:
    """A success as the vendor words it."""
    return httpx.Response(status, json={"detail": "OK", "result": result})


class Vendor:
    """Answers with what was queued, then with the last of it; remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: list[httpx.Response | Exception] = [ok({})]

    def says(self, *answers: httpx.Response | Exception) -> None:
        """Queue answers; an exception stands for a fault of the connection."""
        self._answers = list(answers)

    def refuses(self, status: int, detail: Any, **headers: str) -> None:
        """Answer every request with one error."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.says(httpx.Response(status, json={"detail": detail}, headers=named))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture(autouse=True)
def no_waits() -> Iterator[None]:
    """No waits between attempts, and fewer of them."""
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield


@pytest.fixture
def vendor() -> Vendor:
    """The fake behind the client `asleep`."""
    return Vendor()


@pytest.fixture
async def asleep(vendor: Vendor) -> AsyncIterator[AsleepClient]:
    """A client whose network is `vendor`."""
    async with AsleepClient("a-key", transport=httpx.MockTransport(vendor)) as client:
        yield client


@pytest.fixture
def session() -> Plain:
    """The result of get-session in the contract's own words, small but whole."""
    return cast(Plain, json.loads(json.dumps(SESSION)))


@pytest.fixture
def serve() -> Callable[[Handler], Any]:
    """Start a server on a free port that hands each connection to a function."""
    return _serving


@asynccontextmanager
async def _serving(handler: Handler) -> AsyncIterator[str]:
    handling: set[asyncio.Task[None] | None] = set()

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.add(asyncio.current_task())
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handled, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        # A connection that is still open when the loop ends would be warned of.
        tasks = [task for task in handling if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


SESSION: Plain = {
    "timezone": "UTC",
    "peculiarities": [],
    "missing_data_ratio": 0.0,
    "session": {
        "id": "20260101220000_abcde",
        "state": "COMPLETE",
        "start_time": "2026-01-01T22:00:00+00:00",
        "end_time": "2026-01-01T22:20:00+00:00",
        "unexpected_end_time": None,
        "created_timezone": "Asia/Seoul",
        "sleep_stages": [0] * 10 + [1] * 20 + [3] * 10,
        "breath_stages": [0] * 40,
        "snoring_stages": [0] * 40,
    },
    "stat": {
        "sleep_time": "2026-01-01T22:05:00+00:00",
        "wake_time": "2026-01-01T22:20:00+00:00",
        "sleep_latency": 300,
        "time_in_sleep": 900,
        "sleep_efficiency": 0.75,
        "wake_ratio": 0.0,
        "sleep_cycle": None,
        "sleep_cycle_time": [],
        "breathing_index": 0.0,
    },
}
