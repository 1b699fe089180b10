"""The nine endpoints of the Asleep API (contract section 2)."""

from __future__ import annotations

import re
from datetime import date, tzinfo
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter

from asleep_pipeline.simulator.averages import average_result
from asleep_pipeline.simulator.calendar import Slot
from asleep_pipeline.simulator.clock import Clock
from asleep_pipeline.simulator.metadata import CreateBody, UpdateBody, read_metadata
from asleep_pipeline.simulator.people import Person
from asleep_pipeline.simulator.refusals import Refusal, unprocessable
from asleep_pipeline.simulator.world import World

_SESSION_ID = re.compile(r"\d{14}(_[0-9a-z]{5})?")
_LONGEST_PERIOD_DAYS = 100
_Answer = Response[bytes]

GivenWorld = NamedDependency[World]
GivenClock = NamedDependency[Clock]

UserHeader = Annotated[str, HeaderParameter(name="x-user-id")]
ZoneHeader = Annotated[str, HeaderParameter(name="timezone")]


@post("/ai/v1/users")
async def create_user(
    request: Request[Any, Any, Any], world: GivenWorld, clock: GivenClock
) -> _Answer:
    """U1: add a user; the body may be absent."""
    body = await request.body() or b"{}"
    metadata = read_metadata(body, CreateBody, clock.now().year)
    return answer({"user_id": world.create_user(metadata)}, detail="success", status=201)


@get("/ai/v1/users/{user_id:str}")
async def get_user(user_id: FromPath[str], world: GivenWorld) -> _Answer:
    """U2: describe a user."""
    person = world.find_person(user_id)
    if person is None:
        raise Refusal(404, "user does not exist")
    return answer(world.describe_user(person), detail="success")


@put("/ai/v1/users/{user_id:str}")
async def update_user(
    user_id: FromPath[str], request: Request[Any, Any, Any], world: GivenWorld, clock: GivenClock
) -> _Answer:
    """U3: replace a user's metadata."""
    metadata = read_metadata(await request.body(), UpdateBody, clock.now().year)
    if world.find_person(user_id) is None:
        raise Refusal(404, "user not exist")
    world.update_user(user_id, metadata)
    return answer({"user_id": user_id, "metadata": metadata}, detail="success")


@delete("/ai/v1/users/{user_id:str}", status_code=204)
async def delete_user(user_id: FromPath[str], world: GivenWorld) -> None:
    """U4: remove a user with everything."""
    _owner(world, user_id, Refusal(401, "user_id is invalid"))
    world.delete_user(user_id)


@get("/data/v1/sessions")
async def list_sessions(  # noqa: PLR0917 - litestar passes all by name
    world: GivenWorld,
    user_id: UserHeader = "",
    zone_name: ZoneHeader = "UTC",
    date_gte: FromQuery[date | None] = None,
    date_lte: FromQuery[date | None] = None,
    order_by: FromQuery[Literal["ASC", "DESC"]] = "DESC",
    offset: Annotated[int, QueryParameter(ge=0)] = 0,
    limit: Annotated[int, QueryParameter(ge=0, le=100)] = 20,
) -> _Answer:
    """S1: one page of a user's sessions. An unknown user is a 404 (the contract leaves it open)."""
    person = _owner(world, user_id, _bad_reader_id())
    zone = read_zone(zone_name)
    slots = world.visible(person, zone, date_gte, date_lte)
    ordered = slots if order_by == "ASC" else slots[::-1]
    rows = [world.row(slot, zone) for slot in ordered[offset : offset + limit]]
    world.page_served(person)
    return answer({"timezone": zone_name, "sleep_session_list": rows})


@get("/data/v3/sessions/{session_id:str}")
async def get_session(
    session_id: FromPath[str],
    world: GivenWorld,
    user_id: UserHeader = "",
    zone_name: ZoneHeader = "UTC",
) -> _Answer:
    """S2: one session with its series and statistics."""
    person = _owner(world, user_id, _bad_reader_id())
    zone = read_zone(zone_name)
    if not _SESSION_ID.fullmatch(session_id):
        raise Refusal(400, f"The format of sleep session id {session_id} is invalid")
    slot = _session(world, person, session_id)
    return Response(world.detail(slot, zone, zone_name), media_type="application/json")


@delete("/ai/v1/sessions/{session_id:str}", status_code=204)
async def delete_session(
    session_id: FromPath[str], world: GivenWorld, user_id: UserHeader = ""
) -> None:
    """S3: remove one session."""
    person = _owner(world, user_id, _bad_deleter_id())
    world.delete_sessions([_session(world, person, session_id)])


@delete("/ai/v1/sessions", status_code=204)
async def delete_sessions(world: GivenWorld, user_id: UserHeader = "") -> None:
    """S4: remove all sessions of a user; those that arrive later are new."""
    person = _owner(world, user_id, _bad_deleter_id())
    world.delete_sessions(world.visible(person, read_zone("UTC"), None, None))


@get("/data/v1/users/{user_id:str}/average-stats")
async def average_stats(
    user_id: FromPath[str],
    start_date: FromQuery[date],
    end_date: FromQuery[date],
    world: GivenWorld,
    zone_name: ZoneHeader = "UTC",
) -> _Answer:
    """A1: averages over the sessions that start on these dates in the header's zone."""
    zone = read_zone(zone_name)
    _check_period(start_date, end_date)
    person = world.find_person(user_id)
    if person is None:
        raise Refusal(404, f"Unable to find the user of id {user_id}")
    slots = world.visible(person, zone, start_date, end_date)
    complete = [(slot, world.analysis(slot)) for slot in slots if world.state(slot) == "COMPLETE"]
    period = {"timezone": zone_name, "start_date": start_date, "end_date": end_date}
    said = [] if person.plan.breathing else ["NO_BREATHING_STABILITY"]
    return answer({"period": period, "peculiarities": said} | average_result(complete, zone))


ENDPOINTS = (
    create_user,
    get_user,
    update_user,
    delete_user,
    list_sessions,
    get_session,
    delete_session,
    delete_sessions,
    average_stats,
)


def answer(result: dict[str, Any], *, detail: str = "OK", status: int = 200) -> _Answer:
    """Wrap a result in the success envelope."""
    body = msgspec.json.encode({"detail": detail, "result": result})
    return Response(body, media_type="application/json", status_code=status)


def read_zone(name: str) -> tzinfo:
    """Return the zone of a `timezone` header.

    Raises:
        Refusal: 400, it is no IANA name.
    """
    if name not in _zone_names():
        raise Refusal(400, "The invalid timezone is provided")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _owner(world: World, user_id: str, bad_format: Refusal) -> Person:
    person = world.find_person(user_id)
    if person:
        return person
    raise Refusal(404, "user does not exist") if world.is_user_id(user_id) else bad_format


def _bad_reader_id() -> Refusal:
    return Refusal(400, "The format of x-user-id is invalid")


def _bad_deleter_id() -> Refusal:
    return Refusal(401, "x-user-id is invalid")


def _session(world: World, person: Person, session_id: str) -> Slot:
    slot = world.find_session(person, session_id)
    if slot is None:
        raise Refusal(404, "session does not exist")
    return slot


def _check_period(start: date, end: date) -> None:
    if (end - start).days > _LONGEST_PERIOD_DAYS:
        raise Refusal(400, "The period should be less than or equal to 100 days")
    if end < start:
        raise unprocessable("query", "end_date", f"{end} is before start_date {start}")
