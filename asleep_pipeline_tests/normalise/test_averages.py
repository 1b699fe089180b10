"""Averages: the newest answer about a user, month and zone, as one typed row."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import msgspec
import pytest

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline_tests.vendor_answers import Json, Mailbag

JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)


def said(**changes: Any) -> Json:
    """The result of average-stats for a month of two sessions."""
    return {
        "period": {"timezone": "UTC", "start_date": "2026-01-01", "end_date": "2026-01-31"},
        "peculiarities": ["NO_BREATHING_STABILITY"],
        "average_stats": {
            "start_time": "23:58:30",
            "sleep_time": "00:10:00",
            "time_in_sleep": 25_000.5,
            "sleep_efficiency": 0.912,
            "waso_count": 3.5,
        },
        "slept_sessions": [{"id": "b"}, {"id": "a"}],
        "never_slept_sessions": [{"id": "c"}],
    } | changes


def rows(bag: Mailbag) -> list[Json]:
    """The user's averages, after reading what is new."""
    normalise_averages(bag.lake, shard=0)
    query = "SELECT * FROM average_stats WHERE user_id = $1 ORDER BY month, timezone"
    return bag.lake.frame(query, [bag.user.user_id]).to_dicts()


@pytest.fixture
def bag(shared_lake: Lake, request: pytest.FixtureRequest) -> Mailbag:
    """Answers about a user of the test's own."""
    return Mailbag(shared_lake, user=LakeUser(request.node.name, "default", None))


def test_averages_become_one_typed_row(bag: Mailbag) -> None:
    """Clock times, fractional means, and the sessions behind them, in order."""
    bag.commit(bag.averages(said(), timezone="Asia/Seoul"))
    (row,) = rows(bag)
    assert (row["month"], row["timezone"]) == (JANUARY, "Asia/Seoul")
    assert (row["start_time"], row["sleep_time"]) == (time(23, 58, 30), time(0, 10))
    assert (row["time_in_sleep"], row["waso_count"], row["sleep_index"]) == (25_000.5, 3.5, None)
    assert (row["slept_sessions"], row["slept_session_ids"]) == (2, ["a", "b"])
    assert (row["never_slept_sessions"], row["never_slept_session_ids"]) == (1, ["c"])
    assert row["peculiarities"] == ["NO_BREATHING_STABILITY"]


def test_a_month_without_sleep_has_a_row_without_means(bag: Mailbag) -> None:
    """NULL is not measured, and never 0."""
    bag.commit(bag.averages(said(average_stats=None, slept_sessions=[])))
    (row,) = rows(bag)
    assert (row["slept_sessions"], row["time_in_sleep"], row["start_time"]) == (0, None, None)


def test_the_newest_answer_replaces_the_older_one(bag: Mailbag) -> None:
    """In the same batch or in a later one."""
    bag.commit(bag.averages(said()), bag.averages(said(average_stats={"time_in_sleep": 1})))
    assert [row["time_in_sleep"] for row in rows(bag)] == [1]
    bag.commit(bag.averages(said(average_stats={"time_in_sleep": 2})))
    assert [row["time_in_sleep"] for row in rows(bag)] == [2]


def test_months_and_zones_have_rows_of_their_own(bag: Mailbag) -> None:
    """Averages cannot be moved to another zone."""
    bag.commit(
        bag.averages(said()),
        bag.averages(said(), timezone="Asia/Seoul"),
        bag.averages(said(), month=FEBRUARY),
    )
    assert [(row["month"], row["timezone"]) for row in rows(bag)] == [
        (JANUARY, "Asia/Seoul"),
        (JANUARY, "UTC"),
        (FEBRUARY, "UTC"),
    ]


@pytest.mark.parametrize("at_once", [True, False])
def test_an_unreadable_answer_takes_the_row_to_quarantine_until_a_good_one_comes(
    bag: Mailbag, *, at_once: bool
) -> None:
    """The newest answer counts, whether both are read together or one after the other."""
    bag.commit(bag.averages(said()))
    if not at_once:
        rows(bag)
    bag.commit(bag.averages(said(period="January")))
    assert rows(bag) == []
    assert [aside["rule"] for aside in bag.quarantine()] == ["the averages can be read"]
    bag.commit(bag.averages(said()))
    assert len(rows(bag)) == 1
    assert bag.quarantine() == []


def test_unknown_keys_and_other_dialects_are_kept(bag: Mailbag) -> None:
    """A percent is a fraction, and a key that nobody documented stays."""
    odd = {"sleep_efficiency": 91.2, "mood": "fine"}
    bag.commit(bag.averages(said(average_stats=odd, version=2)))
    (row,) = rows(bag)
    assert row["sleep_efficiency"] == pytest.approx(0.912)
    assert len(row["readings"]) == 1
    assert msgspec.json.decode(row["extra"]) == {
        "average_stats": {"mood": "fine"},
        "result": {"version": 2},
    }
