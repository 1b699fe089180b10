"""What the connections promise beyond the answers they carry, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from asleep_pipeline.asleep import (
    AsleepClient,
    AsleepError,
    ConnectionFailed,
    TransientError,
    TruncatedBody,
    _network,
)
from asleep_pipeline.asleep._http import Request, Wire
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline_tests.asleep.raw_server import BODY, WHOLE, Server, head
from asleep_pipeline_tests.asleep.test_secrets import CANARY, told
from asleep_pipeline_tests.certificates import make_certificate

ATTEMPTS = 4
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names no proxy."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Dropping(Server):
    """Answers the first requests of a connection, then closes it on another without a word."""

    def __init__(self, answered: int, *, reset: bool = False) -> None:
        super().__init__(WHOLE)
        self._answered = answered
        self._reset = reset

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for number in range(self._answered + 1):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if number < self._answered:
                writer.write(WHOLE)
                await writer.drain()
        if self._reset:
            writer.transport.abort()


async def turns(number: int = 100) -> None:
    """Let the event loop meet what has arrived."""
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("reset", [False, True])
async def test_nothing_is_sent_twice_unseen(serve: Any, reset: bool) -> None:
    """Each request that reaches the server is one that the client counts and paces."""
    server = Dropping(2, reset=reset)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        for _ in range(5):
            await client.get_user("u")
    assert len(server.heads) == client.counters.requests["get_user"]
    assert client.counters.failures == {"get_user: ConnectionFailed": server.connections - 1}


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("answered", [0, 1])
async def test_user_is_not_created_twice_over_a_lost_connection(
    serve: Any,
    answered: int,
    reset: bool,
) -> None:
    """Whether new or kept: what was sent over a connection that broke may have taken effect."""
    server = Dropping(answered, reset=reset)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        for _ in range(answered):
            await client.get_user("u")
        with pytest.raises(ConnectionFailed) as caught:
            await client.create_user()
    assert caught.value.sent is True
    assert len(server.heads) == answered + 1


@pytest.mark.parametrize("farewell", [(), ("connection: close",)])
async def test_closed_connections_are_not_used_again(serve: Any, farewell: tuple[str, ...]) -> None:
    """A connection that the server closed after its answer costs no attempt."""
    asked = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(head(f"content-length: {len(BODY)}", *farewell) + BODY)
        await writer.drain()

    async with serve(once) as base_url, AsleepClient("k", base_url=base_url) as client:
        for _ in range(3):
            await client.get_user("u")
            await turns()
    assert (asked, client.counters.requests["get_user"]) == (3, 3)


async def test_an_answer_given_up_is_not_taken_for_the_next(serve: Any) -> None:
    """The connection of a call that was cancelled in the middle of its answer is not used again."""
    asked = asyncio.Event()

    async def slow_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if asked.is_set():
            writer.write(WHOLE)
        else:
            writer.write(head("content-length: 500") + b'{"detail"')
            asked.set()
        await writer.drain()
        await reader.read()

    async with serve(slow_once) as base_url, AsleepClient("k", base_url=base_url) as client:
        call = asyncio.create_task(client.get_user("slow"))
        await asked.wait()
        await turns()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.get_user("u")).body == BODY


async def test_all_connections_are_used_and_kept(serve: Any) -> None:
    """As many requests run as there are connections, and all of these serve again."""
    together = asyncio.Barrier(60)

    class AtOnce(Server):
        async def _head(self, reader: asyncio.StreamReader) -> bytes:
            asked = await super()._head(reader)
            if asked:
                await together.wait()
            return asked

    server = AtOnce(WHOLE)
    async with (
        serve(server) as base_url,
        AsleepClient("k", base_url=base_url, max_connections=60) as client,
    ):
        await asyncio.gather(*(client.get_user("u") for _ in range(180)))
    assert (server.connections, len(server.heads)) == (60, 180)


async def test_cookies_do_not_cross_the_wire_again(serve: Any) -> None:
    """What one answer sets does not travel with the next request."""
    server = Server(head(f"content-length: {len(BODY)}", "set-cookie: a=b; path=/") + BODY)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        await client.get_user("u")
        await client.get_user("v")
    assert b"cookie" not in server.heads[1].lower()


async def test_only_our_headers_are_sent(serve: Any) -> None:
    """A request names no type for a body that it does not have, and who asks."""
    server = Server(WHOLE)
    async with serve(server) as base_url, AsleepClient("k", base_url=base_url) as client:
        await client.create_user()
    lines = server.heads[0].decode().lower().splitlines()[1:-1]
    names = sorted(line.partition(":")[0] for line in lines)
    assert names == [
        "accept",
        "accept-encoding",
        "content-length",
        "host",
        "user-agent",
        "x-api-key",
    ]
    assert any(line.startswith("user-agent: asleep-pipeline/") for line in lines)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(b"", ConnectionFailed, id="nothing"),
        pytest.param(b"what\r\n\r\n", ConnectionFailed, id="no HTTP"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", ConnectionFailed, id="no status"),
        pytest.param(head("x: " + "y" * 100_000) + BODY, ConnectionFailed, id="endless header"),
        pytest.param(head("content-length: x") + BODY, ConnectionFailed, id="no length"),
        pytest.param(head("transfer-encoding: chunked") + b"zz\r\n", TransientError, id="no chunk"),
        pytest.param(head("content-length: 500") + BODY, TruncatedBody, id="too short"),
    ],
)
async def test_key_is_in_no_error_of_the_network(
    serve: Any, caplog: pytest.LogCaptureFixture, answer: bytes, kind: type[AsleepError]
) -> None:
    """Whatever a server does to a connection: errors and logs hold neither key nor ids."""
    caplog.set_level(logging.DEBUG)
    async with (
        serve(Server(answer)) as base_url,
        AsleepClient(CANARY, base_url=base_url) as client,
    ):
        with pytest.raises(kind) as caught:
            await client.get_session("user-1", "session-1")
        assert client.counters.requests["get_session"] == ATTEMPTS
    for secret in (CANARY.get_secret_value(), "user-1", "session-1"):
        assert secret not in caplog.text
    assert CANARY.get_secret_value() not in told(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("said", "kind", "cause"),
    [(b"", ConnectionFailed, "ReadTimeout"), (WHOLE[:-9], TruncatedBody, "ReadTimeout")],
)
async def test_silence_is_given_up(
    serve: Any,
    monkeypatch: pytest.MonkeyPatch,
    said: bytes,
    kind: type[AsleepError],
    cause: str,
) -> None:
    """A server that falls silent, before its answer or within, is not waited for without end."""
    monkeypatch.setattr(_network, "_TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.01))

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await reader.read()

    async with serve(silent) as base_url:
        wire = Wire(SecretStr("k"), base_url=base_url, max_connections=1)
        with pytest.raises(kind) as caught:
            await wire.send(Request("get_user", "GET", "/"))
        await wire.close()
    assert caught.value.cause == cause


async def test_proxy_of_the_environment_is_used(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy gets the whole address and its own login, unless the host is excepted."""
    proxy = Server(WHOLE)
    async with serve(proxy) as address:
        monkeypatch.setenv("HTTP_PROXY", address.replace("//", "//me:secret@"))
        async with AsleepClient("k", base_url="http://api.invalid") as client:
            await client.get_user("u")
        monkeypatch.setenv("NO_PROXY", "api.invalid")
        async with AsleepClient("k", base_url="http://api.invalid") as client:
            with pytest.raises(ConnectionFailed):
                await client.get_user("u")
    assert len(proxy.heads) == 1
    assert proxy.heads[0].startswith(b"GET http://api.invalid/ai/v1/users/u HTTP/1.1\r\n")
    assert b"proxy-authorization: basic bwu6c2vjcmv0\r\n" in proxy.heads[0].lower()


