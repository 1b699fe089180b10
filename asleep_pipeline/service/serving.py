"""Serving the API until it is stopped, and the receiver of webhooks beside it when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from litestar import Litestar
from prometheus_client import CollectorRegistry, start_http_server

from asleep_pipeline.errors import UsageError
from asleep_pipeline.listener import Certificate, listening, serve_app, serving
from asleep_pipeline.service.admission import WAREHOUSE
from asleep_pipeline.service.app import build_service
from asleep_pipeline.service.edge import Service
from asleep_pipeline.service.routes.probes import OBSTACLES
from asleep_pipeline.service.tenants import Warehouse
from asleep_pipeline.service.watch import WATCH
from asleep_pipeline.settings import Settings
from asleep_pipeline.webhooks.protocol import GuardedProtocol
from asleep_pipeline.webhooks.receiver import EVENTS_PATH, METRICS, PROBES, build_receiver
from asleep_pipeline.webhooks.serving import alone, end_streams
from asleep_pipeline.webhooks.stream import STREAM_PATH

_OF_THE_RECEIVER: Final = frozenset({EVENTS_PATH, STREAM_PATH, "/health"})
_LOOPBACK: Final = "127.0.0.1"


class _Protocol(GuardedProtocol):
    """A phone on a slow line may take two minutes for what it uploads."""

    patience_s = 120.0


@dataclass(frozen=True, slots=True)
class RunningService:
    """The API, while it answers.

    Attributes:
        base_url: Where it answers, without a final slash.
    """

    base_url: str


@contextmanager
def running(
    settings: Settings, *, port: int = 0, with_webhooks: bool = False
) -> Iterator[RunningService]:
    """Run the API in a thread of its own, on 127.0.0.1; it is ready when entered.

    Args:
        settings: Of the deployment.
        port: Any free one when 0.
        with_webhooks: Take webhooks in, too.

    Raises:
        AccessError: The deployment's secret cannot be read or made.
        ConfigurationError: The keys cannot be used.
        InboxError: The inbox cannot be used, or another receiver has it.
        UsageError: The port is taken.
    """
    with (
        _built(settings, with_webhooks=with_webhooks) as site,
        listening(_LOOPBACK, port) as listener,
        serving(site, listener, before_end=site.end, protocol=_Protocol),
    ):
        yield RunningService(listener.base_url)


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    certificate: Certificate | None = None,
    with_webhooks: bool = False,
    metrics_port: int | None = None,
    on_url: Callable[[str], None],
) -> None:
    """Answer until SIGTERM or SIGINT; then finish what was begun, for at most 10 s.

    Args:
        settings: Of the deployment.
        host: Address to listen on.
        port: Any free one when 0.
        certificate: Speak TLS with it.
        with_webhooks: Take webhooks in, too.
        metrics_port: Show `/metrics` on this port of 127.0.0.1: how much is asked, by route, is nothing
            for those who ask.
        on_url: Is told where it answers, once it does.

    Raises:
        AccessError: The deployment's secret cannot be read or made.
        ConfigurationError: The keys or the certificate cannot be used.
        InboxError: The inbox cannot be used, or another receiver has it.
        UsageError: It cannot listen there.
    """
    with ExitStack() as stack:
        site = stack.enter_context(_built(settings, with_webhooks=with_webhooks))
        listener = stack.enter_context(listening(host, port, certificate))
        if metrics_port is not None:
            stack.enter_context(_showing(site.registries, metrics_port))
        serve_app(site, listener, on_url=on_url, before_end=site.end, protocol=_Protocol)


class _Site:
    """The API, and a receiver where its paths lead."""

    def __init__(self, service: Service, receiver: Litestar | None) -> None:
        self._service, self._receiver = service, receiver
        self.warehouse: Warehouse = service.state[WAREHOUSE]
        self.registries = [service.state[WATCH].registry]
        if receiver:
            self.registries.append(receiver.state[METRICS].registry)
            service.state[OBSTACLES].append(receiver.state[PROBES].obstacle)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app: Litestar = self._service
        if self._receiver and scope["type"] == "http" and scope["path"] in _OF_THE_RECEIVER:
            app = self._receiver
        await app(scope, receive, send)

    def end(self) -> None:
        """End what would not end by itself."""
        if self._receiver:
            end_streams(self._receiver)


@contextmanager
def _built(settings: Settings, *, with_webhooks: bool) -> Iterator[_Site]:
    with ExitStack() as stack:
        if with_webhooks:
            stack.enter_context(alone(settings))
            receiver = build_receiver(settings)
            site = _Site(build_service(settings, lambda _app: receiver.lifespan()), receiver)
        else:
            site = _Site(build_service(settings), None)
        stack.enter_context(site.warehouse.kept_ready())
        yield site


@contextmanager
def _showing(registries: list[CollectorRegistry], port: int) -> Iterator[None]:
    whole = CollectorRegistry()
    for registry in registries:
        whole.register(registry)
    try:
        server, thread = start_http_server(port, _LOOPBACK, whole)
    except OSError as error:
        raise UsageError(
            f"Port {port} of {_LOOPBACK} cannot be used: {error.strerror}.",
            fix="Choose another with --metrics-port.",
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
