"""`GET /live/sessions`: the sessions in progress of one organisation, as server-sent events.

| event | data | id |
|---|---|---|
| `snapshot` | `sessions`: how many `session` events follow | |
| `session` | a session in progress with all its stages, `from_epoch` 0 | |
| `ready` | nothing: the snapshot is whole | yes |
| `update` | a session with the stages that are new; what it says replaces what was | yes |
| `completed` | a session that is complete | yes |
| `gone` | a session that is not shown any more, such as of a user who left the roster | yes |

An id ends with the number of the event in the inbox that brought the change (`8c1f02aa-17`, or
`8c1f02aa-17-2` for the second change after it that no event brought); before that it names the
process. Whoever comes back with it as `Last-Event-ID` gets what was missed; or a snapshot, where that
is not at hand any more, as after a restart. Comments are sent when nothing else is.

Nothing is queued for a reader. Who reads slowly falls behind the channel and begins again with a
snapshot, which holds all that was missed in fewer words, so nobody is cut off for a slow line. Who
reads nothing at all holds one of the streams of their own organisation, and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from weakref import WeakSet

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import ServerSentEvent, ServerSentEventMessage
from litestar.types import ControllerRouterHandler

from asleep_pipeline.access.callers import (
    CHALLENGE,
    Caller,
    NotAuthenticated,
    authenticate,
    is_still_known,
)
from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.roles import Permission
from asleep_pipeline.access.tokens import PREFIX
from asleep_pipeline.errors import AccessError
from asleep_pipeline.webhooks.answers import PROBLEM_TYPE, Problem, problem
from asleep_pipeline.webhooks.channels import Channel, Position, read_position
from asleep_pipeline.webhooks.live import Live
from asleep_pipeline.webhooks.live_words import update

STREAM_PATH: Final = "/live/sessions"
STREAMS: Final = "streams"
"""Where an application keeps its `Streams`, to be closed when it is to end."""
MOST_STREAMS: Final = 200
"""Streams that are open at a time."""
MOST_OF_ONE: Final = 20
"""Of them, those of one organisation: nobody can keep all others out."""

_HEARTBEAT_S: Final = 15.0
_CHECK_S: Final = 0.5
"""How long whoever may not ask any more may still listen; a second is promised."""
_READ_AT_ONCE: Final = 100
_RETRY_MS: Final = 2_000
_TOKEN_NAMES: Final = frozenset({"token", "access_token", "api_key"})

_Lifespan: TypeAlias = Callable[[Litestar], AbstractAsyncContextManager[None]]
_Messages: TypeAlias = AsyncGenerator[ServerSentEventMessage, None]


class Streams:
    """All streams that are open, within one event loop.

    Args:
        live: What they show.
        credentials: By which somebody may open one.
    """

    def __init__(self, live: Live, credentials: Credentials) -> None:
        self._live, self._credentials = live, credentials
        # A stream lives for as long as what sends it, however that ends.
        self._open: WeakSet[_Stream] = WeakSet()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def close(self) -> None:
        """End them all, now; from the event loop that they run in."""
        for stream in list(self._open):
            stream.end()

    async def open(self, request: Request[Any, Any, Any]) -> Response[Any]:
        """Answer a request by a stream, or by a problem."""
        if _has_token(request):
            return _refused(HTTPStatus.BAD_REQUEST, _LOGGED)
        try:
            caller = await self._caller(request)
        except NotAuthenticated:
            headers = {"www-authenticate": CHALLENGE}
            return _refused(HTTPStatus.UNAUTHORIZED, _UNKNOWN, headers)
        except AccessError:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, _CLOSED, {"retry-after": "5"})
        if not caller.may(Permission.PEOPLE):
            return _refused(HTTPStatus.FORBIDDEN, _NOT_ALLOWED)
        ours = sum(stream.caller.org_id == caller.org_id for stream in self._open)
        if ours >= MOST_OF_ONE or len(self._open) >= MOST_STREAMS:
            return _refused(HTTPStatus.TOO_MANY_REQUESTS, _FULL, {"retry-after": "10"})
        stream = _Stream(self._live, self._credentials, caller)
        self._open.add(stream)
        messages = stream.messages(request.headers.get("last-event-id", ""))
        return ServerSentEvent(messages, headers={"Cache-Control": "no-store"})

    async def _caller(self, request: Request[Any, Any, Any]) -> Caller:
        given = request.headers.getall("authorization", [])
        header = given[0] if len(given) == 1 else None
        return await asyncio.to_thread(authenticate, header, self._credentials)


class _Stream:
    """One stream: what its reader is sent, until its reader may not ask any more or all streams end."""

    def __init__(self, live: Live, credentials: Credentials, caller: Caller) -> None:
        self.caller = caller
        self._live, self._credentials = live, credentials
        self._is_ended = False
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._checked = self._sent = time.monotonic()

    def end(self) -> None:
        """Send nothing more."""
        self._is_ended = True
        self._news.set()

    async def messages(self, last_id: str) -> _Messages:
        """All that is to be sent.

        Args:
            last_id: The `Last-Event-ID` that the reader came with; "" without.
        """
        yield ServerSentEventMessage(data=None, comment="live sessions", retry=_RETRY_MS)
        while not self._live.caught_up.is_set():
            if not await self._is_on():
                return
            yield _HEARTBEAT
        channel = self._live.board.channel(self.caller.org_id)
        with _woken(channel, self._wake):
            place = self._place_after(channel, last_id)
            while await self._is_on(waits=False):
                async for message in self._from(channel, place):
                    yield message
                # It has fallen behind.
                place = None

    def _place_after(self, channel: Channel, last_id: str) -> int | None:
        run, _, rest = last_id.partition("-")
        position = read_position(rest) if run == self._live.board.run else None
        return channel.place_after(position) if position else None

    async def _from(self, channel: Channel, place: int | None) -> _Messages:
        """The changes from a place on, after a snapshot without one; until the place has gone."""
        if place is None:
            place, position = channel.end
            async for message in self._snapshot(position):
                yield message
        is_idle = False
        while await self._is_on(waits=is_idle):
            changes = channel.read(place, _READ_AT_ONCE)
            if changes is None:
                return
            for change in changes:
                yield self._message(change.name, change.data, change.position)
            place += len(changes)
            is_idle = not changes
            if time.monotonic() - self._sent > _HEARTBEAT_S:
                self._sent = time.monotonic()
                yield _HEARTBEAT

    async def _snapshot(self, position: Position) -> _Messages:
        sessions = await asyncio.to_thread(self._live.board.sessions, self.caller.org_id)
        count = msgspec.json.encode({"sessions": len(sessions)})
        yield self._message("snapshot", count)
        for session in sessions:
            if not await self._is_on(waits=False):
                return
            yield self._message("session", update(session))
            # A large one must not hold up what accepts events.
            await asyncio.sleep(0)
        # Only now may a reader who is cut off go on from here.
        yield self._message("ready", b"{}", position)

    async def _is_on(self, *, waits: bool = True) -> bool:
        """Whether to go on; waits for news, for a moment, if told so."""
        if waits and not self._is_ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _CHECK_S)
        if not self._is_ended:
            self._news.clear()
            await self._check()
        return not self._is_ended

    async def _check(self) -> None:
        if time.monotonic() - self._checked < _CHECK_S:
            return
        try:
            is_known = await asyncio.to_thread(is_still_known, self.caller, self._credentials)
        except AccessError:
            is_known = False
        self._checked = time.monotonic()
        self._is_ended |= not is_known

    def _wake(self) -> None:
        """Called by the thread that changes the sessions, perhaps after the loop's end."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._news.set)

    def _message(
        self, name: str, data: bytes, position: Position | None = None
    ) -> ServerSentEventMessage:
        self._sent = time.monotonic()
        event_id = None if position is None else f"{self._live.board.run}-{position}"
        return ServerSentEventMessage(data, name, event_id)