async def test_refusal_of_a_proxy_is_no_answer_of_the_api(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tunnel that the proxy does not open never carried the request."""
    proxy = Server(head("content-length: 0", status="407 No"))
    async with serve(proxy) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        async with AsleepClient("k", base_url="https://api.invalid") as client:
            with pytest.raises(ConnectionFailed) as caught:
                await client.create_user()
    assert caught.value.sent is False
    assert proxy.heads[0].startswith(b"CONNECT api.invalid:443 HTTP/1.1\r\n")
    assert b"x-api-key" not in proxy.heads[0]


@pytest.mark.parametrize(
    "address",
    ["socks5://me:secret@proxy:1", "http://me:secret@proxy:x", "http://me:secret@proxy:99999"],
)
def test_unusable_proxy_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """It is said at once, and without the password that it may hold."""
    monkeypatch.setenv("ALL_PROXY", address)
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        AsleepClient("k")
    assert "secret" not in told(caught.value)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Certificate and key of this machine, signed by itself."""
    made, path = make_certificate(tmp_path), tmp_path / "self.pem"
    path.write_bytes(made.key.read_bytes() + made.chain.read_bytes())
    return path


@pytest.fixture
def fresh_tls(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], None]:
    """Trust a certificate, or only those of the system, from now on."""

    def trust(path: Path | None) -> None:
        _network._tls.cache_clear()
        if path:
            monkeypatch.setenv("SSL_CERT_FILE", str(path))

    return trust


async def test_certificates_are_verified(
    certificate: Path, fresh_tls: Callable[[Path | None], None]
) -> None:
    """A server that cannot prove its name never gets the key, unless the system is told to trust it."""
    server = Server(WHOLE)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    listening = await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls)
    base_url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        fresh_tls(None)
        async with AsleepClient("k", base_url=base_url) as client:
            with pytest.raises(ConnectionFailed) as caught:
                await client.create_user()
        assert (caught.value.sent, server.heads) == (False, [])
        fresh_tls(certificate)
        async with AsleepClient("k", base_url=base_url) as client:
            assert (await client.get_user("u")).body == BODY
        fresh_tls(None)
