"""From a request's `Authorization` header to who asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.jwts import LONGEST
from asleep_pipeline.access.members import Member
from asleep_pipeline.access.roles import PERMISSIONS, Permission, Role
from asleep_pipeline.access.tokens import PREFIX, Token

CHALLENGE: Final = 'Bearer realm="asleep-pipeline"'
"""What a refusal says of how to ask, in `WWW-Authenticate`."""

_LONGEST: Final = LONGEST + len("bearer  ")
_BEARER: Final = re.compile(
    rf"(?i:bearer) +(?:(?P<token>{PREFIX}[\w-]{{43}})|(?P<jwt>[\w-]+\.[\w-]+\.[\w-]+))", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        org_id: The organisation that they belong to; they see nothing of any other.
        role: What they are in it.
        subject: Names them in the audit, such as `token:7` or `member:3`; tells nobody else who it is.
        user_id: The user that they are themselves; None when they are none.
        token_id: The token that they have shown; None without one.
        member_id: The member that they are; None by a token.
        expires_at: Until when what they have shown holds, UTC; None without end.
    """

    org_id: str
    role: Role
    subject: str
    user_id: str | None
    token_id: int | None = None
    member_id: int | None = None
    expires_at: datetime | None = None

    def may(self, permission: Permission) -> bool:
        """Whether their role has a permission."""
        return permission in PERMISSIONS[self.role]

    def may_see(self, user_id: str) -> bool:
        """Whether they may see the rows of a user, provided that the user is of their organisation."""
        return self.may(Permission.PEOPLE) or user_id == self.user_id

    def may_give(self, role: Role) -> bool:
        """Whether they may make somebody what a role says: nobody gives more than they have."""
        return PERMISSIONS[role] <= PERMISSIONS[self.role]


class NotAuthenticated(Exception):  # noqa: N818 -- it is an answer, and a normal one
    """Nobody who is known asks; a stranger learns nothing from the difference of cases."""


def authenticate(header: str | None, credentials: Credentials) -> Caller:
    """Say who asks.

    Args:
        header: The `Authorization` header, of which there is exactly one; None otherwise.
        credentials: What can be shown.

    Raises:
        NotAuthenticated: It bears nothing that holds.
        AccessError: Credentials cannot be looked up.
    """
    given = header or ""
    found = _BEARER.fullmatch(given) if len(given) <= _LONGEST else None
    if found is None:
        raise NotAuthenticated
    token, jwt = found["token"], found["jwt"]
    caller = _by_token(token, credentials) if token else _by_jwt(jwt, credentials)
    if caller is None:
        raise NotAuthenticated
    return caller


def is_still_known(caller: Caller, credentials: Credentials) -> bool:
    """Whether a caller is still what they were, for what goes on after the request.

    Raises:
        AccessError: Credentials cannot be looked up.
    """
    if caller.token_id is not None:
        token = credentials.tokens.get(caller.token_id)
        return token is not None and _of_token(token) == caller
    if caller.expires_at is None or caller.expires_at <= datetime.now(UTC):
        return False
    members = credentials.members.with_id(caller.member_id)
    return any(_of_member(member, caller.expires_at) == caller for member in members)


def _by_token(secret: str, credentials: Credentials) -> Caller | None:
    token = credentials.tokens.find(secret)
    return _of_token(token) if token else None


def _by_jwt(word: str, credentials: Credentials) -> Caller | None:
    claims = credentials.jwts.read(word) if credentials.jwts else None
    if claims is None:
        return None
    members = credentials.members.known_as(claims.subject)
    meant = [m for m in members if claims.org_id in {None, m.org_id}]
    # Of whoever is a member of several, nobody guesses in which place they ask.
    return _of_member(meant[0], claims.expires_at) if len(meant) == 1 else None


def _of_token(token: Token) -> Caller:
    return Caller(token.org_id, token.role, f"token:{token.id}", token.user_id, token_id=token.id)


def _of_member(member: Member, expires_at: datetime) -> Caller:
    return Caller(
        member.org_id,
        member.role,
        f"member:{member.id}",
        member.user_id,
        member_id=member.id,
        expires_at=expires_at,
    )
