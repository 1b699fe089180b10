"""The description of the API (OpenAPI 3.1), made whole from what the routes say of themselves.

Every operation gets what all have in common: the credential, the problems that it may answer, a name, a
tag, and examples. An example is put together from the `examples` of the fields (`msgspec.Meta`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIFormat,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    Schema,
    SecurityScheme,
)
from litestar.routes import HTTPRoute

from asleep_pipeline.service.admission import QUERY
from asleep_pipeline.webhooks.answers import PROBLEM_TYPE

NO_CREDENTIAL: Final = {"no_credential": True}
"""Options of a route that everybody may ask."""

_BEARER: Final = "bearer"
_PROBLEM: Final = "Problem"
_WALL_TIME: Final = "_local"
_LOCAL: Final = "date-time-local"
_DEEPEST: Final = 8
_WRITES: Final = frozenset({"POST", "PUT", "PATCH"})

OPENAPI: Final = OpenAPIConfig(
    title="asleep-pipeline",
    version=version("asleep-pipeline"),
    description="Users, sessions and statistics of one organisation. docs/api.md tells more.",
    use_handler_docstrings=True,
    components=Components(
        security_schemes={
            _BEARER: SecurityScheme(
                type="http", scheme="bearer", description="An API token, or a JWT."
            )
        },
    ),
    render_plugins=[JsonRenderPlugin()],
)

_DETAILS: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "The request is not sound, or its body is no JSON.",
    HTTPStatus.UNAUTHORIZED: "The request bears no credential that holds.",
    HTTPStatus.FORBIDDEN: "The role of whoever asks does not allow this.",
    HTTPStatus.NOT_FOUND: "There is no such thing, or none that may be seen.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not application/json.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is not as the schema says.",
    HTTPStatus.TOO_MANY_REQUESTS: "More requests a second came than are allowed.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed.",
    HTTPStatus.SERVICE_UNAVAILABLE: "It cannot be answered just now.",
}
_ALWAYS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
_OF_BODIES: Final = frozenset(
    {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
)
_OF_PROBES: Final = frozenset({HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE})
_HEADERS: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate",
    HTTPStatus.CONFLICT: "Retry-After",
    HTTPStatus.TOO_MANY_REQUESTS: "Retry-After",
    HTTPStatus.SERVICE_UNAVAILABLE: "Retry-After",
}


def complete(app: Litestar) -> None:
    """Add to an application's description what its routes need not say one by one.

    Each route is told the names of its query's parameters, so that no other is taken.
    """
    document = app.openapi_schema
    document.components.schemas.setdefault(_PROBLEM, _problem_schema())
    _tell_wall_times(document.components.schemas)
    whole = document.to_schema()
    for handler, path, method, operation in _operations(app):
        operation.operation_id = handler.handler_name
        operation.summary = (operation.description or operation.operation_id).partition("\n")[0]
        operation.tags = operation.tags or [path.split("/")[2]]
        operation.responses = operation.responses or {}
        is_open = NO_CREDENTIAL.items() <= handler.opt.items()
        operation.security = [] if is_open else [{_BEARER: []}]
        _add_problems(operation, _OF_PROBES if is_open else _statuses(path, method))
        if not is_open:
            given = operation.parameters or []
            names = {
                each.name
                for each in given
                if isinstance(each, Parameter) and each.param_in == "query"
            }
            handler.opt[QUERY] = frozenset(names)
        if method == "GET" and not is_open:
            operation.responses["304"] = OpenAPIResponse("What was sent before holds still.")
        _add_examples(operation, whole)


def _tell_wall_times(schemas: Mapping[str, Schema]) -> None:
    """A wall time has no offset, which `date-time` would promise; names of wall times end alike."""
    for schema in schemas.values():
        for name, said in (schema.properties or {}).items():
            if name.endswith(_WALL_TIME) and isinstance(said, Schema):
                for each in (said, *(said.one_of or ())):
                    if isinstance(each, Schema) and each.format == OpenAPIFormat.DATE_TIME:
                        each.format = cast("Any", _LOCAL)


def _operations(app: Litestar) -> Iterator[tuple[HTTPRouteHandler, str, str, Operation]]:
    paths = app.openapi_schema.paths or {}
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path_format in paths:
            for method, (handler, _) in route.route_handler_map.items():
                found = getattr(paths[route.path_format], method.lower(), None)
                if found and handler.resolve_include_in_schema():
                    yield handler, route.path_format, method, found


def _statuses(path: str, method: str) -> frozenset[HTTPStatus]:
    found = _ALWAYS | ({HTTPStatus.NOT_FOUND} if "{" in path else set())
    return found | (_OF_BODIES if method in _WRITES else frozenset())


def _add_problems(operation: Operation, statuses: frozenset[HTTPStatus]) -> None:
    responses = operation.responses or {}
    others = {HTTPStatus(int(code)) for code in responses if int(code) >= HTTPStatus.BAD_REQUEST}
    for status in statuses | others:
        said = responses.get(str(int(status)))
        # litestar's own description of what is not valid is of answers that are never sent.
        is_own = isinstance(said, OpenAPIResponse) and PROBLEM_TYPE in (said.content or {})
        if not is_own:
            known = said.description if isinstance(said, OpenAPIResponse) else status.description
            responses[str(int(status))] = _problem(status, _DETAILS.get(status, known))
    if HTTPStatus.BAD_REQUEST not in statuses:
        responses.pop("400", None)


def _problem(status: HTTPStatus, detail: str) -> OpenAPIResponse:
    example: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
    }
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        example["error_id"] = "5f0c9b1e7a3d2468"
    media = OpenAPIMediaType(schema=Reference(f"#/components/schemas/{_PROBLEM}"), example=example)
    header = OpenAPIHeader(schema=Schema(type=OpenAPIType.STRING), description="See RFC 9110.")
    headers: dict[str, Any] = {_HEADERS[status]: header} if status in _HEADERS else {}
    return OpenAPIResponse(detail, headers=headers, content={PROBLEM_TYPE: media})


def _problem_schema() -> Schema:
    text = Schema(type=OpenAPIType.STRING)
    status = Schema(type=OpenAPIType.INTEGER, minimum=400, maximum=599)
    failure = Schema(type=OpenAPIType.STRING, description="Names a failure, in the log too.")
    named: dict[str, Reference | Schema]
    named = {"type": text, "title": text, "status": status, "detail": text, "error_id": failure}
    return Schema(
        type=OpenAPIType.OBJECT,
        title=_PROBLEM,
        description="Why there is no other answer (RFC 9457).",
        properties=named,
        required=["type", "title", "status", "detail"],
    )


def _add_examples(operation: Operation, document: Mapping[str, Any]) -> None:
    bodies = [getattr(operation.request_body, "content", None) or {}]
    bodies += [
        getattr(each, "content", None) or {} for each in (operation.responses or {}).values()
    ]
    for content in bodies:
        for media in content.values():
            if media.example is None and not media.examples and media.schema is not None:
                media.example = _example(media.schema.to_schema(), document)


def _example(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int = 0) -> Any:
    """A value that is as a schema says: its own example, else one put together."""
    schema = _resolved(schema, document)
    for name in ("example", "const", "default"):
        if schema.get(name) is not None:
            return schema[name]
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    for name in ("oneOf", "anyOf", "allOf"):
        if schema.get(name):
            beside = {key: value for key, value in schema.items() if key != name}
            return _example({**beside, **_richest(schema[name])}, document, depth)
    if depth > _DEEPEST:
        return None
    return _made(schema, document, depth)


def _made(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int) -> Any:
    kind = _kind(schema)
    if kind == "object":
        fields = schema.get("properties", {})
        return {name: _example(each, document, depth + 1) for name, each in fields.items()}
    if kind == "array":
        # It may be asked to hold several that differ; one stands for them.
        return [_example(schema["items"], document, depth + 1)] if "items" in schema else []
    if kind in {"integer", "number"}:
        return schema.get("minimum", 1)
    if kind == "string":
        return _TEXTS.get(schema.get("format", ""), "text")
    return kind == "boolean" or None


def _kind(schema: Mapping[str, Any]) -> str:
    given = schema.get("type", "")
    kinds = [given] if isinstance(given, str) else [each for each in given if each != "null"]
    return kinds[0] if kinds else ""


def _richest(choices: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first choice that is something."""
    return next((each for each in choices if each.get("type") != "null"), choices[0])


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return _resolved(found, document)


_TEXTS: Final = {
    "date": "2026-05-01",
    "date-time": "2026-05-01T06:30:00Z",
    _LOCAL: "2026-05-01T15:30:00",
    "uri": "https://app.example.com",
    "uuid": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "duration": "PT8H",
}
