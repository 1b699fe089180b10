"""A complete listing, whatever happens while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.asleep import AsleepClient, UnreadableAnswer


@dataclass(frozen=True)
class Change:
    """Sessions that vanish and sessions that arrive."""

    gone: Collection[int] = ()
    new: Collection[int] = ()


class Listing:
    """A user's sessions, numbered by start; changes when a given request comes in."""

    def __init__(self, count: int, changes: Mapping[int, Change] | None = None) -> None:
        # Numbers in steps of ten, so that late ones fit between them.
        self.sessions = [number * 10 for number in range(count)]
        self.requests = 0
        self._changes = changes or {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        change = self._changes.get(self.requests, Change())
        self.sessions = sorted({*self.sessions, *change.new} - {*change.gone})
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        rows = [row(number) for number in self.sessions[offset : offset + limit]]
        return httpx.Response(200, json={"result": {"timezone": "UTC", "sleep_session_list": rows}})


def row(number: int) -> dict[str, Any]:
    """A row of the list."""
    return {
        "session_id": str(number),
        "state": "COMPLETE",
        "session_start_time": "2026-01-01T00:00:00Z",
    }


def client(listing: Callable[[httpx.Request], httpx.Response]) -> AsleepClient:
    """A client of a vendor with this listing."""
    return AsleepClient("a-key", transport=httpx.MockTransport(listing))


async def listed(listing: Callable[[httpx.Request], httpx.Response]) -> list[int]:
    """What the client lists, in its order."""
    async with client(listing) as asleep:
        return [int(item.session_id) async for item in asleep.list_sessions("u", None, None)]


@pytest.mark.parametrize(
    ("count", "requests"),
    [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (198, 2), (199, 3), (1000, 11)],
)
async def test_undisturbed_listing_is_whole_at_the_documented_price(
    count: int, requests: int
) -> None:
    """N sessions cost 1 + (n - 1) // 99 requests, and each is listed once, in order."""
    listing = Listing(count)
    assert await listed(listing) == listing.sessions
    assert listing.requests == requests == 1 + max(0, count - 1) // 99


async def test_pages_of_one_listing_share_a_session() -> None:
    """Neighbouring pages overlap by one row; no page is lost or repeated."""
    async with client(Listing(250)) as asleep:
        pages = [page async for page in asleep.session_pages("u", None, None)]
    ids = [[item.session_id for item in page.result.sleep_session_list] for page in pages]
    assert [len(page) for page in ids] == [100, 100, 52]
    assert [before[-1] for before in ids[:-1]] == [after[0] for after in ids[1:]]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(Change(gone=[0]), id="first gone"),
        pytest.param(Change(gone=[990]), id="boundary gone"),
        pytest.param(Change(gone=[0, 10, 20]), id="several gone"),
        pytest.param(Change(new=[5]), id="one new"),
        pytest.param(Change(new=[5, 15, 25]), id="several new"),
    ],
)
@pytest.mark.parametrize("at", [2, 3])
async def test_moved_boundary_starts_the_listing_again(change: Change, at: int) -> None:
    """Sessions that vanish or arrive between two pages make all pages be read anew."""
    listing = Listing(250, {at: change})
    assert await listed(listing) == listing.sessions
    assert listing.requests > 3


async def test_next_page_that_came_out_empty_is_not_the_end() -> None:
    """When most of what was read vanishes, the rest is still found."""
    listing = Listing(150, {2: Change(gone=range(0, 1000, 10))})
    assert await listed(listing) == listing.sessions


async def test_listing_that_never_holds_still_is_read_carefully() -> None:
    """When sessions vanish before every request, those that stay are all listed."""
    listing = Listing(450, {at: Change(gone=[at * 20, at * 20 + 10]) for at in range(2, 40)})
    found = await listed(listing)
    assert set(listing.sessions) <= set(found)
    assert len(found) == len(set(found))


changes = st.builds(
    Change,
    gone=st.lists(st.integers(0, 400).map(lambda number: number * 10), max_size=30),
    new=st.lists(st.integers(0, 400).map(lambda number: number * 10 + 5), max_size=30),
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(90, 420), st.dictionaries(st.integers(2, 20), changes, min_size=4))
def test_what_stays_is_never_lost(count: int, changes: dict[int, Change]) -> None:
    """However sessions arrive and vanish, each that was there all the time is listed, once."""
    listing = Listing(count, changes)
    before = set(listing.sessions)
    found = asyncio.run(listed(listing))
    assert before & set(listing.sessions) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "numbers",
    [pytest.param(range(100), id="ignores the offset"), pytest.param([0] * 100, id="one session")],
)
async def test_list_that_never_ends_is_refused(numbers: Iterable[int]) -> None:
    """A server that gives the same page for ever is an error, not an endless loop."""
    rows = [row(number) for number in numbers]

    def stubborn(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"result": {"sleep_session_list": rows}})

    with pytest.raises(UnreadableAnswer, match="does not end"):
        await listed(stubborn)
