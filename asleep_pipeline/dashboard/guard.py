"""Keeps other people's pages out: sleep is shown to those whom the dashboard was opened for.

A page of any site can send requests to this machine, and by a name that resolves to it even read
the answers. So a request has to name a host that is ours, and come from a page of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_POLICY_VIOLATION: Final = 1008
_HEADERS: Final = {
    # What a page asks for comes from here, or not at all. Vega compiles its expressions.
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Refuses requests that name another host, or come from a page of another."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        """Stand in front of an application.

        Args:
            app: The application.
            hosts: Names it is called by; None for any.
        """
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan" or self._is_ours(scope["headers"]):
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(_POLICY_VIOLATION)(scope, receive, send)
        else:
            refusal = PlainTextResponse("Not from here.\n", HTTPStatus.FORBIDDEN)
            await refusal(scope, receive, send)

    def _is_ours(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        said = {name: value.decode("latin-1") for name, value in headers}
        host, origin = said.get(b"host", ""), said.get(b"origin")
        is_known = self._hosts is None or urlsplit(f"//{host}").hostname in self._hosts
        return is_known and (origin is None or urlsplit(origin).netloc == host)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = _extended(message)
        await send(message)

    return sending


def _extended(message: Message) -> dict[str, Any]:
    ours = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
    theirs = [pair for pair in message["headers"] if pair[0].decode().lower() not in _HEADERS]
    return {**message, "headers": [*theirs, *ours]}
