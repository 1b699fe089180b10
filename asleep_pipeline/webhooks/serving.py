"""Serving the receiver until it is stopped."""

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
from filelock import FileLock, Timeout
from litestar import Litestar

from asleep_pipeline.errors import ConfigurationError, InboxError, UsageError
from asleep_pipeline.settings import Settings
from asleep_pipeline.webhooks.protocol import MOST_CONNECTIONS, GuardedProtocol
from asleep_pipeline.webhooks.receiver import build_receiver
from asleep_pipeline.webhooks.stream import STREAMS

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
class RunningReceiver:
    """A receiver that takes events.

    Attributes:
        base_url: Where it answers, without a final slash.
    """

    base_url: str


@contextmanager
def running(settings: Settings, *, port: int = 0) -> Iterator[RunningReceiver]:
    """Run a receiver in a thread of its own, on 127.0.0.1; it is ready when entered.

    Args:
        settings: Of the deployment.
        port: Any free one when 0.

    Raises:
        ConfigurationError: The keys cannot be used.
        InboxError: The inbox cannot be used, or another receiver has it.
        UsageError: The port is taken.
    """
    with _alone(settings), _listener("127.0.0.1", port) as listener:
        server = _Server(_config(settings, None))
        thread = threading.Thread(target=server.run, args=([listener],), name="receiver")
        thread.start()
        server.is_ready.wait()
        try:
            yield RunningReceiver(_url("127.0.0.1", listener, None))
        finally:
            server.should_exit = True
            thread.join()


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    certificate: Certificate | None = None,
    on_url: Callable[[str], None],
) -> None:
    """Take events until SIGTERM or SIGINT; then finish what was accepted.

    Args:
        settings: Of the deployment.
        host: Address to listen on.
        port: Any free one when 0.
        certificate: Speak TLS with it.
        on_url: Is told where it answers, once it does.

    Raises:
        ConfigurationError: The keys or the certificate cannot be used.
        InboxError: The inbox cannot be used, or another receiver has it.
        UsageError: It cannot listen there.
    """
    _make_room()
    with _alone(settings), _listener(host, port) as listener:
        server = _Server(_config(settings, certificate))
        server.on_ready = lambda: on_url(_url(host, listener, certificate))
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells when it is ready, and ends quietly: being asked to stop is no failure."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()
        self.on_ready: Callable[[], None] = self.is_ready.set

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cast("Litestar", self.config.app).state[STREAMS].close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        self.should_exit = True


def _config(settings: Settings, certificate: Certificate | None) -> uvicorn.Config:
    config = uvicorn.Config(
        cast("Any", build_receiver(settings)),  # uvicorn and litestar type ASGI apart
        loop="uvloop",
        http=GuardedProtocol,
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


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Be the only receiver of an inbox: two writers would wait for each other."""
    path = settings.inbox_path.with_name("receiver.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(blocking=False)
    except Timeout:
        raise InboxError(
            f"Another receiver serves the inbox {settings.inbox_path}.",
            fix="Stop that one first, or give this one a data folder of its own (--data-dir).",
        ) from None
    except OSError as error:
        raise InboxError(
            f"The lock {path} cannot be taken: {error.strerror}.",
            fix="Check the free space and the folder's rights.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _make_room() -> None:
    """Let the process have as many connections as it takes; systems often start with 1,024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"Port {port} of {host} cannot be used: {error.strerror}.",
            fix="Choose another with --port, or another address with --host.",
        ) from error


def _url(host: str, listener: socket.socket, certificate: Certificate | None) -> str:
    scheme = "https" if certificate else "http"
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{listener.getsockname()[1]}"
