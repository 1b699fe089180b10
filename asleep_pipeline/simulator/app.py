"""The web application of a simulation: endpoints, control surface, error bodies."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException

from asleep_pipeline.simulator.control import CONTROLS
from asleep_pipeline.simulator.endpoints import ENDPOINTS
from asleep_pipeline.simulator.gate import Gate
from asleep_pipeline.simulator.refusals import Refusal
from asleep_pipeline.simulator.simulation import Simulation

_Request = Request[Any, Any, Any]


def build_app(simulation: Simulation) -> Gate:
    """Return the ASGI application that serves a simulation."""
    parts = {
        "world": simulation.world,
        "clock": simulation.clock,
        "simulation": simulation,
    }
    app = Litestar(
        [*ENDPOINTS, *CONTROLS],
        dependencies={name: _given(part) for name, part in parts.items()},
        exception_handlers={
            Refusal: _refused,
            ValidationException: _invalid,
            HTTPException: _failed,
        },
        openapi_config=None,
        # Its own would seize the root logger of the process that hosts the simulator.
        logging_config=None,
    )
    return Gate(app, simulation)


def _given(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)


def _refused(_: _Request, refusal: Refusal) -> Response[bytes]:
    return _answer(refusal.status, refusal.detail)


def _invalid(_: _Request, error: ValidationException) -> Response[bytes]:
    problems = error.extra if isinstance(error.extra, list) else []
    detail = [
        {"loc": [p.get("source"), p.get("key")], "msg": p["message"], "type": "value_error"}
        for p in problems
    ]
    return _answer(422, detail or error.detail)


def _failed(_: _Request, error: HTTPException) -> Response[bytes]:
    return _answer(error.status_code, error.detail)


def _answer(status: int, detail: Any) -> Response[bytes]:
    body = msgspec.json.encode({"detail": detail})
    return Response(body, status_code=status, media_type="application/json")
