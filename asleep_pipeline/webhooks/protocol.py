"""HTTP as uvicorn speaks it, with an end to what a sender may keep it waiting for.

uvicorn's fast parser takes headers of any size and waits for the rest of a request for ever.
"""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import Any, Final, cast

from litestar.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from asleep_pipeline.webhooks.answers import NOT_KEPT, Answer, problem

MOST_HEADER_BYTES: Final = 64 * 1024
MOST_CONNECTIONS: Final = 4_000
SLOWEST_S: Final = 30.0
"""So long may a request take to come, and a new connection until its first."""

_LOOKED_S: Final = 5.0


class GuardedProtocol(HttpToolsProtocol):
    """One connection.

    Attributes:
        patience_s: So long may a request take to come.
        most_connections: Requests on more than so many are answered 503, and their connection ends.
    """

    patience_s = SLOWEST_S
    most_connections = MOST_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_headers = True
        self._header_bytes = 0
        self._waits_since = 0.0
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the clock."""
        super().connection_made(transport)
        self._waits_since = self.loop.time()
        self._look = self.loop.call_later(_LOOKED_S, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        if self._look:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to headers that have not ended."""
        if self._is_in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._is_in_headers and self._header_bytes > MOST_HEADER_BYTES:
            self._end(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_in_headers = True
        self._header_bytes = 0
        self._waits_since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind the body is none, and may not be without end.

        Raises:
            ValueError: It is too much; the parser ends, and `send_400_response` is called.
        """
        if self._is_in_headers:
            super().on_header(name, value)
            return
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MOST_HEADER_BYTES:
            raise ValueError(self._header_bytes)

    def on_headers_complete(self) -> None:
        """Its headers are there.

        Raises:
            ValueError: They are too large; the parser ends, and `send_400_response` is called.
        """
        self._is_in_headers = False
        self._header_bytes = sum(len(name) + len(value) for name, value in self.headers)
        if self._header_bytes > MOST_HEADER_BYTES:
            raise ValueError(self._header_bytes)
        if len(self.connections) > self.most_connections:
            self.app = cast("ASGI3Application", _too_many)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._waits_since = math.inf
        super().on_message_complete()

    def _check_time(self) -> None:
        if self.loop.time() - self._waits_since > self.patience_s:
            self.transport.close()
        else:
            self._look = self.loop.call_later(_LOOKED_S, self._check_time)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words
        """Say in our words that the request is none, or has too large headers."""
        self._end(_TOO_LARGE if self._header_bytes > MOST_HEADER_BYTES else _NO_HTTP)

    def _end(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


async def _too_many(_scope: Scope, _receive: Receive, send: Send) -> None:
    answer = NOT_KEPT.answer
    headers = [*answer.headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _closing(answer: Answer) -> bytes:
    """An answer after which the connection ends, as it goes over the wire."""
    lines = [STATUS_LINE[answer.status].rstrip(), b"connection: close"]
    lines += [name + b": " + value for name, value in answer.headers]
    return b"\r\n".join([*lines, b"", answer.body])


_TOO_LARGE: Final = _closing(
    problem(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"Headers have at most {MOST_HEADER_BYTES} bytes.",
    )
)
_NO_HTTP: Final = _closing(problem(HTTPStatus.BAD_REQUEST, "The request is no sound HTTP."))
