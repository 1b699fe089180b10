"""Where requests leave the client: a pool of connections, or an httpx transport in its place."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Protocol, TypeAlias, cast

import httpx

Content: TypeAlias = bytes | AsyncIterable[bytes] | None
"""A body, at once or as it comes."""


class Incoming(Protocol):
    """An answer whose head is here, and whose body is not packed out."""

    status: int
    headers: Mapping[str, str]

    async def chunk(self) -> bytes:
        """The next piece of the body; nothing at its end.

        Raises:
            httpx.TransportError: The answer broke off.
        """

    async def close(self) -> None:
        """Let go of the answer, whether or not it was read to its end."""


class Connections(Protocol):
    """What requests are sent through."""

    async def send(
        self, method: str, address: str, headers: Mapping[str, str], content: Content
    ) -> Incoming:
        """Send one request, once.

        Raises:
            httpx.TransportError: No answer came; one of `httpx.ConnectError` and its like only when
                the request was not sent.
        """

    async def close(self) -> None:
        """Close all connections."""


class Through:
    """An httpx transport as `Connections`."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(
        self, method: str, address: str, headers: Mapping[str, str], content: Content
    ) -> Incoming:
        """See `Connections`."""
        # As bytes: httpx would refuse what is not ASCII.
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = httpx.Request(method, address, headers=encoded, content=content)
        return _Incoming(await self._transport.handle_async_request(request))

    async def close(self) -> None:
        """See `Connections`."""
        await self._transport.aclose()


class _Incoming:
    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._chunks: AsyncIterator[bytes] = aiter(cast(httpx.AsyncByteStream, response.stream))

    async def chunk(self) -> bytes:
        return await anext(self._chunks, b"")

    async def close(self) -> None:
        await self._response.aclose()
