"""Who may come in: every route names the permission that it asks for, and this is where it is looked at.

A route about one user takes `user_id` in its path. Whoever may not see that user gets the answer that an
unknown id gets; so nothing tells whom there is.

Looking who asks reads files, so it is done by threads, of which there are enough for nothing else: what
other requests wait for keeps nobody at the door.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from asleep_pipeline.access.app_users import AppUsers
from asleep_pipeline.access.callers import Caller, NotAuthenticated, authenticate
from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.roles import Permission
from asleep_pipeline.privacy.tombstones import Tombstones
from asleep_pipeline.service.limits import FAILURES_PER_SECOND, Buckets, sender_of
from asleep_pipeline.service.problems import NotFound, Unacceptable
from asleep_pipeline.service.roster import roster_of
from asleep_pipeline.service.tenants import Warehouse

NEEDS: Final = "needs"
"""Name of a route's option that holds the `Permission` it asks for."""
ANY_BODY: Final = "any_body"
"""Name of a route's option that is there when its body is not JSON."""
QUERY: Final = "query"
"""Name of a route's option that holds the names of its query's parameters, once the routes are known."""
AS_KEY: Final = "as_key"
"""Name of a route's option that is there when a credential may come as `x-api-key`, too."""
APP_USERS: Final = "app_users"
CREDENTIALS: Final = "credentials"
TOMBSTONES: Final = "tombstones"
WAREHOUSE: Final = "warehouse"
DOOR: Final = "door"
SETTINGS: Final = "settings"
"""Where the application keeps what it looks at."""

_THREADS: Final = 4

_Connection = ASGIConnection[Any, Any, Any, Any]


class Door:
    """Threads that look who asks, and counters of who asks too often.

    Args:
        requests_per_second: Of one organisation.
    """

    def __init__(self, requests_per_second: int) -> None:
        self.threads = ThreadPoolExecutor(_THREADS, "admission")
        self.requests = Buckets(requests_per_second)
        self.failures = Buckets(FAILURES_PER_SECOND)


async def admit(connection: _Connection, handler: BaseRouteHandler) -> None:
    """Let a caller in whom the route is for; a guard of litestar.

    Raises:
        NotAuthenticated: Nobody who is known asks.
        TooMany: They, or strangers at the same address, ask too often.
        NotFound: The route is about a user whom the caller may not see, or who does not exist.
        PermissionDeniedException: The caller's role has not the permission.
        NotJson: There is a body, of another kind.
        Unacceptable: The query holds what the route does not take.
    """
    if connection.scope.get("method") == "OPTIONS":
        # It tells the methods of a path, which the schema tells everybody.
        return
    door: Door = connection.app.state[DOOR]
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(door.threads, _admit, door, connection, handler)
    if ANY_BODY not in handler.opt:
        _check_kind(connection)
    if not handler.opt.get(QUERY, set(connection.query_params)) >= set(connection.query_params):
        raise Unacceptable("The query holds a parameter that is not known here.")


def caller_of(connection: _Connection) -> Caller:
    """Who asks, as found once a request.

    Raises:
        NotAuthenticated: Nobody who is known asks.
    """
    if "caller" not in connection.state:
        credentials: Credentials = connection.app.state[CREDENTIALS]
        connection.state["caller"] = authenticate(_shown(connection), credentials)
    caller: Caller = connection.state["caller"]
    return caller


def warehouse_of(connection: _Connection) -> Warehouse:
    """The published file that the application answers from."""
    warehouse: Warehouse = connection.app.state[WAREHOUSE]
    return warehouse


def _shown(connection: _Connection) -> str | None:
    """The credential as `Authorization` says it; None unless it is said once."""
    given = connection.headers.getall("authorization", [])
    if not given and AS_KEY in connection.route_handler.opt:
        given = [f"Bearer {key}" for key in connection.headers.getall("x-api-key", [])]
    return given[0] if len(given) == 1 else None


class NotJson(HTTPException):
    """A body that is not read here."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    def __init__(self) -> None:
        super().__init__("A body must be application/json in UTF-8, and not compressed.")


def _admit(door: Door, connection: _Connection, handler: BaseRouteHandler) -> None:
    caller = _known(door, connection)
    door.requests.take(caller.org_id)
    user_id = connection.path_params.get("user_id")
    if user_id is not None:
        admit_to_user(connection, caller, str(user_id))
    if not caller.may(Permission(handler.opt[NEEDS])):
        raise PermissionDeniedException("Your role does not allow this.")


def _known(door: Door, connection: _Connection) -> Caller:
    """Who asks; strangers who ask too often are told so.

    Whoever is known comes in however many strangers share the address: behind a proxy all do.
    """
    try:
        return caller_of(connection)
    except NotAuthenticated:
        door.failures.take(sender_of(connection.scope.get("client")))
        raise


def app_users_of(connection: _Connection) -> AppUsers:
    """Whom the apps of organisations have created."""
    app_users: AppUsers = connection.app.state[APP_USERS]
    return app_users


def tombstones_of(connection: _Connection) -> Tombstones:
    """Who was erased, or is being erased: nobody sees anything of them any more."""
    tombstones: Tombstones = connection.app.state[TOMBSTONES]
    return tombstones


def admit_to_user(connection: _Connection, caller: Caller, user_id: str) -> None:
    """Let a caller see a user; reads files.

    Raises:
        NotFound: They may not, or there is no such user in their organisation.
    """
    if not caller.may_see(user_id) or tombstones_of(connection).hold(user_id):
        raise NotFound
    org_id = caller.org_id
    is_known = (
        warehouse_of(connection).has_user(org_id, user_id)
        # Whoever was created since the last publication is known as well,
        or app_users_of(connection).find(org_id, user_id) is not None
        # and so is whoever came through the proxy.
        or roster_of(connection).find(org_id, user_id) is not None
    )
    if not is_known:
        raise NotFound


def _check_kind(connection: _Connection) -> None:
    headers = connection.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    kind, _, parameters = headers.get("content-type", "").lower().partition(";")
    is_utf8 = parameters.strip().replace('"', "") in {"", "charset=utf-8"}
    if kind.strip() != "application/json" or not is_utf8 or "content-encoding" in headers:
        raise NotJson
