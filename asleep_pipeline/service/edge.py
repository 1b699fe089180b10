"""What holds for every request, whatever is asked: headers, HEAD, deadlines, and that it is told of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, cast

from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import ServiceUnavailableException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from asleep_pipeline.service.problems import methods_of
from asleep_pipeline.service.watch import HUNG_UP, WATCH, Watch

SLOWEST_S: Final = 30.0
"""So long may a request under `/v1` take until its answer begins."""

_SAFE: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-site",
}
_TLS_ONLY: Final = ("strict-transport-security", "max-age=63072000; includeSubDomains")


class Service(Litestar):
    """The application, within what holds for every request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See `Litestar`."""
        if scope["type"] != ScopeType.HTTP:
            await super().__call__(scope, receive, send)
            return
        started = time.perf_counter()
        answer = _Answer(self, cast("HTTPScope", scope), send)
        try:
            await super().__call__(scope, receive, answer)
        finally:
            watch: Watch = self.state[WATCH]
            watch.note(scope, int(answer.status), time.perf_counter() - started)


class _Answer:
    """Sends an answer with the headers that every answer has; that of HEAD without its body."""

    def __init__(self, service: Service, scope: HTTPScope, send: Send) -> None:
        self.status = HUNG_UP
        self._send = send
        self._service, self._path = service, scope["path"]
        self._is_tls = scope["scheme"] == "https"
        self._is_head = scope["method"] == "HEAD"
        if self._is_head:
            scope["method"] = cast("Any", "GET")

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._describe(MutableScopeHeaders(cast("Any", message)))
        elif message["type"] == "http.response.body" and self._is_head:
            message["body"] = b""
        await self._send(message)

    def _describe(self, headers: MutableScopeHeaders) -> None:
        for name, value in _SAFE.items():
            headers.setdefault(name, value)
        headers.extend_header_value("vary", "Authorization")
        if headers.get("allow"):
            # litestar's own answer of OPTIONS tells the methods of one handler alone.
            headers["allow"] = ", ".join(methods_of(self._service, self._path))
        if self._is_tls:
            headers[_TLS_ONLY[0]] = _TLS_ONLY[1]


class Late(ServiceUnavailableException):
    """The answer takes too long."""

    def __init__(self) -> None:
        super().__init__("The answer takes too long.", headers={"retry-after": "10"})


def in_time(app: ASGIApp) -> ASGIApp:
    """Middleware that ends what takes too long; an answer that has begun is not cut off."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.timeout(SLOWEST_S) as deadline:

            async def begun(message: Message) -> None:
                deadline.reschedule(None)
                await send(message)

            await app(scope, receive, begun)

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await run(scope, receive, send)
        except TimeoutError:
            raise Late from None

    return told
