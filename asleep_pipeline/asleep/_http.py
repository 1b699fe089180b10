"""One request out, one bounded answer in."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import unquote, urlencode

import httpx
from pydantic import SecretStr

from asleep_pipeline import __version__
from asleep_pipeline.asleep._seam import Connections, Incoming, Through
from asleep_pipeline.asleep.errors import (
    AsleepError,
    BodyTooLarge,
    ConnectionFailed,
    TruncatedBody,
)
from asleep_pipeline.errors import ConfigurationError

Transport: TypeAlias = httpx.AsyncBaseTransport

MAX_BODY_BYTES: Final = 32 * 2**20
# Ends an answer that drips, which no timeout of a single read would, and one with a garbled chunk,
# which aiohttp leaves waiting.
_WHOLE_REQUEST_S: Final = 90.0
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True)
class Request:
    """One call of the API.

    Attributes:
        endpoint: Its name in logs, counters and errors.
        method: The HTTP method.
        path: Path with its ids quoted.
        headers: Beyond the key; user ids are data and never printed.
        query: Parameters of the query.
        content: JSON body, if any.
        has_result: Whether a good answer carries a ``result``.
        repeatable: Whether sending it twice has the effect of sending it once.
    """

    endpoint: str
    method: str
    path: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str | int] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    has_result: bool = True
    repeatable: bool = True

    @property
    def ids(self) -> tuple[str, ...]:
        """The user and the session it is about: what no error may quote."""
        in_path = map(unquote, self.path.split("/")[4:5])
        return tuple(filter(None, (*in_path, self.headers.get("x-user-id", ""))))


@dataclass(frozen=True)
class Reply:
    """What came back: lower-case header names, the body after decompression."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Wire:
    """The connection pool behind one key.

    Args:
        key: Sent with each request, to the base address only: redirects are not followed.
        base_url: Scheme, host and an optional path prefix.
        max_connections: Size of the pool.
        max_body_bytes: Cap of a body after decompression.
        transport: Replaces the network, for tests.

    Raises:
        ConfigurationError: If the base address is not one.
    """

    def __init__(
        self,
        key: SecretStr,
        *,
        base_url: str,
        max_connections: int,
        max_body_bytes: int = MAX_BODY_BYTES,
        transport: Transport | None = None,
    ) -> None:
        self._base_url = _checked_base(base_url)
        self._max_body_bytes = max_body_bytes
        self._connections = _connections(self._base_url, max_connections, transport)
        self._headers = {
            "x-api-key": key.get_secret_value(),
            "accept": "application/json",
            "accept-encoding": "gzip",
            "user-agent": f"asleep-pipeline/{__version__}",
        }

    async def send(self, request: Request) -> Reply:
        """Send one request and read its answer, whatever its status.

        Raises:
            ConnectionFailed: If no answer came.
            TruncatedBody: If the answer broke off.
            BodyTooLarge: If the answer exceeds the cap.
        """
        try:
            async with asyncio.timeout(_WHOLE_REQUEST_S):
                outcome = await self._exchange(request)
        except TimeoutError:
            outcome = ConnectionFailed(
                f"{request.endpoint} took longer than {_WHOLE_REQUEST_S:.0f} s.",
                endpoint=request.endpoint,
                sent=True,
                cause="TimeoutError",
            )
        # Raised here and not where it was met: httpx's own errors hold the request with its key.
        if isinstance(outcome, AsleepError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Close the pool."""
        await self._connections.close()

    async def _exchange(self, request: Request) -> Reply | AsleepError:
        try:
            incoming = await self._connections.send(
                request.method,
                self._address(request),
                {**self._headers, **request.headers},
                request.content,
            )
        except httpx.TransportError as error:
            return _no_answer(request.endpoint, error)
        try:
            body = await self._read(incoming, request.endpoint)
        finally:
            await incoming.close()
        if isinstance(body, AsleepError):
            return body
        return Reply(incoming.status, incoming.headers, body)

    def _address(self, request: Request) -> str:
        query = f"?{urlencode(request.query)}" if request.query else ""
        return f"{self._base_url}{request.path}{query}"

    async def _read(self, incoming: Incoming, endpoint: str) -> bytes | AsleepError:
        """Read the body up to the cap, which holds for what comes out of a compressed one."""
        chunks: list[bytes] = []
        room = self._max_body_bytes
        gunzip = _gunzip(incoming.headers)
        try:
            while chunk := await incoming.chunk():
                plain = gunzip.decompress(chunk, room + 1) if gunzip else chunk
                room -= len(plain)
                if room < 0:
                    return _too_large(endpoint, incoming.status, self._max_body_bytes)
                chunks.append(plain)
        except (httpx.TransportError, zlib.error) as error:
            return _cut_short(endpoint, incoming.status, error)
        # A proxy may call an empty body compressed, too; and nothing may follow its end.
        if gunzip and chunks and (not gunzip.eof or gunzip.unused_data.strip(b"\0")):
            return _cut_short(endpoint, incoming.status, EOFError())
        return b"".join(chunks)


def _gunzip(headers: Mapping[str, str]) -> zlib._Decompress | None:
    """What unpacks the body; None when it is not compressed as we ask for."""
    is_packed = headers.get("content-encoding", "").strip().lower() in _GZIP
    return zlib.decompressobj(_GZIP_WINDOW) if is_packed else None


def _checked_base(base_url: str) -> str:
    try:
        url: httpx.URL | None = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host or _says_more(url):
        raise ConfigurationError(
            f"The base address {base_url[:80]!r} is not one.",
            fix="Give scheme and host, such as https://api.asleep.ai.",
        )
    return str(url).rstrip("/")


def _connections(base_url: str, size: int, transport: Transport | None) -> Connections:
    if transport:
        return Through(transport)
    # A tenth of a second that commands which only read need not spend.
    from asleep_pipeline.asleep._network import Network  # noqa: PLC0415

    return Network(httpx.URL(base_url), size)


def _says_more(url: httpx.URL) -> bool:
    return bool(url.userinfo or url.query or url.fragment)


def _no_answer(endpoint: str, error: httpx.TransportError) -> ConnectionFailed:
    # The text of a protocol error may quote a header, so only the kind is told.
    cause = type(error).__name__
    return ConnectionFailed(
        f"{endpoint} got no answer ({cause}).",
        endpoint=endpoint,
        sent=not isinstance(error, UNSENT),
        cause=cause,
    )


def _cut_short(endpoint: str, status: int, error: Exception) -> TruncatedBody:
    cause = type(error).__name__
    return TruncatedBody(
        f"The answer of {endpoint} broke off ({cause}).",
        fix="Try again later.",
        endpoint=endpoint,
        status=status,
        cause=cause,
    )


def _too_large(endpoint: str, status: int, cap: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The answer of {endpoint} exceeds {cap} bytes and was not read.",
        fix="Check that the base address is the API's.",
        endpoint=endpoint,
        status=status,
    )
