"""The client: one method for each of the nine endpoints, and iterators over what is paged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
from pydantic import SecretStr

from asleep_pipeline.asleep._budget import Budget, FileLedger, MemoryLedger
from asleep_pipeline.asleep._calls import Calls, Counters
from asleep_pipeline.asleep._http import Request, Transport, Wire
from asleep_pipeline.asleep._ids import checked, quoted
from asleep_pipeline.asleep._paging import PAGE_SIZE, whole_listing
from asleep_pipeline.asleep.answer import Answer
from asleep_pipeline.asleep.decoding import (
    decode_average_stats,
    decode_created_user,
    decode_session,
    decode_session_page,
    decode_updated_user,
    decode_user,
)
from asleep_pipeline.asleep.errors import InvalidRequest
from asleep_pipeline.asleep.models import (
    AverageStats,
    CreatedUser,
    Metadata,
    Session,
    SessionItem,
    SessionPage,
    UpdatedUser,
    User,
)
from asleep_pipeline.errors import ConfigurationError

T = TypeVar("T")

# The API allows 100 days; 99 of difference is safe whatever it counts (contract A1).
_LONGEST_WINDOW: Final = timedelta(days=99)


class AsleepClient:
    """Talks to the Asleep API for one key.

    Use it as ``async with AsleepClient(key) as asleep``, within one event loop. Any number of
    calls may be started at once; `max_connections` of them run.

    Every method raises `AsleepError`: a `StopError` when no request with this key will work,
    `Gone` when the user or the session does not exist, `InvalidRequest` when asking again would
    not help, and a `TransientError` once all attempts are used up (`CircuitOpen` at once).

    Args:
        api_key: The key of one organisation and environment.
        base_url: Address of the API.
        max_connections: Connections, and so calls under way, at most. A rate needs rate x latency
            x 1.5 of them: 200 requests a second at 200 ms need 60. They cost nothing by themselves.
        requests_per_second: A ceiling for the rate. Without one nothing is held back until the
            API refuses; either way the rate falls when it does, and recovers.
        budget_file: SQLite file through which all processes of a machine share the rate of each
            key; without one, the rate is this client's own.
        organisation: Whose key it is, for log lines.
        transport: Replaces the network, for tests.

    Raises:
        ConfigurationError: If the key, the address or a number cannot be used.
    """

    def __init__(
        self,
        api_key: str | SecretStr,
        *,
        base_url: str = "https://api.asleep.ai",
        max_connections: int = 8,
        requests_per_second: float | None = None,
        budget_file: Path | None = None,
        organisation: str = "default",
        transport: Transport | None = None,
    ) -> None:
        key = _checked_key(api_key)
        _require_positive("requests_per_second", requests_per_second)
        _require_positive("max_connections", max_connections)
        self._description = f"base_url={base_url!r}, organisation={organisation!r}"
        ledger = FileLedger(budget_file, key.get_secret_value()) if budget_file else MemoryLedger()
        self._call = Calls(
            Wire(key, base_url=base_url, max_connections=max_connections, transport=transport),
            Budget(ledger, requests_per_second),
            key=key,
            max_connections=max_connections,
            organisation=organisation,
        )

    def __repr__(self) -> str:
        return f"AsleepClient({self._description})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; called at the end of ``async with``."""
        await self._call.close()

    @property
    def counters(self) -> Counters:
        """Requests, retries and refusals so far, by endpoint."""
        return self._call.counters

    async def create_user(self, metadata: Metadata | None = None) -> Answer[CreatedUser]:
        """Create a user; Asleep issues the id.

        Asked once only if the request may have reached the server: a second one would create a
        second user.
        """
        content = None if metadata is None else _metadata_body(metadata)
        request = Request(
            "create_user",
            "POST",
            "/ai/v1/users",
            headers=_json_headers(content),
            content=content,
            repeatable=False,
        )
        return await self._answer(request, decode_created_user)

    async def get_user(self, user_id: str) -> Answer[User]:
        """Get a user; one with ``to_be_deleted`` is to be treated as gone."""
        path = f"/ai/v1/users/{quoted('user_id', user_id, 'get_user')}"
        return await self._answer(Request("get_user", "GET", path), decode_user)

    async def update_user(self, user_id: str, metadata: Metadata | None) -> Answer[UpdatedUser]:
        """Set a user's metadata; give all of it, as merging is not promised (contract U3)."""
        path = f"/ai/v1/users/{quoted('user_id', user_id, 'update_user')}"
        content = _metadata_body(metadata)
        request = Request(
            "update_user", "PUT", path, headers=_json_headers(content), content=content
        )
        return await self._answer(request, decode_updated_user)

    async def delete_user(self, user_id: str) -> None:
        """Delete a user with all sessions; may take effect later (``to_be_deleted``).

        Raises:
            UserNotFound: If there was no such user at the first attempt.
        """
        path = f"/ai/v1/users/{quoted('user_id', user_id, 'delete_user')}"
        await self._call(Request("delete_user", "DELETE", path, has_result=False))

    async def get_session(
        self, user_id: str, session_id: str, timezone: str = "UTC"
    ) -> Answer[Session]:
        """Get a session with its stages and statistics, times in `timezone`."""
        name = "get_session"
        path = f"/data/v3/sessions/{quoted('session_id', session_id, name)}"
        headers = _user_header(user_id, name) | _zone_header(timezone, name)
        return await self._answer(Request(name, "GET", path, headers=headers), decode_session)

    async def delete_session(self, user_id: str, session_id: str) -> None:
        """Delete a session with its results and audio.

        Raises:
            SessionNotFound: If there was no such session at the first attempt.
        """
        name = "delete_session"
        path = f"/ai/v1/sessions/{quoted('session_id', session_id, name)}"
        headers = _user_header(user_id, name)
        await self._call(Request(name, "DELETE", path, headers=headers, has_result=False))

    async def delete_sessions(self, user_id: str) -> None:
        """Delete all sessions of a user with their results and audio.

        Raises:
            UserNotFound: If there was no such user at the first attempt.
        """
        name = "delete_sessions"
        headers = _user_header(user_id, name)
        request = Request(name, "DELETE", "/ai/v1/sessions", headers=headers, has_result=False)
        await self._call(request)

    async def session_pages(
        self, user_id: str, start: date | None, end: date | None, timezone: str = "UTC"
    ) -> AsyncIterator[Answer[SessionPage]]:
        """Iterate over the pages of a user's session list, oldest session first.

        All pages are fetched before the first is handed out, because sessions that arrive or
        vanish meanwhile make the listing start again. Neighbouring pages share one session, by
        which that is noticed. An undisturbed listing of n sessions costs 1 + (n - 1) // 99
        requests, one for none.

        Args:
            user_id: Whose sessions.
            start: First date of the session's start in `timezone`, inclusive; None for all.
            end: Last such date, inclusive; None for all.
            timezone: IANA zone of the dates and of the times in the answer.
        """
        name = "list_sessions"
        headers = _user_header(user_id, name) | _zone_header(timezone, name)
        query: dict[str, str | int] = {
            bound: day.isoformat()
            for bound, day in (("date_gte", start), ("date_lte", end))
            if day is not None
        }

        async def fetch(offset: int) -> Answer[SessionPage]:
            paging: dict[str, str | int] = {"order_by": "ASC", "offset": offset, "limit": PAGE_SIZE}
            request = Request(
                name, "GET", "/data/v1/sessions", headers=headers, query=query | paging
            )
            return await self._answer(request, decode_session_page)

        for page in await whole_listing(fetch):
            yield page

    async def list_sessions(
        self, user_id: str, start: date | None, end: date | None, timezone: str = "UTC"
    ) -> AsyncIterator[SessionItem]:
        """Iterate over a user's sessions, each once, oldest first; arguments of `session_pages`."""
        seen: set[str] = set()
        async for page in self.session_pages(user_id, start, end, timezone):
            for item in page.result.sleep_session_list:
                if item.session_id not in seen:
                    seen.add(item.session_id)
                    yield item

    async def average_stats(
        self, user_id: str, start: date, end: date, timezone: str = "UTC"
    ) -> Answer[AverageStats]:
        """Get a user's averages from `start` to `end`, both inclusive, at most 99 days apart.

        Averages cannot be moved to another zone afterwards: ask with the zone to report in.
        """
        name = "average_stats"
        request = Request(
            name,
            "GET",
            f"/data/v1/users/{quoted('user_id', user_id, name)}/average-stats",
            headers=_zone_header(timezone, name),
            query={"start_date": start.isoformat(), "end_date": end.isoformat()},
        )
        return await self._answer(request, decode_average_stats)

    async def average_stats_windows(
        self, user_id: str, start: date, end: date, timezone: str = "UTC"
    ) -> AsyncIterator[Answer[AverageStats]]:
        """Iterate over a user's averages in windows that the API allows, without gap or overlap.

        Raises:
            InvalidRequest: If `end` lies before `start`.
        """
        if end < start:
            raise InvalidRequest(
                f"The end {end} lies before the start {start}.",
                fix="Give the earlier date first.",
                endpoint="average_stats",
            )
        while start <= end:
            last = min(start + _LONGEST_WINDOW, end)
            yield await self.average_stats(user_id, start, last, timezone)
            start = last + timedelta(days=1)

    async def _answer(self, request: Request, decode: Callable[[bytes], T]) -> Answer[T]:
        reply = await self._call(request)
        return Answer(reply.body, reply.status, datetime.now(UTC), decode)


def _checked_key(api_key: str | SecretStr) -> SecretStr:
    key = api_key if isinstance(api_key, SecretStr) else SecretStr(api_key)
    value = key.get_secret_value()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError(
            "The API key is empty or holds characters that no key has.",
            fix="Copy it again from the Asleep dashboard.",
        )
    return key


def _require_positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"{name} is {value}.", fix="Give a number above zero.")


def _user_header(user_id: str, endpoint: str) -> dict[str, str]:
    return {"x-user-id": checked("user_id", user_id, endpoint)}


def _zone_header(timezone: str, endpoint: str) -> dict[str, str]:
    return {"timezone": checked("timezone", timezone, endpoint)}


def _json_headers(content: bytes | None) -> Mapping[str, str]:
    return {} if content is None else {"content-type": "application/json"}


def _metadata_body(metadata: Metadata | None) -> bytes:
    plain: dict[str, Any] | None = None
    if metadata is not None:
        plain = msgspec.to_builtins(metadata)
        plain |= plain.pop("$extra")
    return msgspec.json.encode({"metadata": plain})
