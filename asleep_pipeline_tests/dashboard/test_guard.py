"""Pages of other sites get nothing of anybody's sleep."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from asleep_pipeline.dashboard.guard import Guard
from asleep_pipeline.loopback import is_loopback

OURS = "http://127.0.0.1:2718"
HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answers everybody, and lets every site read it."""
    headers = [(b"Content-Security-Policy", b"default-src *"), (b"x-theirs", b"yes")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"nights"})


async def get(headers: Mapping[str, str], hosts: frozenset[str] | None = HOSTS) -> httpx.Response:
    """Ask the guarded application."""
    transport = httpx.ASGITransport(Guard(application, hosts))
    async with httpx.AsyncClient(transport=transport, base_url=OURS) as client:
        return await client.get("/", headers=headers)


@pytest.mark.parametrize("host", ["127.0.0.1:2718", "localhost:2718", "[::1]:2718", "LOCALHOST"])
async def test_own_names_are_answered(host: str) -> None:
    """By the names of this machine the pages come, with and without a port."""
    answer = await get({"host": host})
    assert (answer.status_code, answer.text) == (200, "nights")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:2718"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
    ],
    ids=str,
)
async def test_others_are_refused(headers: Mapping[str, str]) -> None:
    """A name that only resolves to this machine, and a page of another site, get nothing."""
    answer = await get(headers)
    assert answer.status_code == 403
    assert "nights" not in answer.text


async def test_own_pages_may_send() -> None:
    """What a page of ours sends names itself as the origin."""
    assert (await get({"origin": OURS})).status_code == 200


async def test_any_name_where_a_token_is_needed() -> None:
    """On other addresses names are not known; other sites are refused all the same."""
    assert (await get({"host": "nas.lan"}, None)).status_code == 200
    assert (
        await get({"host": "nas.lan", "origin": "https://evil.example"}, None)
    ).status_code == 403


async def test_nothing_is_fetched_from_elsewhere() -> None:
    """Browsers are told to load nothing from other machines; the rest of an answer stays."""
    answer = await get({})
    (policy,) = answer.headers.get_list("content-security-policy")
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert answer.headers["x-theirs"] == "yes"


async def test_web_socket_of_another_site_is_closed() -> None:
    """A page of another site cannot listen to the pages' own connection."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    headers = [(b"host", b"127.0.0.1:2718"), (b"origin", b"https://evil.example")]
    await Guard(application, HOSTS)({"type": "websocket", "headers": headers}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.1.5", False),
        ("nas.lan", False),
    ],
)
def test_loopback(host: str, is_ours: bool) -> None:
    """Only addresses that no other machine reaches go without a token."""
    assert is_loopback(host) is is_ours
