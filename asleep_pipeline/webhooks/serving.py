"""Serving the receiver until it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout
from litestar import Litestar

from asleep_pipeline.disk import make_private
from asleep_pipeline.errors import InboxError
from asleep_pipeline.listener import Certificate, listening, serve_app, serving
from asleep_pipeline.settings import Settings
from asleep_pipeline.webhooks.receiver import build_receiver
from asleep_pipeline.webhooks.stream import STREAMS


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
    with alone(settings), listening("127.0.0.1", port) as listener:
        app = build_receiver(settings)
        with serving(app, listener, before_end=lambda: end_streams(app)):
            yield RunningReceiver(listener.base_url)


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
    with alone(settings), listening(host, port, certificate) as listener:
        app = build_receiver(settings)
        serve_app(app, listener, on_url=on_url, before_end=lambda: end_streams(app))


def end_streams(receiver: Litestar) -> None:
    """End the streams of a receiver, which nobody would end by waiting for them."""
    receiver.state[STREAMS].close()


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Be the only receiver of an inbox: two writers would wait for each other.

    Raises:
        InboxError: There is another one, or the folder cannot be used.
    """
    path = settings.inbox_path.with_name("receiver.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_private(settings.data_dir)
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
