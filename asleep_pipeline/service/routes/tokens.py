"""`/v1/tokens`: by which an organisation's programs ask."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import JSONBody

from asleep_pipeline.access import tokens
from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.roles import Permission, Role
from asleep_pipeline.service.admission import CREDENTIALS, NEEDS, caller_of
from asleep_pipeline.service.granting import Given, Name, Number, UserId, answered, check_grant
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of
from asleep_pipeline.service.problems import NotFound

_Request = Request[Any, Any, Any]
_MANAGE: Final = {NEEDS: Permission.MANAGE}


class Token(msgspec.Struct):
    """What is known of a token, which is not the token itself.

    Attributes:
        user_id: The user who shows it, of the role member; null of the others.
        revoked_at: Since when it holds no more; null while it does.
    """

    id: int
    name: str
    role: Role
    user_id: str | None
    created_at: datetime
    revoked_at: datetime | None


class MadeToken(Token, kw_only=True):
    """A token, which is told this once.

    Attributes:
        token: To be sent as `Authorization: Bearer`.
    """

    token: str


class NewToken(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A token to be made; the name is what people call it."""

    name: Name
    role: Given
    user_id: UserId | None = None


@get("/tokens", opt=_MANAGE, sync_to_thread=True)
def list_tokens(
    request: _Request, limit: Limit = USUAL_LIMIT, cursor: Cursor = None
) -> Page[Token]:
    """The organisation's tokens in the order in which they were made, the revoked ones too."""
    listing = listing_of(request)
    (after,) = listing.place(cursor) or (0,)
    found = _tokens(request).of(listing.org_id, after=after, limit=limit + 1)
    return listing.page([_told(each) for each in found], limit, lambda token: [token.id])


@post("/tokens", opt=_MANAGE, sync_to_thread=True)
def make_token(request: _Request, data: JSONBody[NewToken]) -> Response[MadeToken]:
    """Make a token, which is told once; nobody can give more than they have."""
    check_grant(request, data.role, data.user_id)
    made, secret = _tokens(request).create(
        caller_of(request).org_id,
        data.name,
        role=data.role,
        user_id=data.user_id,
        now=datetime.now(UTC),
    )
    return Response(
        _with_secret(made, secret),
        status_code=HTTPStatus.CREATED,
        headers={"cache-control": "no-store"},
    )


@delete("/tokens/{token_id:int}", opt=_MANAGE, raises=[NotFound], sync_to_thread=True)
def revoke_token(request: _Request, token_id: Number) -> None:
    """Let a token hold no more, from the next request on, and end the streams that it has opened."""
    org_id = caller_of(request).org_id
    with answered():
        _tokens(request).revoke(token_id, org_id=org_id, now=datetime.now(UTC))


TOKEN_ROUTES: Final = (list_tokens, make_token, revoke_token)


def _tokens(request: _Request) -> tokens.Tokens:
    credentials: Credentials = request.app.state[CREDENTIALS]
    return credentials.tokens


def _told(token: tokens.Token) -> Token:
    return Token(
        token.id, token.name, token.role, token.user_id, token.created_at, token.revoked_at
    )


def _with_secret(token: tokens.Token, secret: str) -> MadeToken:
    return MadeToken(
        token.id,
        token.name,
        token.role,
        token.user_id,
        token.created_at,
        token.revoked_at,
        token=secret,
    )
