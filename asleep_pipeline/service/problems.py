"""What the API answers when it has no other answer: problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from asleep_pipeline.access.callers import CHALLENGE, NotAuthenticated
from asleep_pipeline.errors import AccessError, WarehouseError
from asleep_pipeline.webhooks.answers import PROBLEM_TYPE, problem

log = structlog.get_logger(__name__)

_Told = tuple[HTTPStatus, str, dict[str, str]]

_OURS: Final[dict[type[Exception], _Told]] = {
    NotAuthenticated: (
        HTTPStatus.UNAUTHORIZED,
        "The request must bear one credential that holds, as `Authorization: Bearer`.",
        {"www-authenticate": CHALLENGE},
    ),
    AccessError: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Credentials cannot be checked just now.",
        {"retry-after": "5"},
    ),
    WarehouseError: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "There is no published data yet.",
        {"retry-after": "60"},
    ),
}


class NotFound(HTTPException):
    """There is no such thing, or none that the caller may know of: the answer is the same."""

    status_code = HTTPStatus.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("There is no such thing.")


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A problem that quotes nothing of what was sent, and nothing of what is stored."""
    status, detail, headers = _told(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", path=request.route_handler.name, kind=type(error).__name__)
    answer = problem(status, detail)
    return Response(
        answer.body, status_code=answer.status, headers=headers, media_type=PROBLEM_TYPE
    )


def _told(error: Exception) -> _Told:
    if isinstance(error, ValidationException):
        return HTTPStatus.UNPROCESSABLE_ENTITY, _places(error), {}
    if isinstance(error, HTTPException):
        return HTTPStatus(error.status_code), error.detail, dict(error.headers or {})
    for kind, told in _OURS.items():
        if isinstance(error, kind):
            return told
    return HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed.", {}


def _places(error: ValidationException) -> str:
    """Where the request is wrong, and how; values are not quoted."""
    extra = error.extra if isinstance(error.extra, list) else []
    places = [f"{each.get('key', 'request')}: {each.get('message', '')}" for each in extra]
    return "; ".join(places) or "The request is not as the schema says."
