"""Who may come in: every route names the permission that it asks for, and this is where it is looked at.

A route about one user takes `user_id` in its path. Whoever may not see that user gets the answer that an
unknown id gets; so nothing tells whom there is.
"""

from __future__ import annotations

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from asleep_pipeline.access.callers import Caller, authenticate
from asleep_pipeline.access.roles import Permission
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.service.problems import NotFound
from asleep_pipeline.service.tenants import Warehouse

NEEDS: Final = "needs"
"""Name of a route's option that holds the `Permission` it asks for."""
TOKENS: Final = "tokens"
WAREHOUSE: Final = "warehouse"
"""Where the application keeps what it looks at."""

_Connection = ASGIConnection[Any, Any, Any, Any]


def admit(connection: _Connection, handler: BaseRouteHandler) -> None:
    """Let a caller in whom the route is for; a guard of litestar.

    Raises:
        NotAuthenticated: Nobody who is known asks.
        NotFound: The route is about a user whom the caller may not see, or who does not exist.
        PermissionDeniedException: The caller's role has not the permission.
    """
    caller = caller_of(connection)
    user_id = connection.path_params.get("user_id")
    if user_id is not None:
        _admit_to_user(connection, caller, str(user_id))
    if not caller.may(Permission(handler.opt[NEEDS])):
        raise PermissionDeniedException("Your role does not allow this.")


def caller_of(connection: _Connection) -> Caller:
    """Who asks, as found once a request.

    Raises:
        NotAuthenticated: Nobody who is known asks.
    """
    if "caller" not in connection.state:
        given = connection.headers.getall("authorization", [])
        tokens: Tokens = connection.app.state[TOKENS]
        connection.state["caller"] = authenticate(given[0] if len(given) == 1 else None, tokens)
    caller: Caller = connection.state["caller"]
    return caller


def _admit_to_user(connection: _Connection, caller: Caller, user_id: str) -> None:
    warehouse: Warehouse = connection.app.state[WAREHOUSE]
    if not caller.may_see(user_id):
        raise NotFound
    with warehouse.of(caller.org_id) as con:
        if not con.execute("SELECT 1 FROM users WHERE user_id = $1", [user_id]).fetchone():
            raise NotFound
