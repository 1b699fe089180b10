"""The receiver as a web application: the route that takes events, and those that tell how it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeAlias, cast

import structlog
from litestar import Litestar, MediaType, Request, Response, asgi, get
from litestar.datastructures import State
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    ServiceUnavailableException,
)
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ControllerRouterHandler, HTTPScope, Receive, Scope, Send
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.errors import InboxError
from asleep_pipeline.metrics import PullCollector, metrics_file
from asleep_pipeline.settings import Settings
from asleep_pipeline.webhooks.answers import PROBLEM_TYPE, Problem, problem
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.intake import Intake
from asleep_pipeline.webhooks.keyring import Keyring
from asleep_pipeline.webhooks.live import Live
from asleep_pipeline.webhooks.live_metrics import LiveCollector
from asleep_pipeline.webhooks.metrics import Metrics
from asleep_pipeline.webhooks.missed import PushesCollector
from asleep_pipeline.webhooks.probes import Health, InboxCollector, Probes
from asleep_pipeline.webhooks.schema import COMPONENTS, events_path
from asleep_pipeline.webhooks.stream import STREAMS, Streams, following, stream_route

EVENTS_PATH: Final = "/webhooks/asleep"
PROBES: Final = "probes"
METRICS: Final = "metrics"
"""Where the application keeps what whoever serves it may ask as well."""
_KEYS_LOOKED_AT_S: Final = 2.0
_UNREADY: Final = {503: ResponseSpec(Problem, description="It cannot.", media_type=PROBLEM_TYPE)}
_OPENAPI: Final = OpenAPIConfig(
    title="Asleep webhooks",
    version=version("asleep-pipeline"),
    components=COMPONENTS,
    use_handler_docstrings=True,
    render_plugins=[JsonRenderPlugin()],
)
_Lifespan: TypeAlias = Callable[[Litestar], AbstractAsyncContextManager[None]]

log = structlog.get_logger(__name__)


def build_receiver(settings: Settings) -> Litestar:
    """The application that takes in the events of one deployment.

    Raises:
        ConfigurationError: The keys cannot be used.
        InboxError: The inbox cannot be made or opened.
    """
    keyring = Keyring(settings)
    inbox = Inbox.create(settings.inbox_path)
    probes = Probes(inbox)
    live = Live(settings)
    streams = Streams(live, Credentials.of(settings))
    # Whatever else is to be measured joins here: a collector is asked at each scrape.
    metrics = Metrics(
        [
            InboxCollector(probes),
            PushesCollector(settings.warehouse_path),
            LiveCollector(live, streams),
            PullCollector(metrics_file(settings.data_dir)),
        ]
    )
    intake = Intake(settings, inbox, keyring, metrics)
    app = Litestar(
        [_events(intake), *_questions(probes, metrics), stream_route(streams)],
        lifespan=[_writing(intake), _watching(keyring), following(live)],
        # Whoever serves it closes them first: nobody would end a stream by waiting for it.
        state=State({STREAMS: streams, PROBES: probes, METRICS: metrics}),
        exception_handlers={HTTPException: _failed, Exception: _failed},
        openapi_config=_OPENAPI,
        # Its own would seize the root logger of the process that hosts the receiver.
        logging_config=None,
    )
    app.openapi_schema.paths = {EVENTS_PATH: events_path()} | (app.openapi_schema.paths or {})
    return app


def _events(intake: Intake) -> ControllerRouterHandler:
    @asgi(EVENTS_PATH, copy_scope=False)
    async def take(scope: Scope, receive: Receive, send: Send) -> None:
        await intake(cast("HTTPScope", scope), receive, send)

    return take


def _questions(probes: Probes, metrics: Metrics) -> list[ControllerRouterHandler]:
    @get("/live", media_type=MediaType.TEXT, sync_to_thread=False)
    def live() -> str:
        """Whether the process lives: it does if it answers."""
        return "live"

    @get("/ready", media_type=MediaType.TEXT, sync_to_thread=True, responses=_UNREADY)
    def ready() -> str:
        """Whether events can be stored."""
        if obstacle := probes.obstacle():
            raise ServiceUnavailableException(obstacle)
        return "ready"

    @get("/health", sync_to_thread=True, responses=_UNREADY)
    def health() -> Health:
        """How full the inbox and its disk are."""
        try:
            return probes.health()
        except InboxError:
            raise ServiceUnavailableException("The inbox cannot be read.") from None

    @get("/metrics", media_type=CONTENT_TYPE_LATEST, sync_to_thread=True)
    def figures() -> bytes:
        """Everything that is counted, for Prometheus."""
        return generate_latest(metrics.registry)

    return [live, ready, health, figures]


def _writing(intake: Intake) -> _Lifespan:
    @asynccontextmanager
    async def run(_app: Litestar) -> AsyncIterator[None]:
        intake.start()
        try:
            yield
        finally:
            intake.close()

    return run


def _watching(keyring: Keyring) -> _Lifespan:
    @asynccontextmanager
    async def run(_app: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(_refresh(keyring))
        try:
            yield
        finally:
            task.cancel()

    return run


async def _refresh(keyring: Keyring) -> None:
    while True:
        await asyncio.sleep(_KEYS_LOOKED_AT_S)
        await asyncio.to_thread(keyring.refresh)


def _failed(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A problem that says nothing but what was asked in a wrong way."""
    if not isinstance(error, HTTPException):
        log.error("receiver_failed", kind=type(error).__name__)
        error = InternalServerException("The receiver failed.")
    answer = problem(HTTPStatus(error.status_code), error.detail)
    headers = dict(error.headers or {})
    return Response(
        answer.body, status_code=answer.status, headers=headers, media_type=PROBLEM_TYPE
    )