def stream_route(streams: Streams) -> ControllerRouterHandler:
    """The route of `streams`."""

    @get(STREAM_PATH, responses=_PROBLEMS, media_type="text/event-stream")
    async def live_sessions(request: Request[Any, Any, Any]) -> Response[Any]:
        """The sessions in progress of the caller's organisation, as server-sent events."""
        return await streams.open(request)

    return live_sessions


def following(live: Live) -> _Lifespan:
    """Follows the inbox for as long as the application runs."""

    @asynccontextmanager
    async def run(_app: Litestar) -> AsyncIterator[None]:
        live.start()
        try:
            yield
        finally:
            await asyncio.to_thread(live.close)

    return run


@contextmanager
def _woken(channel: Channel, wake: Callable[[], None]) -> Iterator[None]:
    channel.join(wake)
    try:
        yield
    finally:
        channel.leave(wake)


def _has_token(request: Request[Any, Any, Any]) -> bool:
    given = request.query_params.multi_items()
    return any(
        name.lower() in _TOKEN_NAMES or str(value).startswith(PREFIX) for name, value in given
    )


def _refused(
    status: HTTPStatus, detail: str, headers: dict[str, str] | None = None
) -> Response[Any]:
    answer = problem(status, detail)
    return Response(
        answer.body, status_code=answer.status, headers=headers, media_type=PROBLEM_TYPE
    )


_HEARTBEAT: Final = ServerSentEventMessage(data=None, comment="")
_UNKNOWN: Final = "The request must bear one credential that holds, as `Authorization: Bearer`."
_NOT_ALLOWED: Final = "Your role does not allow this."
_LOGGED: Final = (
    "A token in an address is written into logs: revoke it, and send another as "
    "`Authorization: Bearer`."
)
_CLOSED: Final = "Credentials cannot be checked just now."
_FULL: Final = "There are as many streams as are allowed."
_PROBLEMS: Final = {
    int(status): ResponseSpec(Problem, description=detail, media_type=PROBLEM_TYPE)
    for status, detail in (
        (HTTPStatus.BAD_REQUEST, _LOGGED),
        (HTTPStatus.UNAUTHORIZED, _UNKNOWN),
        (HTTPStatus.FORBIDDEN, _NOT_ALLOWED),
        (HTTPStatus.TOO_MANY_REQUESTS, _FULL),
        (HTTPStatus.SERVICE_UNAVAILABLE, _CLOSED),
    )
}
