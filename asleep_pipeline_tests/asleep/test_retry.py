"""Which failures are met with another attempt, and how long it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import stamina
from structlog.testing import capture_logs

from asleep_pipeline.asleep import (
    AsleepClient,
    AsleepError,
    CircuitOpen,
    ConnectionFailed,
    RateLimited,
    ServerError,
    TransientError,
    UserNotFound,
)
from asleep_pipeline.asleep._retry import SCHEDULE, again

ATTEMPTS = 4
Call = Callable[[AsleepClient], Awaitable[object]]

GOOD = httpx.Response(200, json={"detail": "OK", "result": {"user_id": "u"}})
NO_USER = httpx.Response(404, json={"detail": "user does not exist"})

DELETIONS: dict[str, Call] = {
    "user": lambda c: c.delete_user("u"),
    "session": lambda c: c.delete_session("u", "s"),
    "sessions": lambda c: c.delete_sessions("u"),
}


def refusal(status: int, detail: str) -> httpx.Response:
    """An error as the vendor words it."""
    return httpx.Response(status, json={"detail": detail})


@pytest.mark.parametrize(
    "fault",
    [
        refusal(500, "x"),
        refusal(503, "x"),
        refusal(429, "x"),
        refusal(403, "Rate limit exceeded"),
        httpx.Response(200, content=b'{"result": {'),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("closed"),
    ],
)
async def test_passing_faults_are_outlived(
    asleep: AsleepClient, vendor: Any, fault: httpx.Response | Exception
) -> None:
    """A fault that passes costs another attempt and nothing else."""
    vendor.says(fault, fault, GOOD)
    assert (await asleep.get_user("u")).result.user_id == "u"
    assert asleep.counters.requests["get_user"] == 3
    assert asleep.counters.retries["get_user"] == 2


async def test_lasting_faults_are_told_after_the_last_attempt(
    asleep: AsleepClient, vendor: Any
) -> None:
    """The number of attempts is bounded, and the last failure is raised."""
    vendor.refuses(500, "x")
    with pytest.raises(ServerError):
        await asleep.get_user("u")
    assert len(vendor.requests) == ATTEMPTS


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (400, "x"),
        (401, "Unauthorized"),
        (401, "x-user-id is invalid"),
        (403, "Plan is expired"),
        (403, "Quota exceeded"),
        (404, "user does not exist"),
        (409, "x"),
        (413, "x"),
        (422, "x"),
        (301, "x"),
    ],
)
async def test_final_answers_are_not_asked_again(
    asleep: AsleepClient, vendor: Any, status: int, detail: str
) -> None:
    """A refusal that would come again is told at once."""
    vendor.refuses(status, detail)
    with pytest.raises(AsleepError) as caught:
        await asleep.get_session("u", "s")
    assert not isinstance(caught.value, TransientError)
    assert len(vendor.requests) == 1


async def test_refusals_are_counted_by_endpoint(asleep: AsleepClient, vendor: Any) -> None:
    """The client knows how often the API found it too fast."""
    vendor.says(refusal(403, "Rate limit exceeded"), refusal(429, "x"), GOOD)
    await asleep.get_user("u")
    assert asleep.counters.refusals == {"get_user": 2}


async def test_failed_attempts_are_counted_by_endpoint_and_kind(
    asleep: AsleepClient, vendor: Any
) -> None:
    """Those that were outlived as well as the last one."""
    vendor.says(refusal(500, "x"), httpx.ReadError("reset"), GOOD)
    await asleep.get_user("u")
    vendor.says(NO_USER)
    with pytest.raises(UserNotFound):
        await asleep.get_user("u")
    assert asleep.counters.failures == {
        "get_user: ServerError": 1,
        "get_user: ConnectionFailed": 1,
        "get_user: UserNotFound": 1,
    }


async def test_each_retry_leaves_a_line(asleep: AsleepClient, vendor: Any) -> None:
    """It tells what went wrong before it, and how long was waited."""
    vendor.says(refusal(503, "about user-1"), httpx.ReadTimeout("slow"), GOOD)
    with capture_logs() as lines:
        await asleep.get_user("user-1")
    told = [line for line in lines if line["event"] == "asleep_retry"]
    assert [(t["attempt"], t["error"], t["cause"], t["endpoint"]) for t in told] == [
        (2, "ServerError", 503, "get_user"),
        (3, "ConnectionFailed", "ReadTimeout", "get_user"),
    ]
    assert all(line["wait_s"] >= 0 for line in told)
    assert "user-1" not in str(told)


async def test_waits_are_counted(
    asleep: AsleepClient, vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between attempts, and for the budget."""

    async def holds_back() -> None:
        await asyncio.sleep(0.01)

    for name, wait_s in (("wait_initial", 0.01), ("wait_max", 0.01), ("wait_jitter", 0)):
        monkeypatch.setitem(SCHEDULE, name, wait_s)
    monkeypatch.setattr(asleep._call._budget, "acquire", holds_back)
    vendor.says(refusal(500, "x"), GOOD)
    with stamina.set_testing(False):
        await asleep.get_user("u")
    assert asleep.counters.retry_wait_s >= 0.01
    assert asleep.counters.held_back_s >= 0.02


