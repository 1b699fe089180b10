"""What the client asks, and how it hands the answers on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from asleep_pipeline.asleep import AsleepClient, InvalidRequest, Metadata
from asleep_pipeline.errors import ConfigurationError

Call = Callable[[AsleepClient], Awaitable[object]]
JAN, FEB = date(2026, 1, 1), date(2026, 2, 1)
PERIOD = {"start_date": "2026-01-01", "end_date": "2026-01-02"}


OWN_HEADERS = ("x-api-key", "x-user-id", "timezone")
WITH_BAD_VALUE: dict[str, Callable[[AsleepClient, str], Awaitable[object]]] = {
    "get_user": lambda c, bad: c.get_user(bad),
    "update_user": lambda c, bad: c.update_user(bad, None),
    "delete_user": lambda c, bad: c.delete_user(bad),
    "get_session": lambda c, bad: c.get_session("u", bad),
    "get_session of a user": lambda c, bad: c.get_session(bad, "s"),
    "get_session in a zone": lambda c, bad: c.get_session("u", "s", bad),
    "delete_session": lambda c, bad: c.delete_session("u", bad),
    "delete_sessions": lambda c, bad: c.delete_sessions(bad),
    "average_stats": lambda c, bad: c.average_stats(bad, JAN, FEB),
    "session_pages": lambda c, bad: anext(c.session_pages(bad, None, None)),
}


def ok(result: Any) -> httpx.Response:
    """A success with this result."""
    return httpx.Response(200, json={"detail": "success", "result": result})


@pytest.mark.parametrize(
    ("call", "line", "headers"),
    [
        (lambda c: c.create_user(), "POST /ai/v1/users", {}),
        (lambda c: c.get_user("u"), "GET /ai/v1/users/u", {}),
        (lambda c: c.update_user("u", None), "PUT /ai/v1/users/u", {}),
        (lambda c: c.delete_user("u"), "DELETE /ai/v1/users/u", {}),
        (
            lambda c: anext(c.session_pages("u", JAN, None, "Asia/Seoul")),
            "GET /data/v1/sessions?date_gte=2026-01-01&order_by=ASC&offset=0&limit=100",
            {"x-user-id": "u", "timezone": "Asia/Seoul"},
        ),
        (
            lambda c: anext(c.session_pages("u", None, FEB)),
            "GET /data/v1/sessions?date_lte=2026-02-01&order_by=ASC&offset=0&limit=100",
            {"x-user-id": "u", "timezone": "UTC"},
        ),
        (
            lambda c: c.get_session("u", "s"),
            "GET /data/v3/sessions/s",
            {"x-user-id": "u", "timezone": "UTC"},
        ),
        (lambda c: c.delete_session("u", "s"), "DELETE /ai/v1/sessions/s", {"x-user-id": "u"}),
        (lambda c: c.delete_sessions("u"), "DELETE /ai/v1/sessions", {"x-user-id": "u"}),
        (
            lambda c: c.average_stats("u", JAN, FEB, "Asia/Seoul"),
            "GET /data/v1/users/u/average-stats?start_date=2026-01-01&end_date=2026-02-01",
            {"timezone": "Asia/Seoul"},
        ),
    ],
)
async def test_each_endpoint_is_asked_as_the_contract_says(
    asleep: AsleepClient, vendor: Any, call: Call, line: str, headers: dict[str, str]
) -> None:
    """Method, path, query and headers of all nine endpoints (contract section 2)."""
    vendor.says(ok({"user_id": "u", "sleep_session_list": [], "timezone": "UTC"}))
    await call(asleep)
    (request,) = vendor.requests
    assert f"{request.method} {request.url.raw_path.decode()}" == line
    sent = {name: request.headers[name] for name in OWN_HEADERS if name in request.headers}
    assert sent == headers | {"x-api-key": "a-key"}


@pytest.mark.parametrize(
    ("hostile", "quoted"),
    [
        ("a/../b", "a%2F..%2Fb"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("a%2Fb", "a%252Fb"),
        ("a b", "a%20b"),
        ("사용자", "%EC%82%AC%EC%9A%A9%EC%9E%90"),
        ("...", "..."),
    ],
)
async def test_ids_are_quoted(asleep: AsleepClient, vendor: Any, hostile: str, quoted: str) -> None:
    """An id is one segment of the path, whatever it holds, and arrives in a header as it is."""
    vendor.says(ok({}))
    await asleep.get_session(hostile, hostile)
    (request,) = vendor.requests
    assert request.url.raw_path.decode() == f"/data/v3/sessions/{quoted}"
    assert dict(request.headers.raw)[b"x-user-id"].decode() == hostile


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", "a\r\nx: y", "a\x00", " a", "\ud800"])
@pytest.mark.parametrize("call", WITH_BAD_VALUE)
async def test_impossible_ids_are_never_sent(
    asleep: AsleepClient, vendor: Any, call: str, bad: str
) -> None:
    """An id or zone that could become another path or header is refused before the network."""
    with pytest.raises(InvalidRequest):
        await WITH_BAD_VALUE[call](asleep, bad)
    assert vendor.requests == []


async def test_metadata_is_sent_whole(asleep: AsleepClient, vendor: Any) -> None:
    """An update carries every key, also those set to null and those nobody documented."""
    vendor.says(ok({"user_id": "u", "metadata": None}))
    await asleep.update_user("u", Metadata(birth_year=1990, height=170.5, extra={"new": 1}))
    assert json.loads(vendor.requests[0].content) == {
        "metadata": {
            "birth_year": 1990,
            "birth_month": None,
            "birth_day": None,
            "gender": None,
            "height": 170.5,
            "weight": None,
            "new": 1,
        }
    }
    assert vendor.requests[0].headers["content-type"] == "application/json"


async def test_user_is_created_without_a_body_when_there_is_nothing_to_say(
    asleep: AsleepClient, vendor: Any
) -> None:
    """Metadata is optional; the answer holds the id that Asleep issued."""
    vendor.says(httpx.Response(201, json={"detail": "success", "result": {"user_id": "G-1"}}))
    answer = await asleep.create_user()
    assert (answer.status, answer.result.user_id) == (201, "G-1")
    assert vendor.requests[0].content == b""


async def test_answer_keeps_the_bytes_and_decodes_once(
    asleep: AsleepClient, vendor: Any, session: dict[str, Any]
) -> None:
    """The body is as received, the time is UTC, the result is one object."""
    vendor.says(ok(session))
    before = datetime.now(UTC)
    answer = await asleep.get_session("u", "s")
    assert before <= answer.fetched_at <= datetime.now(UTC)
    assert json.loads(answer.body)["result"] == session
    assert answer.result is answer.result
    assert answer.result.session.id == session["session"]["id"]


async def test_deletions_return_nothing(asleep: AsleepClient, vendor: Any) -> None:
    """An answer without a body is a success for a deletion."""
    vendor.says(httpx.Response(204))
    await asleep.delete_user("u")
    await asleep.delete_session("u", "s")
    await asleep.delete_sessions("u")
    assert len(vendor.requests) == 3


@pytest.mark.parametrize(("days", "windows"), [(0, 1), (99, 1), (100, 2), (199, 2), (365, 4)])
async def test_long_periods_are_split(
    asleep: AsleepClient, vendor: Any, days: int, windows: int
) -> None:
    """Windows have at most 99 days of difference and leave neither gap nor overlap."""
    vendor.says(ok({"period": PERIOD}))
    answers = [
        answer async for answer in asleep.average_stats_windows("u", JAN, JAN + timedelta(days))
    ]
    asked = [
        (date.fromisoformat(request.url.params["start_date"]), request.url.params["end_date"])
        for request in vendor.requests
    ]
    assert len(answers) == len(asked) == windows
    covered = [
        start + timedelta(each)
        for start, end in asked
        for each in range((date.fromisoformat(end) - start).days + 1)
    ]
    assert covered == [JAN + timedelta(each) for each in range(days + 1)]
    assert all((date.fromisoformat(end) - start).days <= 99 for start, end in asked)


async def test_period_that_ends_before_it_starts_is_refused(asleep: AsleepClient) -> None:
    """A period turned around is an error, not an empty answer."""
    with pytest.raises(InvalidRequest, match="2026-01-01 lies before the start 2026-02-01"):
        await anext(asleep.average_stats_windows("u", FEB, JAN))


async def test_no_more_calls_run_than_connections() -> None:
    """Calls beyond the number of connections wait for their turn."""
    running = most = 0

    async def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return ok({})

    transport = httpx.MockTransport(answer)
    async with AsleepClient("a-key", max_connections=3, transport=transport) as client:
        await asyncio.gather(*(client.get_user(str(each)) for each in range(20)))
    assert most == 3


async def test_each_request_leaves_one_line(asleep: AsleepClient, vendor: Any) -> None:
    """A line tells endpoint, status, attempt and time; nothing about the user or the query."""
    vendor.says(httpx.Response(500, json={"detail": "x"}), ok({}))
    with capture_logs() as lines:
        await asleep.get_session("user-1", "session-1")
    ours = [line for line in lines if line["event"] == "asleep_request"]
    assert [(line["status"], line["attempt"], line["log_level"]) for line in ours] == [
        (500, 1, "warning"),
        (200, 2, "debug"),
    ]
    assert {line["endpoint"] for line in ours} == {"get_session"}
    assert all(line["elapsed_ms"] >= 0 for line in ours)
    assert "user-1" not in str(ours)
    assert "session-1" not in str(ours)


async def test_cookies_are_not_kept(asleep: AsleepClient, vendor: Any) -> None:
    """What one answer sets does not travel with the next request."""
    vendor.says(httpx.Response(200, json={"result": {}}, headers={"set-cookie": "a=b"}))
    await asleep.get_user("u")
    await asleep.get_user("v")
    assert "cookie" not in vendor.requests[1].headers


@pytest.mark.parametrize("key", ["", "a key", "a\nkey", "schlüssel"])
def test_unusable_key_is_refused_without_being_shown(key: str) -> None:
    """A key with characters that no key has is refused before it is sent."""
    with pytest.raises(ConfigurationError) as caught:
        AsleepClient(SecretStr(key))
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "api.asleep.ai"},
        {"base_url": "ftp://api.asleep.ai"},
        {"base_url": "https://"},
        {"base_url": "https://user:pass@api.asleep.ai"},
        {"requests_per_second": 0},
        {"requests_per_second": float("nan")},
        {"max_connections": 0},
    ],
)
def test_unusable_settings_are_refused(options: dict[str, Any]) -> None:
    """An address or a number that cannot work is refused when the client is made."""
    with pytest.raises(ConfigurationError):
        AsleepClient("a-key", **options)


async def test_address_may_have_a_path(vendor: Any) -> None:
    """A proxy may serve the API below a path."""
    transport = httpx.MockTransport(vendor)
    async with AsleepClient("k", base_url="http://proxy:81/asleep/", transport=transport) as client:
        await client.get_user("u")
    assert str(vendor.requests[0].url) == "http://proxy:81/asleep/ai/v1/users/u"
