"""Requests of others, passed on to the API with an organisation's key; bodies flow both ways as they come.

The client (`asleep.client`) asks on its own behalf, with attempts, pauses and a budget. Here somebody else
asks and waits, so each request is sent once and its answer handed back as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

import httpx
from pydantic import SecretStr

from asleep_pipeline.asleep._http import UNSENT
from asleep_pipeline.asleep._seam import Content, Incoming
from asleep_pipeline.asleep.errors import ConnectionFailed, TruncatedBody

_MOST_CONNECTIONS: Final = 200
_TIMEOUTS: Final = (httpx.TimeoutException,)


@dataclass(frozen=True, slots=True)
class Passed:
    """One request to be passed on.

    Attributes:
        method: The method.
        segments: The path, segment by segment, none of them quoted.
        query: Names and values, none of them quoted.
        headers: All that go with it but the key, lower case.
        content: The body; with a known length when `headers` tell it.
    """

    method: str
    segments: Sequence[str]
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str] = field(repr=False)
    content: Content = field(repr=False)


class Answer:
    """An answer whose head is here."""

    def __init__(self, incoming: Incoming) -> None:
        self.status = incoming.status
        self.headers = incoming.headers
        self._incoming = incoming

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece, as it was sent.

        Raises:
            TruncatedBody: It broke off.
        """
        try:
            while chunk := await self._incoming.chunk():
                yield chunk
        except httpx.TransportError as error:
            cause = type(error).__name__
            raise TruncatedBody(
                f"The answer broke off ({cause}).", endpoint="proxy", cause=cause
            ) from None


class Passage:
    """Connections by which requests are passed on, within one event loop; no redirect is followed.

    Args:
        base_url: Where they go.
    """

    def __init__(self, base_url: str) -> None:
        # A tenth of a second that commands which only read need not spend.
        from asleep_pipeline.asleep._network import Network  # noqa: PLC0415

        self._base_url = base_url
        self._network = Network(httpx.URL(base_url), _MOST_CONNECTIONS)

    @asynccontextmanager
    async def sent(self, request: Passed, key: SecretStr) -> AsyncIterator[Answer]:
        """Pass a request on, once.

        Raises:
            ConnectionFailed: No answer came; `cause` is `ReadTimeout` when it was waited for in vain.
        """
        path = "/".join(quote(segment, safe="") for segment in request.segments)
        query = f"?{urlencode(request.query)}" if request.query else ""
        headers = {**request.headers, "x-api-key": key.get_secret_value()}
        outcome = await self._sent(
            request.method, f"{self._base_url}/{path}{query}", headers, request.content
        )
        # Raised where nothing holds the request with its key.
        if isinstance(outcome, ConnectionFailed):
            raise outcome
        incoming = outcome
        try:
            yield Answer(incoming)
        finally:
            await incoming.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._network.close()

    async def _sent(
        self, method: str, address: str, headers: Mapping[str, str], content: Content
    ) -> Incoming | ConnectionFailed:
        try:
            return await self._network.send(method, address, headers, content)
        except httpx.TransportError as error:
            return _failed(error)


def _failed(error: httpx.TransportError) -> ConnectionFailed:
    cause = "ReadTimeout" if isinstance(error, _TIMEOUTS) else type(error).__name__
    return ConnectionFailed(
        f"No answer came ({cause}).",
        endpoint="proxy",
        sent=not isinstance(error, UNSENT),
        cause=cause,
    )