async def test_an_attempt_goes_by_the_schedule_from_the_first_on(
    vendor: Any, asleep: AsleepClient
) -> None:
    """The first attempt is one of the schedule's, although it needs none of it."""
    vendor.says(*[refusal(500, "x")] * (ATTEMPTS - 1), GOOD)
    assert (await asleep.get_user("u")).result.user_id == "u"


@pytest.mark.parametrize(
    "fault",
    [httpx.ReadError("reset"), httpx.ReadTimeout("slow"), refusal(500, "x"), refusal(502, "x")],
)
async def test_user_is_not_created_twice(
    asleep: AsleepClient, vendor: Any, fault: httpx.Response | Exception
) -> None:
    """A creation that may have reached the server is not repeated."""
    vendor.says(fault, GOOD)
    with pytest.raises(TransientError):
        await asleep.create_user()
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [httpx.ConnectError("refused"), refusal(429, "x"), refusal(403, "Rate limit exceeded")],
)
async def test_user_is_created_after_all_when_the_first_request_had_no_effect(
    asleep: AsleepClient, vendor: Any, fault: httpx.Response | Exception
) -> None:
    """A creation that never reached the server, or was refused by it, is repeated."""
    vendor.says(fault, GOOD)
    assert (await asleep.create_user()).result.user_id == "u"


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_deletion_found_done_by_its_own_retry_is_done(
    asleep: AsleepClient, vendor: Any, deletion: str
) -> None:
    """A deletion whose answer was lost meets a 404 the second time: it has taken effect."""
    vendor.says(httpx.ReadError("reset"), NO_USER)
    await DELETIONS[deletion](asleep)
    assert len(vendor.requests) == 2


async def test_deletion_of_what_never_was_is_told(asleep: AsleepClient, vendor: Any) -> None:
    """A 404 at the first attempt is not the client's own doing."""
    vendor.says(NO_USER)
    with pytest.raises(UserNotFound):
        await asleep.delete_user("u")


async def test_deletion_that_had_no_effect_before_a_404_is_told(
    asleep: AsleepClient, vendor: Any
) -> None:
    """What was refused, or never sent, was not deleted by us: somebody must look at the id."""
    vendor.says(refusal(429, "x"), httpx.ConnectError("refused"), NO_USER)
    with pytest.raises(UserNotFound):
        await asleep.delete_user("u")


async def test_reading_what_vanished_during_a_retry_is_told(
    asleep: AsleepClient, vendor: Any
) -> None:
    """Only for a deletion a 404 is a success."""
    vendor.says(refusal(500, "x"), NO_USER)
    with pytest.raises(UserNotFound):
        await asleep.get_user("u")


async def test_waits_grow_up_to_a_cap() -> None:
    """The waits double from half a second up to a cap, in bounded attempts and time."""
    with stamina.set_testing(False):
        attempts = aiter(stamina.retry_context(again, **SCHEDULE))
        attempt = await anext(attempts)
        next_wait = attempt._next_wait_fn
        assert next_wait is not None
        waits = [next_wait(number) for number in range(1, 9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 20, 20]
    assert (SCHEDULE["attempts"], SCHEDULE["timeout"]) == (7, 300)
    assert SCHEDULE["wait_jitter"] > 0


@pytest.mark.parametrize(("said", "shortest"), [(5, 5), (0, 0), (10**9, 60), (float("inf"), 60)])
def test_retry_after_is_honoured_within_bounds(said: float, shortest: float) -> None:
    """The wait that the API asks for is kept, up to a minute, and spread by a second."""
    wait = again(RateLimited("x", endpoint="get_user", retry_after_s=said))
    assert not isinstance(wait, bool)
    assert shortest <= wait <= shortest + 1


@pytest.mark.parametrize(
    ("error", "is_worth_it"),
    [
        (ServerError("x", endpoint="e"), True),
        (ConnectionFailed("x", endpoint="e", sent=True), True),
        (CircuitOpen("x", endpoint="e"), False),
        (UserNotFound("x", endpoint="e"), False),
        (ValueError("x"), False),
    ],
)
def test_only_passing_failures_are_worth_another_attempt(
    error: Exception, is_worth_it: bool
) -> None:
    """An open circuit is no reason to wait in line, and a bug is none to try again."""
    assert again(error) is is_worth_it
