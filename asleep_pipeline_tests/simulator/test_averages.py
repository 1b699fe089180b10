"""Average statistics agree with the sessions they rest on."""

from __future__ import annotations

from datetime import UTC, date, datetime
from statistics import fmean
from typing import Any

import pytest

from asleep_pipeline.simulator import Person
from asleep_pipeline.simulator.averages import mean_clock

APRIL = {"start_date": "2026-04-01", "end_date": "2026-04-30"}


def averages(api: Any, person: Person, zone: str = "UTC", **query: str) -> dict[str, Any]:
    """Return the result of average-stats."""
    path = f"/data/v1/users/{person.user_id}/average-stats"
    result: dict[str, Any] = api.get(path, zone=zone, **(APRIL | query)).json()["result"]
    return result


def test_averages_are_means_of_the_slept_sessions(api: Any) -> None:
    """For every plan, each metric over the sessions that have it; null where none has."""
    for person in api.sim.world.people:
        result = averages(api, person)
        for name in ("time_in_sleep", "time_in_rem", "time_in_snoring", "time_in_stable_breath"):
            values = [s[name] for s in result["slept_sessions"] if s[name] is not None]
            expected = round(fmean(values)) if values else None
            assert result["average_stats"][name] == expected


def test_slept_and_never_slept_are_the_analysed_sessions(
    api: Any, april: tuple[date, date]
) -> None:
    """Sessions without statistics are in neither list."""
    for person in api.sim.world.people:
        result = averages(api, person)
        analysed = [t for t in api.sim.world.sessions(person.user_id, *april) if t["stat"]]
        lists = result["slept_sessions"] + result["never_slept_sessions"]
        assert {row["id"] for row in lists} == {truth["session"]["id"] for truth in analysed}


def test_a_slept_session_is_flat(api: Any, person: Person, april: tuple[date, date]) -> None:
    """Identity and statistics in one object, without series and cycle moments."""
    row = averages(api, person)["slept_sessions"][0]
    truth = next(
        truth
        for truth in api.sim.world.sessions(person.user_id, *april)
        if truth["session"]["id"] == row["id"]
    )
    expected = {k: v for k, v in truth["stat"].items() if k != "sleep_cycle_time"}
    assert {name: row[name] for name in expected} == expected
    assert row.keys() - expected.keys() == {
        "id",
        "created_timezone",
        "start_time",
        "end_time",
        "completed_time",
    }


def test_clock_times_follow_the_headers_zone(api: Any) -> None:
    """Kathmandu is 5 h 45 min ahead of UTC all year."""
    person = api.sim.world.people[0]
    query = {"start_date": "2026-04-05", "end_date": "2026-04-25"}
    here = averages(api, person, **query)
    there = averages(api, person, "Asia/Kathmandu", **query)
    assert [s["id"] for s in here["slept_sessions"]] == [s["id"] for s in there["slept_sessions"]]
    clocks = (r["average_stats"]["sleep_time"] for r in (here, there))
    first, second = (
        sum(int(p) * 60 ** (2 - i) for i, p in enumerate(c.split(":"))) for c in clocks
    )
    assert (second - first) % 86_400 == pytest.approx(5.75 * 3600, abs=1)


def test_no_sessions_have_no_average(api: Any, person: Person) -> None:
    """The object is null and the lists are empty."""
    result = averages(api, person, start_date="2020-01-01", end_date="2020-01-31")
    assert result["average_stats"] is None
    assert result["slept_sessions"] == result["never_slept_sessions"] == []
    assert result["period"] == {
        "timezone": "UTC",
        "start_date": "2020-01-01",
        "end_date": "2020-01-31",
    }


def test_a_plan_without_breathing_is_named(api: Any) -> None:
    """The only peculiarity of averages."""
    for person in api.sim.world.people:
        said = [] if person.plan.breathing else ["NO_BREATHING_STABILITY"]
        assert averages(api, person)["peculiarities"] == said


def test_clocks_are_averaged_around_midnight() -> None:
    """23:00 and 01:00 meet at midnight, not at noon."""
    evening = datetime(2026, 4, 1, 23, tzinfo=UTC)
    morning = datetime(2026, 4, 3, 1, tzinfo=UTC)
    assert mean_clock([evening, morning], UTC) == "00:00:00"
