"""Answers that a client has already are not sent again (`ETag`, `If-None-Match`, 304).

Every answer of a GET under `/v1` has a strong tag of its body without the handler's doing. Where making
the answer is the expensive part, a handler says first what it will be made of, and goes no further when
the client has it:

    @get("/users/{user_id:str}/nights", opt={NEEDS: Permission.OWN}, sync_to_thread=True)
    def nights(request: Request[Any, Any, Any], user_id: str) -> list[Night]:
        warehouse = warehouse_of(request)
        stop_if_known(request, warehouse.version)
        with warehouse.of(caller_of(request).org_id) as con:
            ...

All of it may be kept by its reader alone, who asks each time whether it holds still.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from asleep_pipeline.service.admission import caller_of

_TAG: Final = "etag"
_TAGS: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')
_READ: Final = frozenset({"GET", "HEAD"})
_PERSONAL: Final[Mapping[str, str]] = {"cache-control": "private, no-cache"}
"""That answers differ by `Authorization` is said of every answer (`edge`)."""


class NotModified(HTTPException):
    """The client has the answer already."""

    status_code = HTTPStatus.NOT_MODIFIED

    def __init__(self, tag: str) -> None:
        super().__init__(headers={"etag": tag, **_PERSONAL})


def stop_if_known(request: Request[Any, Any, Any], version: str, *also: str) -> None:
    """Go no further when the client has the answer; else the answer will bear the tag.

    Args:
        request: Who asks what: the caller, the path, the query and the zone count by themselves.
        version: Names the data that the answer is made of, such as `Warehouse.version`.
        also: What else makes a difference, such as the present date where the answer depends on it.

    Raises:
        NotModified: The client has it.
        NotAuthenticated: Nobody who is known asks.
    """
    caller = caller_of(request)
    query = sorted((name, str(value)) for name, value in request.query_params.multi_items())
    zone = request.headers.get("timezone", "")
    who = [caller.org_id, caller.role, caller.user_id]
    meaning = msgspec.json.encode([who, request.url.path, query, zone, version, also])
    tag = _tag(meaning)
    if _is_known(tag, request.headers.get("if-none-match", "")):
        raise NotModified(tag)
    request.state[_TAG] = tag


def tagged(app: ASGIApp) -> ASGIApp:
    """Middleware that tags answers, and says of whom they may be kept."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] in _READ:
            send = _Tagging(scope, send)
        await app(scope, receive, send)

    return run


class _Tagging:
    """Holds an answer's beginning back until its body is there."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._start: Any = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._start and message["type"] == "http.response.body":
            message = self._described(message)
            start, self._start = self._start, None
            await self._send(start)
        await self._send(message)

    def _described(self, message: Any) -> Any:
        headers = MutableScopeHeaders(self._start)
        for name, value in _PERSONAL.items():
            headers.setdefault(name, value)
        is_whole = not message.get("more_body")
        tag = self._scope["state"].get(_TAG) or (is_whole and _tag(message["body"]))
        if self._start["status"] != HTTPStatus.OK or not tag or not is_whole:
            return message
        headers["etag"] = tag
        if not _is_known(tag, Headers.from_scope(self._scope).get("if-none-match", "")):
            return message
        self._start["status"] = int(HTTPStatus.NOT_MODIFIED)
        for name in ("content-length", "content-type"):
            headers.pop(name, None)
        return message | {"body": b""}


def _tag(meaning: bytes) -> str:
    return f'"{sha256(meaning).hexdigest()[:32]}"'


def _is_known(tag: str, given: str) -> bool:
    """Compared weakly, as RFC 9110 has it for `If-None-Match`."""
    return given.strip() == "*" or tag in _TAGS.findall(given)
