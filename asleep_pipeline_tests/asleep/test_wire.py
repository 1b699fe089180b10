"""What only a real socket can do to a client."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from pydantic import SecretStr

from asleep_pipeline.asleep import (
    AsleepClient,
    BodyTooLarge,
    ConnectionFailed,
    Redirected,
    TruncatedBody,
    _http,
)
from asleep_pipeline.asleep._http import Request, Wire
from asleep_pipeline_tests.asleep.raw_server import BODY, WHOLE, Server, head

ATTEMPTS = 4


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(head("content-length: 500") + BODY, id="shorter than announced"),
        pytest.param(head("transfer-encoding: chunked") + b'5\r\n{"res', id="inside a chunk"),
        pytest.param(head("connection: close") + BODY[:-3], id="no length, JSON cut"),
        pytest.param(
            head("content-encoding: gzip", "connection: close") + gzip.compress(BODY)[:20],
            id="gzip cut",
        ),
        pytest.param(
            head("content-encoding: gzip", "content-length: 5") + b"xxxxx", id="gzip broken"
        ),
        pytest.param(
            head("content-encoding: gzip", "connection: close") + gzip.compress(BODY)[:-1],
            id="gzip without its checksum",
        ),
        pytest.param(
            head("content-encoding: gzip", "connection: close")
            + gzip.compress(BODY[:-3])
            + gzip.compress(BODY[-3:]),
            id="gzip in two parts",
        ),
    ],
)
async def test_truncated_answers_are_asked_for_again(serve: Any, cut: bytes) -> None:
    """An answer that breaks off, in whichever way, is fetched again; lasting, it is told."""
    passing = Server(cut, WHOLE)
    async with serve(passing) as base_url, AsleepClient("k", base_url=base_url) as client:
        assert (await client.get_user("u")).result.user_id == "u"
    lasting = Server(cut)
    async with serve(lasting) as base_url, AsleepClient("k", base_url=base_url) as client:
        with pytest.raises(TruncatedBody):
            await client.get_user("u")
    assert len(lasting.heads) == ATTEMPTS


async def test_closed_connection_is_tried_again(serve: Any) -> None:
    """A connection closed without an answer costs another attempt."""
    server = Server(b"", WHOLE)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        await client.get_user("u")
    assert len(server.heads) == 2


async def test_reset_connection_is_tried_again(serve: Any) -> None:
    """A connection reset in the middle of an answer costs another attempt."""
    asked = 0

    async def reset_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        if asked > 1:
            writer.write(WHOLE)
            await writer.drain()
        else:
            writer.write(head("content-length: 500"))
            writer.transport.abort()

    async with serve(reset_once) as base_url, AsleepClient("k", base_url=base_url) as client:
        await client.get_user("u")
    assert asked == 2


async def test_nobody_listening_is_a_failed_connection(serve: Any) -> None:
    """A refused connection never reached the server, so that even a creation is repeated."""
    async with serve(Server(WHOLE)) as base_url:
        pass
    async with AsleepClient("k", base_url=base_url) as client:
        with pytest.raises(ConnectionFailed) as caught:
            await client.create_user()
    assert caught.value.sent is False
    assert client.counters.requests["create_user"] == ATTEMPTS


async def test_redirects_are_not_followed(serve: Any) -> None:
    """The key never travels to where a redirect points."""
    elsewhere = Server(WHOLE)
    async with serve(elsewhere) as target:
        redirecting = Server(
            head(f"location: {target}/ai/v1/users/u", "content-length: 0", status="307 Moved")
        )
        async with serve(redirecting) as base_url, AsleepClient("k", base_url=base_url) as client:
            with pytest.raises(Redirected):
                await client.get_user("u")
    assert (len(redirecting.heads), elsewhere.connections) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(head("content-length: 1001") + b"x" * 1001, id="announced"),
        pytest.param(head("connection: close") + b"x" * 1001, id="without length"),
        pytest.param(
            head("content-encoding: gzip", "connection: close") + gzip.compress(b"x" * 10**6),
            id="compressed",
        ),
        pytest.param(head("connection: close", status="500 Oops") + b"x" * 1001, id="of an error"),
    ],
)
async def test_bodies_are_bounded(serve: Any, answer: bytes) -> None:
    """A body is read up to the cap, counted after decompression, whatever the status."""
    async with serve(Server(answer)) as base_url:
        wire = Wire(SecretStr("k"), base_url=base_url, max_connections=1, max_body_bytes=1000)
        with pytest.raises(BodyTooLarge, match="exceeds 1000 bytes"):
            await wire.send(Request("get_user", "GET", "/"))
        await wire.close()


async def test_body_of_exactly_the_cap_is_read(serve: Any) -> None:
    """The cap itself is allowed."""
    answer = head("content-length: 1000") + b"x" * 1000
    async with serve(Server(answer)) as base_url:
        wire = Wire(SecretStr("k"), base_url=base_url, max_connections=1, max_body_bytes=1000)
        assert len((await wire.send(Request("get_user", "GET", "/"))).body) == 1000
        await wire.close()


async def test_cap_is_32_mib() -> None:
    """No session comes near the cap of a client, a runaway answer meets it."""
    assert _http.MAX_BODY_BYTES == 32 * 2**20


async def test_answer_that_drips_is_given_up(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has a time limit as a whole, not only for each piece of its answer."""
    monkeypatch.setattr(_http, "_WHOLE_REQUEST_S", 0.01)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head("content-length: 500"))
        await writer.drain()
        await reader.read()

    async with serve(drip) as base_url:
        wire = Wire(SecretStr("k"), base_url=base_url, max_connections=1)
        with pytest.raises(ConnectionFailed, match="took longer") as caught:
            await wire.send(Request("create_user", "POST", "/"))
        await wire.close()
    assert caught.value.sent is True
    assert caught.value.__context__ is None


async def test_connections_are_kept(serve: Any) -> None:
    """One connection serves many requests."""
    server = Server(WHOLE)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        for _ in range(5):
            await client.get_user("u")
    assert (server.connections, len(server.heads)) == (1, 5)


async def test_an_empty_body_may_be_called_compressed(serve: Any) -> None:
    """What was deleted is deleted, whatever a proxy adds to the answer."""
    answer = head("content-encoding: gzip", "content-length: 0", status="204 No Content")
    server = Server(answer)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        await client.delete_session("u", "20250101000000_abcde")
    assert len(server.heads) == 1


async def test_gzip_is_read(serve: Any) -> None:
    """A compressed answer is handed on as the JSON it holds."""
    packed = gzip.compress(BODY)
    answer = head("content-encoding: gzip", f"content-length: {len(packed)}") + packed
    server = Server(answer)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        assert (await client.get_user("u")).body == BODY
    assert b"accept-encoding: gzip\r\n" in server.heads[0].lower()


async def test_ids_cross_the_wire_quoted(serve: Any) -> None:
    """The request line holds the id as one segment, and the header holds it as UTF-8."""
    server = Server(WHOLE)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        await client.get_session("é", "../ai/v1/users?x=1#y;z+%2F")
    first, _, rest = server.heads[0].partition(b"\r\n")
    path = b"/data/v3/sessions/..%2Fai%2Fv1%2Fusers%3Fx%3D1%23y%3Bz%2B%252F"
    assert first == b"GET " + path + b" HTTP/1.1"
    assert "x-user-id: é\r\n".encode() in rest.lower()
