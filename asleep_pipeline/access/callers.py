"""From a request's `Authorization` header to who asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from asleep_pipeline.access.roles import PERMISSIONS, Permission, Role
from asleep_pipeline.access.tokens import Tokens

CHALLENGE: Final = 'Bearer realm="asleep-pipeline"'
"""What a refusal says of how to ask, in `WWW-Authenticate`."""

_BEARER: Final = re.compile(r"bearer +([\x21-\x7e]{1,512})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        org_id: The organisation that they belong to; they see nothing of any other.
        role: What they are in it.
        subject: Names them in the audit, such as `token:7`.
        user_id: The user that they are themselves; None when they are none.
        token_id: The token that they have shown.
    """

    org_id: str
    role: Role
    subject: str
    user_id: str | None
    token_id: int

    def may(self, permission: Permission) -> bool:
        """Whether their role has a permission."""
        return permission in PERMISSIONS[self.role]

    def may_see(self, user_id: str) -> bool:
        """Whether they may see the rows of a user, provided that the user is of their organisation."""
        return self.may(Permission.PEOPLE) or user_id == self.user_id


class NotAuthenticated(Exception):  # noqa: N818 -- it is an answer, and a normal one
    """Nobody who is known asks; a stranger learns nothing from the difference of cases."""


def authenticate(header: str | None, tokens: Tokens) -> Caller:
    """Say who asks.

    Args:
        header: The `Authorization` header, of which there is exactly one; None otherwise.
        tokens: The tokens that hold.

    Raises:
        NotAuthenticated: It bears no token, or none that holds.
        AccessError: The tokens cannot be read.
    """
    found = _BEARER.fullmatch(header or "")
    token = tokens.find(found[1]) if found else None
    if token is None:
        raise NotAuthenticated
    return Caller(
        token.org_id, Role.ADMIN, subject=f"token:{token.id}", user_id=None, token_id=token.id
    )


def is_still_known(caller: Caller, tokens: Tokens) -> bool:
    """Whether the token of a caller holds still, for what goes on after the request.

    Raises:
        AccessError: The tokens cannot be read.
    """
    return tokens.is_valid(caller.token_id)
