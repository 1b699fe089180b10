"""A service that is down is left alone, then tried with one request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from asleep_pipeline.asleep import AsleepClient, AsleepError, CircuitOpen, ServerError
from asleep_pipeline.asleep._breaker import FAILURES_TO_OPEN, OUTAGE_TO_OPEN_S, PAUSE_S, Breaker

ATTEMPTS = 4


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Time of the breaker."""
    return Clock()


@pytest.fixture
def broken(clock: Clock) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker(clock)
    fail(breaker, clock, FAILURES_TO_OPEN, OUTAGE_TO_OPEN_S)
    return breaker


def fail(breaker: Breaker, clock: Clock, times: int, over_s: float) -> None:
    """Let requests fail, evenly over some time."""
    for number in range(times):
        clock.now = over_s * number // (times - 1)
        assert breaker.admits()
        breaker.failed()


def test_opens_after_failures_in_a_row(broken: Breaker) -> None:
    """Enough failures without a success between them stop all requests."""
    assert not broken.admits()


@pytest.mark.parametrize(
    ("times", "over_s"),
    [(FAILURES_TO_OPEN * 10, OUTAGE_TO_OPEN_S - 1), (FAILURES_TO_OPEN - 1, 900)],
)
def test_short_or_small_outage_keeps_it_closed(clock: Clock, times: int, over_s: float) -> None:
    """What calls outlive by trying again, many of them at once too, stops nothing."""
    breaker = Breaker(clock)
    fail(breaker, clock, times, over_s)
    assert breaker.admits()


def test_success_between_failures_keeps_it_closed(clock: Clock) -> None:
    """Only failures in a row count."""
    breaker = Breaker(clock)
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed()
        clock.now += OUTAGE_TO_OPEN_S
        breaker.succeeded()
    assert breaker.admits()


def test_one_probe_after_the_pause(broken: Breaker, clock: Clock) -> None:
    """After the pause one request may go out, and no second one beside it."""
    clock.now += PAUSE_S
    assert broken.admits()
    assert not broken.admits()


@pytest.mark.parametrize(
    ("verdict", "admits_at_once"), [(Breaker.succeeded, True), (Breaker.failed, False)]
)
def test_probe_decides(
    broken: Breaker, clock: Clock, verdict: Callable[[Breaker], None], admits_at_once: bool
) -> None:
    """A probe that succeeds closes the circuit, one that fails starts the pause again."""
    clock.now += PAUSE_S
    assert broken.admits()
    verdict(broken)
    assert broken.admits() is admits_at_once
    clock.now += PAUSE_S
    assert broken.admits()


def test_abandoned_probe_makes_room_for_another(broken: Breaker, clock: Clock) -> None:
    """A cancelled probe says nothing and does not block the next."""
    clock.now += PAUSE_S
    assert broken.admits()
    broken.abandoned()
    assert broken.admits()


async def failing(client: AsleepClient, times: int) -> None:
    """Make calls that fail."""
    for _ in range(times):
        with pytest.raises(AsleepError):
            await client.get_user("u")


async def test_client_stops_asking_a_dead_service(asleep: AsleepClient, vendor: Any) -> None:
    """Once the circuit is open, calls fail at once without a request."""
    asleep._call._breaker.clock = map(float, range(0, 1000, 4)).__next__
    vendor.refuses(500, "x")
    await failing(asleep, FAILURES_TO_OPEN // ATTEMPTS)
    asked = len(vendor.requests)
    with pytest.raises(CircuitOpen):
        await asleep.get_session("u", "s")
    assert len(vendor.requests) == asked == FAILURES_TO_OPEN


async def test_a_call_that_is_not_made_takes_no_turn(
    asleep: AsleepClient, vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the circuit is open, the request budget is left to those who share it."""
    asleep._call._breaker.clock = map(float, range(0, 1000, 4)).__next__
    vendor.refuses(500, "x")
    await failing(asleep, FAILURES_TO_OPEN // ATTEMPTS)
    turns: list[None] = []

    async def turn() -> None:
        turns.append(None)

    monkeypatch.setattr(asleep._call._budget, "acquire", turn)
    await failing(asleep, 1)
    assert not turns


async def test_an_outage_is_told_once_from_its_begin_to_its_end(vendor: Any, clock: Clock) -> None:
    """One line when the circuit opens and one when it closes, whatever the probes between meet."""
    transport = httpx.MockTransport(vendor)
    with capture_logs() as lines:
        async with AsleepClient("k", transport=transport) as client:
            client._call._breaker.clock = clock
            vendor.refuses(500, "x")
            for _ in range(FAILURES_TO_OPEN // ATTEMPTS):
                clock.now += OUTAGE_TO_OPEN_S
                await failing(client, 1)
            clock.now += PAUSE_S
            await failing(client, 1)
            vendor.says(httpx.Response(200, json={"detail": "OK", "result": {"user_id": "u"}}))
            clock.now += PAUSE_S
            await client.get_user("u")
            await client.get_user("u")
    told = [line["event"] for line in lines if line["event"].startswith("asleep_circuit")]
    assert told == ["asleep_circuit_opened", "asleep_circuit_closed"]
    assert client.counters.circuit_openings == 1
    # The calls that were not made failed nowhere but here.
    assert client.counters.failures == {"get_user: ServerError": FAILURES_TO_OPEN + 1}


@pytest.mark.parametrize(
    ("status", "detail"), [(404, "user does not exist"), (400, "x"), (429, "x"), (401, "x")]
)
async def test_refusals_never_open_the_circuit(
    asleep: AsleepClient, vendor: Any, status: int, detail: str
) -> None:
    """A service that refuses is alive."""
    asleep._call._breaker.clock = map(float, range(0, 10**6, 4)).__next__
    vendor.refuses(status, detail)
    await failing(asleep, 2 * FAILURES_TO_OPEN)
    vendor.refuses(500, "x")
    with pytest.raises(ServerError):
        await asleep.get_user("u")


async def test_cancelled_request_says_nothing_about_the_service() -> None:
    """A call that is given up neither closes the circuit nor counts as a failure."""
    begun = asyncio.Event()

    async def hang(_request: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with AsleepClient("a-key", transport=httpx.MockTransport(hang)) as client:
        breaker = client._call._breaker
        breaker.failed()
        call = asyncio.create_task(client.get_user("u"))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert breaker._failures == 1
