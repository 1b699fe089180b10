"""Every request that shows or changes what is personal leaves an entry in the audit log.

That is what routes do that are about a user, or ask for `Permission.PEOPLE` or `MANAGE`; others say so by
their option `AUDIT`. The entry is on the disk before the first byte of the answer leaves; when
it cannot be written, the answer is 503 and shows nothing. What changes something is noted before it
begins, too. Refused requests are noted like the others, with their status.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from asleep_pipeline.access.callers import Caller
from asleep_pipeline.access.roles import Permission
from asleep_pipeline.errors import AccessError
from asleep_pipeline.privacy.audit import Action, AuditLog, Deed
from asleep_pipeline.service.admission import NEEDS
from asleep_pipeline.webhooks.answers import problem

AUDIT: Final = "audit"
"""Name of a route's option that holds the `Action` by which its requests are noted, where the method does not
tell; None for none."""
AUDIT_LOG: Final = "audit_log"
"""Where the application keeps the log."""

_PERSONAL: Final = frozenset({Permission.PEOPLE, Permission.MANAGE})
_BY_METHOD: Final = {
    "GET": Action.READ,
    "HEAD": Action.READ,
    "POST": Action.CREATE,
    "PUT": Action.CHANGE,
    "PATCH": Action.CHANGE,
    "DELETE": Action.DELETE,
}
_ABOUT: Final = "audit_about"
_DETAILS: Final = "audit_details"
_Connection = ASGIConnection[Any, Any, Any, Any]


def tell_audit(
    connection: _Connection, *, user_id: str | None = None, **details: str | int
) -> None:
    """Let a handler say whom its request is about, when the path does not, and more of it.

    Args:
        connection: The request.
        user_id: The user; the entry holds a keyed hash of it.
        **details: By names of `asleep_pipeline.privacy.audit.DETAILS`.
    """
    state = connection.scope["state"]
    if user_id is not None:
        state[_ABOUT] = user_id
    state[_DETAILS] = state.get(_DETAILS, {}) | details


def action_of(handler: BaseRouteHandler, method: str) -> Action | None:
    """By which action requests of a route are noted; None when they are not."""
    if AUDIT in handler.opt:
        action: Action | None = handler.opt[AUDIT]
        return action
    is_about_a_user = any("{user_id" in path for path in handler.paths)
    is_personal = is_about_a_user or handler.opt.get(NEEDS) in _PERSONAL
    return _BY_METHOD.get(method) if is_personal else None


async def announce(connection: _Connection, handler: BaseRouteHandler) -> None:
    """Note a change before it begins; a guard, after the one that admits.

    Raises:
        AccessError: It cannot be noted, so it does not begin.
    """
    action = action_of(handler, str(connection.scope.get("method")))
    if action and action.changes_something:
        await _append(connection.scope, action, phase="begins")


class Auditing:
    """Notes what a request did before its answer leaves; a middleware around the routes.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        action = action_of(scope["route_handler"], str(scope.get("method")))
        if scope["type"] != ScopeType.HTTP or action is None:
            await self._app(scope, receive, send)
            return
        failed = False

        async def send_noted(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and "caller" in scope["state"]:
                try:
                    await _append(scope, action, status=message["status"])
                except AccessError:
                    failed = True
                    raise
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            if not failed:
                raise
            await _send_failure(send)


async def _append(scope: Scope, action: Action, **more: str | int) -> None:
    state = scope["state"]
    caller: Caller = state["caller"]
    log: AuditLog = scope["litestar_app"].state[AUDIT_LOG]
    user_id = scope["path_params"].get("user_id", state.get(_ABOUT))
    details = {"what": _route(scope), **state.get(_DETAILS, {}), **more}

    about = None if user_id is None else str(user_id)
    deed = Deed(caller.subject, action, caller.org_id, about, details)
    await asyncio.to_thread(log.append, deed, now=datetime.now(UTC))


def _route(scope: Scope) -> str:
    """The route's own path, in which parameters have their names instead of their values."""
    return f"{scope.get('method')} {scope['path_template']}"


async def _send_failure(send: Send) -> None:
    answer = problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The request cannot be noted just now, so it is not answered.",
        {"retry-after": "5"},
    )
    headers = list(answer.headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
