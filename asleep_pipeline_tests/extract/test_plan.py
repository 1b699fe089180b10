"""Which details are asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asleep_pipeline.asleep import SessionItem
from asleep_pipeline.extract.plan import KnownDetail, list_hash, wants_detail

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def item(**changes: Any) -> SessionItem:
    """A COMPLETE session that ended two weeks ago."""
    end = NOW - timedelta(days=14)
    said: dict[str, Any] = {
        "session_id": "s",
        "state": "COMPLETE",
        "session_start_time": end - timedelta(hours=8),
        "session_end_time": end,
    }
    return SessionItem(**(said | changes))


def known(of: SessionItem, **changes: Any) -> KnownDetail:
    """Its detail, read yesterday."""
    said: dict[str, Any] = {
        "list_hash": list_hash(of),
        "body_sha256": "digest",
        "session_state": "COMPLETE",
        "status": 200,
        "fetched_at": NOW - timedelta(days=1),
    }
    return KnownDetail(**(said | changes))


def wants(of: SessionItem, detail: KnownDetail | None, *listed: str, refetch: bool = False) -> bool:
    """Whether it is asked for, with a recompute window of a week; list rows are of today."""
    rows: dict[str | None, datetime | None] = dict.fromkeys(listed, NOW)
    return wants_detail(of, list_hash(of), detail, rows, now=NOW, recompute_days=7, refetch=refetch)


@pytest.mark.parametrize("state", ["OPEN", "CLOSED"])
def test_an_unfinished_session_is_never_asked_for(state: str) -> None:
    """It has no statistics yet; its list row says all there is."""
    assert not wants(item(state=state), None, refetch=True)


def test_a_settled_session_is_asked_for_once() -> None:
    """Unless somebody insists."""
    assert wants(item(), None)
    assert not wants(item(), known(item()))
    assert wants(item(), known(item()), refetch=True)


def test_a_changed_list_row_is_news() -> None:
    """Since the detail was read, or since it was listed last."""
    changed = item(created_timezone="Asia/Seoul")
    assert wants(changed, known(item()))
    assert wants(item(), known(item()), list_hash(item(state="CLOSED")))
    assert not wants(item(), known(item()), list_hash(item()))


def test_a_detail_that_was_not_complete_is_asked_for_again() -> None:
    """It may be by now; a 404 too."""
    assert wants(item(), known(item(), session_state="CLOSED"))
    assert wants(item(), known(item(), session_state=None, status=404))


@pytest.mark.parametrize(
    ("age", "read", "expected"),
    [
        (timedelta(days=6, hours=23), NOW - timedelta(hours=13), True),
        (timedelta(days=6, hours=23), NOW - timedelta(hours=11), False),
        (timedelta(days=7), NOW - timedelta(hours=13), False),
    ],
)
def test_a_young_session_is_read_again_once_a_day(
    age: timedelta, read: datetime, *, expected: bool
) -> None:
    """Once a UTC day, until it is a week old."""
    young = item(session_end_time=NOW - age)
    assert wants(young, known(young, fetched_at=read)) is expected


def test_a_detail_that_a_webhook_made_us_ask_for_settles_the_session() -> None:
    """It was read after the session's end, and nothing else was listed since."""
    unasked = known(item(), list_hash=None)
    assert not wants(item(), unasked)
    assert not wants(item(), unasked, list_hash(item()))
    assert wants(item(session_end_time=NOW), unasked)
    assert wants(item(), known(item(), list_hash=None, session_state="CLOSED"))


def test_a_session_that_was_taken_up_again_since_its_webhook_is_asked_for() -> None:
    """One that was listed as unfinished before is not news."""
    unasked, closed = known(item(), list_hash=None), list_hash(item(state="CLOSED"))
    assert wants(item(), unasked, closed)
    before: dict[str | None, datetime | None] = {closed: unasked.fetched_at - timedelta(hours=1)}
    assert not wants_detail(item(), list_hash(item()), unasked, before, now=NOW, recompute_days=7)


def test_a_webhook_of_a_settled_session_is_news() -> None:
    """It may tell of another result, and the list row does not show that."""
    read_at = known(item()).fetched_at
    assert wants(item(), known(item(), pushed_at=read_at + timedelta(seconds=1)))
    assert not wants(item(), known(item(), pushed_at=read_at - timedelta(seconds=1)))


def test_equal_list_rows_have_equal_hashes() -> None:
    """Whatever offset their moments are written with."""
    assert list_hash(item()) == list_hash(item())
    assert list_hash(item()) != list_hash(item(time_in_bed=1))
