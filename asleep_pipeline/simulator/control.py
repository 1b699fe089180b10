"""A small surface under `/_simulator` that steers a running simulator from another process.

It needs no key, since the server listens on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import io
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from asleep_pipeline.errors import UsageError
from asleep_pipeline.simulator.clock import Clock
from asleep_pipeline.simulator.faults import Faults
from asleep_pipeline.simulator.refusals import Refusal, unprocessable
from asleep_pipeline.simulator.simulation import Simulation
from asleep_pipeline.simulator.webhooks import Delivery
from asleep_pipeline.simulator.world import World

GivenWorld = NamedDependency[World]
GivenClock = NamedDependency[Clock]
GivenSimulation = NamedDependency[Simulation]

_Answer = Response[bytes]
_Request = Request[Any, Any, Any]


class ClockSetting(msgspec.Struct):
    """Body of the clock: an instant with offset, or null for real time."""

    now: datetime | None


class Between(msgspec.Struct):
    """Body of what is to be sent: two instants with offset, the second inclusive."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]


@get("/_simulator/roster")
async def get_roster(world: GivenWorld) -> _Answer:
    """Return the roster as CSV."""
    text = io.StringIO()
    world.print_roster(text)
    return Response(text.getvalue().encode(), media_type="text/csv")


@get("/_simulator/requests")
async def get_requests(simulation: GivenSimulation) -> _Answer:
    """Return how many requests came, by endpoint name."""
    return _json(dict(simulation.requests))


@post("/_simulator/reset", status_code=204)
async def reset(simulation: GivenSimulation) -> None:
    """Undo what clients did, switch every fault off, count from 0; the clock stays."""
    simulation.reset()


@get("/_simulator/faults")
async def get_faults(simulation: GivenSimulation) -> _Answer:
    """Return all faults."""
    return _json(simulation.faults)


@put("/_simulator/faults")
async def put_faults(request: _Request, simulation: GivenSimulation) -> _Answer:
    """Replace all faults; those not named are switched off."""
    simulation.set_faults(_read(await request.body(), Faults))
    return _json(simulation.faults)


@get("/_simulator/clock")
async def get_clock(clock: GivenClock) -> _Answer:
    """Return the present instant of the simulator."""
    return _json({"now": clock.now()})


@put("/_simulator/clock")
async def put_clock(request: _Request, clock: GivenClock) -> _Answer:
    """Stand still at an instant, once the webhooks until then are sent; null follows real time."""
    instant = _read(await request.body(), ClockSetting).now
    try:
        # Who gets a webhook may ask this server for its session before answering.
        await asyncio.to_thread(clock.set, instant)
    except UsageError as error:
        raise unprocessable("body", "now", str(error)) from error
    return _json({"now": clock.now()})


@get("/_simulator/truth/{user_id:str}")
async def get_truth(
    user_id: FromPath[str], start: FromQuery[date], end: FromQuery[date], world: GivenWorld
) -> _Answer:
    """Return `World.sessions` of a user."""
    return _json(world.sessions(user_id, start, end))


@post("/_simulator/webhooks", status_code=200)
async def post_webhooks(request: _Request, simulation: GivenSimulation) -> _Answer:
    """Send the webhooks that fall due between two instants; return how each was answered."""
    between = _read(await request.body(), Between)
    try:
        sent = await asyncio.to_thread(simulation.webhooks.send, between.since, between.until)
    except UsageError as error:
        raise Refusal(409, str(error)) from error
    return _json([_told(delivery) for delivery in sent])


CONTROLS = (
    get_roster,
    get_requests,
    reset,
    get_faults,
    put_faults,
    get_clock,
    put_clock,
    get_truth,
    post_webhooks,
)


def _json(value: object) -> _Answer:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _told(delivery: Delivery) -> dict[str, Any]:
    event = delivery.event
    names = ("at", "name", "user_id", "session_id")
    answer = {"status": delivery.status, "tries": delivery.tries}
    return {name: getattr(event, name) for name in names} | answer


def _read(body: bytes, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise Refusal(422, str(error)) from error
