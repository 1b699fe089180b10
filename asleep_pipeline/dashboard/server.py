"""Serves the dashboard until it is stopped."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from importlib.resources import files
from typing import Final

import marimo
import uvicorn
from starlette.types import ASGIApp

from asleep_pipeline.dashboard.guard import Guard
from asleep_pipeline.loopback import is_loopback

_APP: Final = files("asleep_pipeline.dashboard").joinpath("app.py")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SESSION_S: Final = 30
"""How long a page that is gone is remembered: its browser may only be reconnecting."""


def serve(listener: socket.socket, *, host: str, on_url: Callable[[str], None]) -> None:
    """Answer on a socket that listens, until SIGINT or SIGTERM.

    Whoever comes from elsewhere than this machine needs a token, which the URL holds.

    Args:
        listener: Where to.
        host: What it was bound to.
        on_url: Is told where to look.
    """
    token = "" if is_loopback(host) else secrets.token_urlsafe()
    config = uvicorn.Config(
        _application(host, token),
        log_level="warning",
        access_log=False,
        # Pages keep a connection open for as long as they are looked at.
        timeout_graceful_shutdown=1,
    )
    on_url(_url(listener, host, token))
    uvicorn.Server(config).run(sockets=[listener])


def _application(host: str, token: str) -> ASGIApp:
    hosts = _LOOPBACK | {host} if is_loopback(host) else None
    notebook = marimo.create_asgi_app(quiet=True, token=token, session_ttl=_SESSION_S)
    return Guard(notebook.with_app(path="", root=str(_APP)).build(), hosts)


def _url(listener: socket.socket, host: str, token: str) -> str:
    is_every = host in {"", "0.0.0.0", "::"}  # noqa: S104 -- compared only
    name = socket.gethostname() if is_every else host
    port = listener.getsockname()[1]
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}/"
    return f"{url}?access_token={token}" if token else url
