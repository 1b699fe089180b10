"""What the API answers when it has no other answer: problem details (RFC 9457)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import QueryParameter
from litestar.types import Method
from litestar.utils import normalize_path

from asleep_pipeline.access.callers import CHALLENGE, NotAuthenticated
from asleep_pipeline.errors import AccessError, ErasureError, LakeError, WarehouseError
from asleep_pipeline.webhooks.answers import PROBLEM_TYPE, Problem

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
    ErasureError: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Who is erased cannot be read or written just now.",
        {"retry-after": "5"},
    ),
    LakeError: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The lake cannot be read or written just now.",
        {"retry-after": "10"},
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


class Unacceptable(HTTPException):
    """A request that is sound HTTP, and says what cannot be.

    Args:
        detail: What is wrong, without the words of the sender.
    """

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A problem that quotes nothing of what was sent, and nothing of what is stored."""
    status, detail, headers = _told(request, error)
    if status == HTTPStatus.NOT_MODIFIED:
        return Response(b"", status_code=status, headers=headers)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = ", ".join(methods_of(request.app, request.scope["path"]))
    problem = Problem("about:blank", status.phrase, int(status), detail)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        problem.error_id = secrets.token_hex(8)
        _tell(request, error, problem)
    return Response(
        msgspec.json.encode(problem),
        status_code=status,
        headers={"cache-control": "no-store"} | headers,
        media_type=PROBLEM_TYPE,
    )


def _tell(request: Request[Any, Any, Any], error: Exception, problem: Problem) -> None:
    """A line in the log; what an exception says may quote anything, so only its place is told."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace else None
    log.error(
        "request_failed",
        error_id=problem.error_id,
        status=problem.status,
        route=request.scope.get("path_template"),
        kind=type(error).__name__,
        place=code and trace and f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}",
    )


def _told(request: Request[Any, Any, Any], error: Exception) -> _Told:
    if isinstance(error, ValidationException):
        return HTTPStatus.UNPROCESSABLE_ENTITY, _places(request, error), {}
    if isinstance(error, HTTPException):
        return HTTPStatus(error.status_code), _words(error), dict(error.headers or {})
    if isinstance(error, RecursionError):
        # Nothing here is recursive but the reading of a body.
        return HTTPStatus.BAD_REQUEST, "The body is nested too deeply.", {}
    for kind, told in _OURS.items():
        if isinstance(error, kind):
            return told
    return HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed.", {}


def _words(error: HTTPException) -> str:
    """What is said of an error: its own words where they are ours, for a library's may quote input."""
    if type(error).__module__.startswith("litestar."):
        status = HTTPStatus(error.status_code)
        return _WORDS.get(status, status.description)
    return str(error.detail)


def _places(request: Request[Any, Any, Any], error: ValidationException) -> str:
    """Where the request is wrong, and how; values are not quoted."""
    extra = error.extra if isinstance(error.extra, list) else []
    places = [f"{_place(request, each)}: {_plain(each.get('message', ''))}" for each in extra]
    return "; ".join(places) or "The request is not as the schema says."


def _place(request: Request[Any, Any, Any], said: Mapping[str, Any]) -> str:
    key = said.get("key", "request")
    # litestar names the argument of the handler, which may have another name than the parameter.
    argument = request.route_handler.parsed_fn_signature.parameters.get(key)
    if argument and isinstance(argument.kwarg_definition, QueryParameter):
        return argument.kwarg_definition.name or key
    # litestar takes every `data.` out of a place in the body, that of `metadata.` too.
    return "body" if key == "data" else _METADATA.sub("metadata.", key)


def _plain(message: str) -> str:
    """A message of msgspec without the words of the sender that are in it."""
    for pattern, plain in _QUOTING:
        message = pattern.sub(plain, message)
    return message


def methods_of(app: Litestar, path: str) -> list[str]:
    """What may be asked of a path, for `Allow`."""
    found = [str(method) for method in _METHODS if _leads(app, path, method)]
    return ["HEAD", *found] if "GET" in found else found


def _leads(app: Litestar, path: str, method: Method) -> bool:
    try:
        app.asgi_router.handle_routing(path=normalize_path(path), method=method)
    except HTTPException:
        return False
    return True


_WORDS: Final = {
    HTTPStatus.BAD_REQUEST: "The request is not sound, or its body is no JSON.",
    HTTPStatus.FORBIDDEN: "Your role does not allow this.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The path has other methods.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
}
_METHODS: Final[tuple[Method, ...]] = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_METADATA: Final = re.compile(r"\bmeta(?!data\b)(?=\w)")
_QUOTING: Final = (
    (re.compile(r"'data'"), "It is missing"),
    (re.compile(r"Object contains unknown field `.*`", re.DOTALL), "There is an unknown field"),
    (re.compile(r"Invalid enum value .*?(?= - at `|$)", re.DOTALL), "It is none of the values"),
)
