"""The API as a web application."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ControllerRouterHandler

from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.service.admission import TOKENS, WAREHOUSE, admit
from asleep_pipeline.service.problems import answer_problem
from asleep_pipeline.service.routes.me import me
from asleep_pipeline.service.tenants import Warehouse
from asleep_pipeline.settings import Settings

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (me,)
"""Everything under `/v1`; each asks for a permission."""

_OPENAPI: Final = OpenAPIConfig(
    title="asleep-pipeline",
    version=version("asleep-pipeline"),
    use_handler_docstrings=True,
    render_plugins=[JsonRenderPlugin()],
)


def build_service(settings: Settings) -> Litestar:
    """The application for the apps of one deployment."""
    return Litestar(
        [Router("/v1", route_handlers=ROUTES, guards=[admit])],
        state=State(
            {TOKENS: Tokens(settings.tokens_path), WAREHOUSE: Warehouse(settings.warehouse_path)}
        ),
        exception_handlers={Exception: answer_problem},
        openapi_config=_OPENAPI,
        logging_config=None,
    )
