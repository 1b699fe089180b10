"""`/v1/users/{user_id}/sessions`: what a user has slept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from litestar import Request, delete, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, QueryParameter

from asleep_pipeline.access.deleted_sessions import DeletedSessions
from asleep_pipeline.access.roles import Permission
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline.service.admission import NEEDS, caller_of, warehouse_of
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of
from asleep_pipeline.service.problems import NotFound
from asleep_pipeline.service.readthrough import READING, Reading
from asleep_pipeline.service.sessions import (
    DELETED_SESSIONS,
    MOST_DAYS,
    Found,
    Session,
    State,
    Summary,
    Wanted,
    find,
    listed,
    place_of,
    whole,
)
from asleep_pipeline.service.upstream import FAILURES
from asleep_pipeline.zones.names import is_zone

_Request = Request[Any, Any, Any]


class BadPeriod(HTTPException):
    """A period or a zone that cannot be asked for."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY


@get(
    "/users/{user_id:str}/sessions",
    opt={NEEDS: Permission.OWN},
    raises=[NotFound, BadPeriod],
    sync_to_thread=True,
)
def list_sessions(  # noqa: PLR0917 -- litestar passes all by name
    request: _Request,
    user_id: FromPath[str],
    limit: Limit = USUAL_LIMIT,
    cursor: Cursor = None,
    first: Annotated[
        date | None,
        QueryParameter(name="from", description="First date; 365 days before the last if absent."),
    ] = None,
    last: Annotated[
        date | None,
        QueryParameter(
            name="to", description="Last date; 365 days after the first, or tomorrow, if absent."
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        QueryParameter(
            max_length=64,
            description="Zone (IANA) in which sessions start on these dates. If absent, they are "
            "dates of waking up where the user was (`night_date`; of the start while OPEN).",
        ),
    ] = None,
    in_state: Annotated[
        State | None, QueryParameter(name="state", description="Only sessions in this state.")
    ] = None,
    order: FromQuery[Literal["newest", "oldest"]] = "newest",
) -> Page[Summary]:
    """A user's sessions that are published, by their start.

    A session shows up with the next publication after the pipeline has read it. At most 366 days can be
    asked for at a time.
    """
    listing = listing_of(request)
    first, last = _period(first, last)
    if timezone is not None and not is_zone(timezone):
        raise BadPeriod("timezone: it is no IANA time zone.")
    after = listing.place(cursor)
    wanted = Wanted(
        user_id=user_id,
        first=first,
        last=last,
        zone=timezone,
        state=in_state,
        hidden=_deleted_of(request).of(listing.org_id, user_id),
        newest_first=order == "newest",
        after=(after[0], after[1]) if after else None,
    )
    with warehouse_of(request).of(listing.org_id) as con:
        return listing.page(listed(con, wanted, limit + 1), limit, place_of)


@get(
    "/users/{user_id:str}/sessions/{session_id:str}",
    opt={NEEDS: Permission.OWN},
    raises=[NotFound, *FAILURES],
)
async def get_session(
    request: _Request, user_id: FromPath[str], session_id: FromPath[str]
) -> Session:
    """A session with its stages and statistics.

    One that is not published in its final form is read from Asleep, at most once a minute, and kept.
    """
    org_id = caller_of(request).org_id
    found = await asyncio.to_thread(_find, request, user_id, session_id)
    if found is not None and found.is_final:
        return whole(found.row, "warehouse")
    session = await _reading_of(request).session(org_id, user_id, session_id)
    if session is not None:
        return session
    if found is not None:
        user = LakeUser(user_id, org_id, None)
        _reading_of(request).vanished(user, session_id, found.start_date)
    raise NotFound


@delete(
    "/users/{user_id:str}/sessions/{session_id:str}",
    opt={NEEDS: Permission.OWN},
    raises=[NotFound, *FAILURES],
)
async def delete_session(
    request: _Request, user_id: FromPath[str], session_id: FromPath[str]
) -> None:
    """Delete a session at Asleep and here.

    It is not to be seen from now on, and leaves the published file with the next publication after the
    pipeline has read on.
    """
    org_id = caller_of(request).org_id
    found = await asyncio.to_thread(_find, request, user_id, session_id)
    await _reading_of(request).delete(
        LakeUser(user_id, org_id, None),
        session_id,
        found.start_date if found else None,
        is_known=found is not None,
    )
    await asyncio.to_thread(_hide, request, user_id, session_id)


def _period(first: date | None, last: date | None) -> tuple[date, date]:
    """The first and the last date, of which the one that is not named is a year away.

    Raises:
        BadPeriod: It is longer than that, or ends before it begins.
    """
    longest = timedelta(days=MOST_DAYS - 1)
    try:
        if last is None:
            # Somewhere it is tomorrow already.
            last = first + longest if first else datetime.now(UTC).date() + timedelta(days=1)
        first = first or last - longest
    except OverflowError:
        raise BadPeriod("from, to: no calendar has these dates.") from None
    if not timedelta(0) <= last - first <= longest:
        raise BadPeriod(f"from, to: a period has 1 to {MOST_DAYS} days.")
    return first, last


def _find(request: _Request, user_id: str, session_id: str) -> Found | None:
    """The session as it is published; None when it is not, or nothing is.

    Raises:
        NotFound: It was deleted.
    """
    org_id = caller_of(request).org_id
    if session_id in _deleted_of(request).of(org_id, user_id):
        raise NotFound
    warehouse = warehouse_of(request)
    if not warehouse.is_published:
        return None
    with warehouse.of(org_id) as con:
        return find(con, user_id, session_id)


def _hide(request: _Request, user_id: str, session_id: str) -> None:
    """Show a deleted session no more, and forget those that are not published any more."""
    org_id, deleted, now = caller_of(request).org_id, _deleted_of(request), datetime.now(UTC)
    deleted.add(org_id, user_id, session_id, now=now)
    published = _published(request, user_id, deleted.of(org_id, user_id))
    deleted.keep_only(org_id, user_id, published, now=now)


def _published(request: _Request, user_id: str, session_ids: Iterable[str]) -> list[str]:
    """Those of some sessions that are published."""
    warehouse = warehouse_of(request)
    if not warehouse.is_published:
        return []
    sql = "SELECT session_id FROM sessions WHERE user_id = $1 AND list_contains($2, session_id)"
    with warehouse.of(caller_of(request).org_id) as con:
        found = con.execute(sql, [user_id, list(session_ids)]).fetchall()
    return [session_id for (session_id,) in found]


def _deleted_of(request: _Request) -> DeletedSessions:
    deleted: DeletedSessions = request.app.state[DELETED_SESSIONS]
    return deleted


def _reading_of(request: _Request) -> Reading:
    reading: Reading = request.app.state[READING]
    return reading


SESSION_ROUTES: Final = (list_sessions, get_session, delete_session)
