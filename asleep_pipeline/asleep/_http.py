"""The one module that knows httpx: one request out, one bounded answer in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, TypeAlias

import httpx
from pydantic import SecretStr

from asleep_pipeline import __version__
from asleep_pipeline.asleep.errors import (
    AsleepError,
    BodyTooLarge,
    ConnectionFailed,
    TruncatedBody,
)
from asleep_pipeline.errors import ConfigurationError

Transport: TypeAlias = httpx.AsyncBaseTransport

MAX_BODY_BYTES: Final = 32 * 2**20
# Waiting for a connection has no limit: the client hands out no more requests than connections.
_TIMEOUT: Final = httpx.Timeout(connect=10.0, read=30.0, write=30.0, pool=None)
# Ends an answer that drips, which no timeout of a single read would.
_WHOLE_REQUEST_S: Final = 90.0
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


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
        max_connections: Size of the pool; httpx is slow beyond 8.
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
        _silence_addresses()
        self._client = httpx.AsyncClient(
            headers={
                "x-api-key": key.get_secret_value(),
                "accept": "application/json",
                "accept-encoding": "gzip",
                "user-agent": f"asleep-pipeline/{__version__}",
            },
            # A cookie set for one user must not travel with the request of another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx.Limits(
                max_connections=max_connections, max_keepalive_connections=max_connections
            ),
            timeout=_TIMEOUT,
            transport=transport,
        )

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
            )
        # Raised here and not where it was met: httpx's own errors hold the request with its key.
        if isinstance(outcome, AsleepError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()

    async def _exchange(self, request: Request) -> Reply | AsleepError:
        try:
            response = await self._client.send(self._built(request), stream=True)
        except httpx.TransportError as error:
            return _no_answer(request.endpoint, error)
        async with aclosing(response):
            body = await self._read(response, request.endpoint)
        if isinstance(body, AsleepError):
            return body
        return Reply(response.status_code, response.headers, body)

    def _built(self, request: Request) -> httpx.Request:
        return self._client.build_request(
            request.method,
            self._base_url + request.path,
            params=request.query or None,
            headers=[(name.encode(), value.encode()) for name, value in request.headers.items()],
            content=request.content,
        )

    async def _read(self, response: httpx.Response, endpoint: str) -> bytes | AsleepError:
        chunks: list[bytes] = []
        room = self._max_body_bytes
        try:
            async for chunk in response.aiter_bytes():
                room -= len(chunk)
                if room < 0:
                    return _too_large(endpoint, response.status_code, self._max_body_bytes)
                chunks.append(chunk)
        except (httpx.TransportError, httpx.DecodingError) as error:
            return _cut_short(endpoint, response.status_code, error)
        return b"".join(chunks)


def _checked_base(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
        usable = url.scheme in {"http", "https"} and url.host and not url.query and not url.userinfo
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise ConfigurationError(
            f"The base address {base_url[:80]!r} is not one.",
            fix="Give scheme and host, such as https://api.asleep.ai.",
        )
    return base_url.rstrip("/")


def _silence_addresses() -> None:
    """Keep httpx from logging whole addresses, user ids included, at level INFO."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _no_answer(endpoint: str, error: httpx.TransportError) -> ConnectionFailed:
    # The text of a protocol error may quote a header, so only the kind is told.
    return ConnectionFailed(
        f"{endpoint} got no answer ({type(error).__name__}).",
        endpoint=endpoint,
        sent=not isinstance(error, _UNSENT),
    )


def _cut_short(endpoint: str, status: int, error: httpx.HTTPError) -> TruncatedBody:
    return TruncatedBody(
        f"The answer of {endpoint} broke off ({type(error).__name__}).",
        fix="Try again later.",
        endpoint=endpoint,
        status=status,
    )


def _too_large(endpoint: str, status: int, cap: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The answer of {endpoint} exceeds {cap} bytes and was not read.",
        fix="Check that the base address is the API's.",
        endpoint=endpoint,
        status=status,
    )
