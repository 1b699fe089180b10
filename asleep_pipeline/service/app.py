"""The API as a web application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.disk import make_private
from asleep_pipeline.privacy.audit import AuditLog
from asleep_pipeline.privacy.secret import derived_key
from asleep_pipeline.service import paging, watch
from asleep_pipeline.service.admission import CREDENTIALS, DOOR, SETTINGS, WAREHOUSE, Door, admit
from asleep_pipeline.service.analysts import Desk
from asleep_pipeline.service.auditing import AUDIT_LOG, Auditing, announce
from asleep_pipeline.service.edge import Service, in_time
from asleep_pipeline.service.etags import tagged
from asleep_pipeline.service.openapi import OPENAPI, complete
from asleep_pipeline.service.people import people, people_state
from asleep_pipeline.service.problems import answer_problem
from asleep_pipeline.service.proxy import PROXY, Proxy, close_proxy, proxy_router
from asleep_pipeline.service.routes import analysts, groups, reports, statistics
from asleep_pipeline.service.routes.audit import audit
from asleep_pipeline.service.routes.me import me
from asleep_pipeline.service.routes.members import MEMBER_ROUTES
from asleep_pipeline.service.routes.organisation import ORGANISATION_ROUTES
from asleep_pipeline.service.routes.privacy import PRIVACY_ROUTES
from asleep_pipeline.service.routes.probes import OBSTACLES, live, ready
from asleep_pipeline.service.routes.sessions import SESSION_ROUTES
from asleep_pipeline.service.routes.tokens import TOKEN_ROUTES
from asleep_pipeline.service.routes.users import USER_ROUTES
from asleep_pipeline.service.tenants import Warehouse
from asleep_pipeline.settings import Settings

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    me,
    *USER_ROUTES,
    *SESSION_ROUTES,
    *statistics.ROUTES,
    *reports.ROUTES,
    *groups.ROUTES,
    *analysts.ROUTES,
    *ORGANISATION_ROUTES,
    *MEMBER_ROUTES,
    *TOKEN_ROUTES,
    *PRIVACY_ROUTES,
    audit,
)
"""Everything under `/v1`; each asks for a permission."""

Lifespan: TypeAlias = Callable[[Litestar], AbstractAsyncContextManager[None]]

MOST_BYTES: Final = 64 * 1024
"""Longest body under `/v1`, in bytes."""

_THREADS: Final = 16
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SENT: Final = ("authorization", "content-type", "if-none-match", "timezone", "x-user-id")
_READ: Final = ("etag", "retry-after")


def build_service(settings: Settings, *lifespan: Lifespan) -> Service:
    """The application for the apps of one deployment.

    Args:
        settings: Of the deployment.
        lifespan: What is to run for as long as the application does.

    Raises:
        AccessError: The deployment's secret cannot be read or made.
    """
    make_private(settings.data_dir)
    service = Service(
        [
            Router(
                "/v1",
                route_handlers=ROUTES,
                guards=[admit, announce],
                middleware=[Auditing, in_time, tagged],
            ),
            proxy_router(),
            live,
            ready,
        ],
        state=_state(settings),
        exception_handlers={Exception: answer_problem},
        lifespan=[_threads, people, *lifespan],
        request_max_body_size=MOST_BYTES,
        cors_config=_cors(settings),
        openapi_config=OPENAPI,
        logging_config=None,
        on_shutdown=[close_proxy, analysts.close_desk],
    )
    complete(service)
    return service


def _state(settings: Settings) -> State:
    warehouse = Warehouse(settings.warehouse_path)
    return State(
        {
            CREDENTIALS: Credentials.of(settings),
            WAREHOUSE: warehouse,
            analysts.DESK: Desk(warehouse, settings.secret_path),
            SETTINGS: settings,
            AUDIT_LOG: AuditLog(settings.audit_path, settings.secret_path),
            PROXY: Proxy(settings),
            OBSTACLES: [],
            DOOR: Door(settings.api_requests_per_second),
            paging.PAGING: derived_key(settings.secret_path, paging.PURPOSE),
            watch.WATCH: watch.Watch(derived_key(settings.secret_path, watch.PURPOSE)),
        }
        | people_state(settings)
    )


@asynccontextmanager
async def _threads(app: Litestar) -> AsyncIterator[None]:
    """Threads for handlers: with as few as Python starts, a handful of slow ones would hold up all."""
    threads = ThreadPoolExecutor(_THREADS, "handler")
    asyncio.get_running_loop().set_default_executor(threads)
    try:
        yield
    finally:
        app.state[DOOR].threads.shutdown()
        threads.shutdown()


def _cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=list(_METHODS),
        allow_headers=list(_SENT),
        expose_headers=list(_READ),
    )
