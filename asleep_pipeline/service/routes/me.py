"""`GET /v1/me`: who asks."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, get

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.service.admission import NEEDS, caller_of


class Me(msgspec.Struct):
    """Who asks.

    Attributes:
        org_id: Their organisation.
        role: What they are in it.
        user_id: The user that they are themselves, if any.
    """

    org_id: str
    role: str
    user_id: str | None


@get("/me", opt={NEEDS: Permission.OWN}, sync_to_thread=False)
def me(request: Request[Any, Any, Any]) -> Me:
    """The organisation and the role of whoever asks."""
    caller = caller_of(request)
    return Me(caller.org_id, caller.role, caller.user_id)
