"""`/v1/members`: what those whom the identity provider knows may do in an organisation."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.exceptions import PermissionDeniedException
from litestar.params import JSONBody

from asleep_pipeline.access import members
from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.roles import Permission, Role
from asleep_pipeline.service.admission import CREDENTIALS, NEEDS, caller_of
from asleep_pipeline.service.granting import (
    Conflict,
    Given,
    Name,
    Number,
    UserId,
    answered,
    check_grant,
)
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of
from asleep_pipeline.service.problems import NotFound

_Request = Request[Any, Any, Any]
_MANAGE: Final = {NEEDS: Permission.MANAGE}


class Member(msgspec.Struct):
    """Somebody in the organisation.

    Attributes:
        subject: The `sub` of their JWTs.
        user_id: The user that they are, of the role member; null of the others.
    """

    id: int
    subject: str
    role: Role
    user_id: str | None
    created_at: datetime


class NewMember(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Somebody to be a member; the subject is the `sub` of their JWTs."""

    subject: Name
    role: Given
    user_id: UserId | None = None


class MemberChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a member is to be from now on."""

    role: Given
    user_id: UserId | None = None


@get("/members", opt=_MANAGE, sync_to_thread=True)
def list_members(
    request: _Request, limit: Limit = USUAL_LIMIT, cursor: Cursor = None
) -> Page[Member]:
    """The organisation's members, in the order in which they became that."""
    listing = listing_of(request)
    (after,) = listing.place(cursor) or (0,)
    found = _members(request).of(listing.org_id, after=after, limit=limit + 1)
    return listing.page([_told(each) for each in found], limit, lambda member: [member.id])


@post("/members", opt=_MANAGE, raises=[Conflict], sync_to_thread=True)
def add_member(request: _Request, data: JSONBody[NewMember]) -> Response[Member]:
    """Make somebody a member; nobody can give more than they have."""
    check_grant(request, data.role, data.user_id)
    with answered():
        made = _members(request).add(
            caller_of(request).org_id,
            data.subject,
            data.role,
            user_id=data.user_id,
            now=datetime.now(UTC),
        )
    return Response(_told(made), status_code=HTTPStatus.CREATED)


@patch("/members/{member_id:int}", opt=_MANAGE, raises=[Conflict, NotFound], sync_to_thread=True)
def change_member(request: _Request, member_id: Number, data: JSONBody[MemberChange]) -> Member:
    """Make a member something else; the last owner stays one. It holds from the next request on."""
    org_id = caller_of(request).org_id
    with answered():
        _check_reach(request, _members(request).get(org_id, member_id))
        check_grant(request, data.role, data.user_id)
        changed = _members(request).set_role(org_id, member_id, data.role, user_id=data.user_id)
    return _told(changed)


@delete("/members/{member_id:int}", opt=_MANAGE, raises=[Conflict, NotFound], sync_to_thread=True)
def remove_member(request: _Request, member_id: Number) -> None:
    """Let somebody be a member no more; the last owner stays. It holds from the next request on."""
    org_id = caller_of(request).org_id
    with answered():
        _check_reach(request, _members(request).get(org_id, member_id))
        _members(request).remove(org_id, member_id)


MEMBER_ROUTES: Final = (list_members, add_member, change_member, remove_member)


def _check_reach(request: _Request, member: members.Member) -> None:
    """Nobody changes somebody who is more than they are."""
    if not caller_of(request).may_give(member.role):
        raise PermissionDeniedException


def _members(request: _Request) -> members.Members:
    credentials: Credentials = request.app.state[CREDENTIALS]
    return credentials.members


def _told(member: members.Member) -> Member:
    return Member(member.id, member.subject, member.role, member.user_id, member.created_at)
