"""Serving a web application until it is stopped: sockets, TLS, and an end that loses nothing."""

from __future__ import annotations

import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from litestar.types import ASGIApp

from asleep_pipeline.errors import ConfigurationError, UsageError
from asleep_pipeline.webhooks.protocol import MOST_CONNECTIONS, GuardedProtocol

_KEEP_ALIVE_S: Final = 75
_GRACE_S: Final = 10
_BACKLOG: Final = 2_048
_OTHER_FILES: Final = 200


@dataclass(frozen=True, slots=True)
class Certificate:
    """What TLS needs: PEM files of the certificate with its chain, and of its key."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that takes connections for an application.

    Attributes:
        host: Address that it listens on.
        socket: Itself.
        certificate: TLS is spoken with it.
    """

    host: str
    socket: socket.socket
    certificate: Certificate | None

    @property
    def base_url(self) -> str:
        """Where the application answers, without a final slash."""
        scheme = "https" if self.certificate else "http"
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{name}:{self.socket.getsockname()[1]}"


@contextmanager
def listening(host: str, port: int, certificate: Certificate | None = None) -> Iterator[Listener]:
    """Listen on an address for as long as the block lasts.

    Args:
        host: Address to listen on.
        port: Any free one when 0.
        certificate: Speak TLS with it.

    Raises:
        UsageError: It cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"Port {port} of {host} cannot be used: {error.strerror}.",
            fix="Choose another with --port, or another address with --host.",
        ) from error
    with made:
        yield Listener(host, made, certificate)


def serve_app(
    app: ASGIApp,
    listener: Listener,
    *,
    on_url: Callable[[str], None],
    before_end: Callable[[], None] = lambda: None,
    protocol: type[GuardedProtocol] = GuardedProtocol,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was begun, for at most 10 s.

    Args:
        app: What answers.
        listener: Where.
        on_url: Is told where it answers, once it does.
        before_end: Ends what would not end by itself; called in the event loop.
        protocol: HTTP as it is spoken.

    Raises:
        ConfigurationError: The certificate cannot be used.
    """
    _make_room()
    server = _Server(_config(app, listener.certificate, protocol), before_end)
    server.on_ready = lambda: on_url(listener.base_url)
    server.run(sockets=[listener.socket])


@contextmanager
def serving(
    app: ASGIApp,
    listener: Listener,
    *,
    before_end: Callable[[], None] = lambda: None,
    protocol: type[GuardedProtocol] = GuardedProtocol,
) -> Iterator[None]:
    """Serve in a thread of its own; it is ready when entered. The arguments are those of `serve_app`.

    Raises:
        ConfigurationError: The certificate cannot be used.
    """
    server = _Server(_config(app, listener.certificate, protocol), before_end)
    thread = threading.Thread(target=server.run, args=([listener.socket],), name="listener")
    thread.start()
    server.is_ready.wait()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    """Tells when it is ready, and ends quietly: being asked to stop is no failure."""

    def __init__(self, config: uvicorn.Config, before_end: Callable[[], None]) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()
        self.on_ready: Callable[[], None] = self.is_ready.set
        self._before_end = before_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_end()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        self.should_exit = True


def _config(
    app: ASGIApp, certificate: Certificate | None, protocol: type[GuardedProtocol]
) -> uvicorn.Config:
    config = uvicorn.Config(
        cast("Any", app),  # uvicorn and litestar type ASGI apart
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        # Requests that are no HTTP are not worth a line each.
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    _load(config, certificate)
    return config


def _load(config: uvicorn.Config, certificate: Certificate | None) -> None:
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        if not certificate:
            raise
        raise ConfigurationError(
            f"TLS cannot be spoken with {str(certificate.chain)!r} and {str(certificate.key)!r}: "
            f"{error.strerror or error}.",
            fix="Give a certificate and its own key as PEM files, the key without a password.",
        ) from error


def _make_room() -> None:
    """Let the process have as many connections as it takes; systems often start with 1,024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
