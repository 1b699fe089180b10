"""`/v1/users`: the users of an organisation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from litestar import Request, Response, delete, get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.privacy.journal import Erasure
from asleep_pipeline.service.admission import NEEDS, app_users_of, caller_of, tombstones_of
from asleep_pipeline.service.creation import CREATION, BeingCreated, Creation
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of
from asleep_pipeline.service.problems import NotFound
from asleep_pipeline.service.roster import roster_of
from asleep_pipeline.service.upstream import FAILURES, NotAccepted, upstream_of
from asleep_pipeline.service.users import Change, Contradiction, Deletion, NewUser, User, told

ERASE: Final = "erase"
"""Where the application keeps how somebody is erased."""

_Request = Request[Any, Any, Any]


@post(
    "/users",
    opt={NEEDS: Permission.PEOPLE},
    raises=[BeingCreated, NotAccepted, *FAILURES],
    responses={200: ResponseSpec(User, description="The app's user was created before.")},
)
async def create_user(request: _Request, data: JSONBody[NewUser]) -> Response[User]:
    """Create a user at Asleep for a user of the app, once.

    The same `app_user_id` again gives the same user, with 200 instead of 201, and changes nothing.
    The next pull takes the user; all routes know it at once.
    """
    creation: Creation = request.app.state[CREATION]
    org_id = caller_of(request).org_id
    app_user, is_new = await creation.create(org_id, data)
    row = await asyncio.to_thread(roster_of(request).find, org_id, app_user.user_id)
    return Response(
        told(row, app_user, app_user.user_id),
        status_code=HTTPStatus.CREATED if is_new else HTTPStatus.OK,
        headers={"location": f"/v1/users/{quote(app_user.user_id, safe='')}"},
    )


@get("/users", opt={NEEDS: Permission.PEOPLE}, sync_to_thread=True)
def list_users(
    request: _Request,
    limit: Limit = USUAL_LIMIT,
    cursor: Cursor = None,
    app_user_id: Annotated[
        str | None,
        QueryParameter(max_length=256, description="Only the user with the app's own id."),
    ] = None,
) -> Page[User]:
    """The organisation's users in the order of their ids, whoever has created them."""
    listing = listing_of(request)
    (after,) = listing.place(cursor) or ("",)
    if app_user_id is None:
        rows = roster_of(request).page(listing.org_id, after=after, limit=limit + 1)
        known = app_users_of(request).among(listing.org_id, [row["user_id"] for row in rows])
        users = [told(row, known.get(row["user_id"]), row["user_id"]) for row in rows]
    else:
        found = app_users_of(request).find_by_app(listing.org_id, app_user_id)
        users = [_told(request, found.user_id)] if found else []
    page = listing.page(users, limit, lambda user: [user.user_id])
    erased = tombstones_of(request).among(user.user_id for user in page.items)
    page.items = [user for user in page.items if user.user_id not in erased]
    return page


@get("/users/{user_id:str}", opt={NEEDS: Permission.OWN}, raises=[NotFound], sync_to_thread=True)
def get_user(request: _Request, user_id: FromPath[str]) -> User:
    """One user, as known at this moment."""
    return _told(request, user_id)


@patch(
    "/users/{user_id:str}",
    opt={NEEDS: Permission.OWN},
    raises=[NotFound, Contradiction, NotAccepted, *FAILURES],
)
async def change_user(request: _Request, user_id: FromPath[str], data: JSONBody[Change]) -> User:
    """Change what is known of a user, here and at Asleep.

    What is left out stays; null takes away. Metadata is merged with what Asleep knows, and sent whole.
    """
    org_id = caller_of(request).org_id
    if data.metadata:
        async with upstream_of(request).asking(org_id) as asleep:
            known = (await asleep.get_user(user_id)).result
            if known.to_be_deleted:
                raise NotFound
            await asleep.update_user(user_id, data.metadata.over(known.metadata))
    if data.columns:
        roster = roster_of(request)
        await roster.writing(roster.change, org_id, user_id, data.columns)
    return await asyncio.to_thread(_told, request, user_id)


@delete(
    "/users/{user_id:str}",
    opt={NEEDS: Permission.PEOPLE},
    status_code=HTTPStatus.ACCEPTED,
    raises=[NotFound],
    sync_to_thread=True,
)
def delete_user(request: _Request, user_id: FromPath[str]) -> Response[Deletion]:
    """Delete a user at Asleep, and erase everything here.

    Nobody sees the user from now on, and nothing brings it back; the bytes are gone when the erasure is
    finished, which `Location` tells those who manage the organisation. The app's user is somebody new when
    created again.
    """
    caller = caller_of(request)
    erasure: Erasure = request.app.state[ERASE](
        org_id=caller.org_id,
        user_id=user_id,
        upstream=True,
        by=caller.subject,
        now=datetime.now(UTC),
    )
    told_of = Deletion(erasure_id=erasure.id, requested_at=erasure.requested_at)
    return Response(told_of, headers={"location": f"/v1/erasures/{erasure.id}"})


def _told(request: _Request, user_id: str) -> User:
    org_id = caller_of(request).org_id
    app_user = app_users_of(request).find(org_id, user_id)
    return told(roster_of(request).find(org_id, user_id), app_user, user_id)


USER_ROUTES: Final = (create_user, list_users, get_user, change_user, delete_user)
