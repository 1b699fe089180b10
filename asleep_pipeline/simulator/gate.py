"""What stands before the endpoints: counting, the account, and faults of the transport.

An ASGI application around the server's own. Requests to the control surface pass untouched.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, cast

import msgspec
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from asleep_pipeline.simulator.protocol import TRANSPORT
from asleep_pipeline.simulator.refusals import Refusal
from asleep_pipeline.simulator.simulation import Simulation

CONTROL = "/_simulator"
_SERVER_ERRORS = (500, 502, 503)
_SLOW_PIECES = 10
# Closing a socket that lingers for 0 s sends a reset instead of a farewell.
_NO_LINGER = struct.pack("ii", 1, 0)


class Gate:
    """Counts, refuses, delays and breaks requests as the faults say.

    Args:
        app: The application behind.
        simulation: What the requests are about.
    """

    def __init__(self, app: ASGIApp, simulation: Simulation) -> None:
        self._app = app
        self._simulation = simulation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        path = scope["path"]
        if path.startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        name = endpoint_name(cast("HTTPScope", scope)["method"], path)
        self._simulation.requests[name] += 1
        await self._delay()
        if self._drawn(self._simulation.faults.reset_share):
            reset(scope)
            return
        refusal = self._refusal(scope, name, path)
        if refusal:
            await refuse(send, refusal)
        else:
            await self._app(scope, receive, self._damaged(scope, send))

    async def _delay(self) -> None:
        faults = self._simulation.faults
        if faults.latency_s or faults.latency_jitter_s:
            jitter_s = faults.latency_jitter_s * self._simulation.draws.random()
            await asyncio.sleep(faults.latency_s + jitter_s)

    def _drawn(self, share: float) -> bool:
        return bool(share) and self._simulation.draws.random() < share

    def _refusal(self, scope: Scope, name: str, path: str) -> Refusal | None:
        simulation = self._simulation
        if self._drawn(simulation.faults.server_error_share):
            return Refusal(simulation.draws.choice(_SERVER_ERRORS), "Internal Server Error")
        session_id = path.rpartition("/")[2] if name == "get_session" else None
        return simulation.account.refusal(_header(scope, b"x-api-key"), session_id)

    def _damaged(self, scope: Scope, send: Send) -> Send:
        if self._drawn(self._simulation.faults.truncated_share):
            return truncating(scope, send)
        if self._drawn(self._simulation.faults.slow_share):
            return slow(send, self._simulation.faults.slow_s)
        return send


def endpoint_name(method: str, path: str) -> str:
    """Return the name under which a request is counted; `other` where the contract has none."""
    parts = path.strip("/").split("/")
    match (method, parts):
        case ("GET", ["data", "v3", "sessions", _]):
            return "get_session"
        case ("GET", ["data", "v1", "sessions"]):
            return "list_sessions"
        case ("GET", ["data", "v1", "users", _, "average-stats"]):
            return "average_stats"
        case (_, ["ai", "v1", "users", *rest]):
            return _user_endpoint(method, len(rest))
        case ("DELETE", ["ai", "v1", "sessions", *rest]):
            return "delete_session" if rest else "delete_sessions"
    return "other"


def _user_endpoint(method: str, ids: int) -> str:
    names = {
        ("POST", 0): "create_user",
        ("GET", 1): "get_user",
        ("PUT", 1): "update_user",
        ("DELETE", 1): "delete_user",
    }
    return names.get((method, ids), "other")


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


async def refuse(send: Send, refusal: Refusal) -> None:
    """Send a refusal's answer."""
    body = msgspec.json.encode({"detail": refusal.detail})
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    pairs = [(k.encode(), v.encode()) for k, v in (headers | refusal.headers).items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def reset(scope: Scope) -> None:
    """Reset the connection of a request."""
    transport = _transport(scope)
    if transport.is_closing():  # who asked has hung up before
        return
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def truncating(scope: Scope, send: Send) -> Send:
    """Return a `send` that sends half of the body and hangs up."""

    async def send_half(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        half = message["body"][: len(message["body"]) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(scope).close()

    return send_half


def slow(send: Send, seconds: float) -> Send:
    """Return a `send` that spreads the body over some seconds."""

    async def send_slowly(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        body = message["body"]
        size = len(body) // _SLOW_PIECES + 1
        for first in range(0, len(body), size):
            await asyncio.sleep(seconds / _SLOW_PIECES)
            piece = body[first : first + size]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_slowly


def _transport(scope: Scope) -> asyncio.Transport:
    # uvloop's transports are no subclasses of asyncio's.
    return cast("asyncio.Transport", cast("dict[str, Any]", scope)[TRANSPORT])
