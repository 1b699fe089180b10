"""The endpoints for users and sessions, over a real socket."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from asleep_pipeline.simulator import Person, RunningSimulator

ZONES = ("UTC", "Asia/Seoul", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")


def test_a_list_row_has_the_documented_keys(api: Any, person: Person) -> None:
    """Eight keys, no more."""
    row = api.rows(person.user_id, date_gte="2026-04-01")[0]
    assert row.keys() == {
        "session_id",
        "state",
        "session_start_time",
        "session_end_time",
        "created_timezone",
        "unexpected_end_time",
        "last_received_seq_num",
        "time_in_bed",
    }


def test_the_default_page_is_the_newest_twenty(api: Any, person: Person) -> None:
    """Without a query: descending by start, 20 rows."""
    answer = api.get("/data/v1/sessions", person.user_id).json()
    starts = [row["session_start_time"] for row in answer["result"]["sleep_session_list"]]
    assert answer["detail"] == "OK"
    assert len(starts) == 20
    assert starts == sorted(starts, reverse=True)


def test_pages_cover_everything_once(api: Any, person: Person) -> None:
    """Ascending pages by offset give every session, and the last page is short."""
    pages = [
        api.rows(person.user_id, order_by="ASC", limit=30, offset=offset, date_gte="2026-01-01")
        for offset in range(0, 210, 30)
    ]
    ids = [row["session_id"] for page in pages for row in page]
    truth = api.sim.world.sessions(person.user_id, date(2026, 1, 1), date(2026, 5, 1))
    assert ids == [session["session"]["id"] for session in truth]


def test_a_limit_of_zero_is_an_empty_page(api: Any, person: Person) -> None:
    """0 is allowed."""
    assert api.rows(person.user_id, limit=0) == []


@pytest.mark.parametrize("zone", ZONES)
def test_dates_are_start_dates_in_the_headers_zone(api: Any, person: Person, zone: str) -> None:
    """Both ends are inclusive, in the calendar of the header."""
    everything = api.rows(person.user_id, zone, date_gte="2026-03-01", order_by="ASC")
    expected = [
        row["session_id"]
        for row in everything
        if "2026-03-10" <= row["session_start_time"][:10] <= "2026-03-20"
    ]
    rows = api.rows(person.user_id, zone, date_gte="2026-03-10", date_lte="2026-03-20")
    assert [row["session_id"] for row in rows] == expected[::-1]
    assert expected


@pytest.mark.parametrize("zone", ZONES)
def test_the_header_moves_offsets_but_no_instant(api: Any, person: Person, zone: str) -> None:
    """Every moment is the same instant as in UTC, written with the zone's own offset."""
    session_id = api.rows(person.user_id, date_lte="2026-04-30")[0]["session_id"]
    shifted, plain = (api.detail(person.user_id, session_id, z) for z in (zone, "UTC"))
    for there, utc in zip(moments(shifted), moments(plain), strict=True):
        assert there == utc
        assert there.utcoffset() == utc.astimezone(ZoneInfo(zone)).utcoffset()
    assert shifted["timezone"] == zone
    assert shifted["session"]["created_timezone"] == plain["session"]["created_timezone"]
    assert shifted["session"]["id"] == session_id


def moments(result: dict[str, Any]) -> list[datetime]:
    """Return every moment in a get-session result."""
    session, stat = result["session"], result["stat"]
    texts = [session["start_time"], session["end_time"], stat["sleep_time"], stat["wake_time"]]
    return [datetime.fromisoformat(text) for text in [*texts, *stat["sleep_cycle_time"]]]


def test_a_detail_has_all_statistics(api: Any, person: Person) -> None:
    """38 keys in `stat`, and the arithmetic of recorded sessions."""
    session_id = api.rows(person.user_id, date_lte="2026-04-30")[0]["session_id"]
    result = api.detail(person.user_id, session_id)
    stat = result["stat"]
    assert len(stat) == 38
    assert stat["time_in_sleep"] + stat["time_in_wake"] == stat["time_in_sleep_period"]
    assert stat["time_in_snoring"] + stat["time_in_no_snoring"] == stat["time_in_sleep_period"]
    assert len(stat["sleep_cycle_time"]) == (stat["sleep_cycle_count"] or -1) + 1
    assert 50 <= stat["sleep_index"] <= 100


def test_the_answer_is_the_truth(api: Any, april: tuple[date, date]) -> None:
    """`World.sessions` is what a client can read, for every plan."""
    for person in api.sim.world.people:
        for truth in api.sim.world.sessions(person.user_id, *april):
            own = {"user_id", "last_received_seq_num", "time_in_bed"}
            expected = {name: value for name, value in truth.items() if name not in own}
            assert api.detail(person.user_id, truth["session"]["id"]) == expected


def test_plans_explain_nulls(sim: RunningSimulator, april: tuple[date, date]) -> None:
    """Two stages, no breathing and no snoring each empty their own keys and no other."""
    empty = {
        person.plan: set.intersection(
            *(
                {name for name, value in truth["stat"].items() if value is None}
                for truth in sim.world.sessions(person.user_id, *april)
                if truth["stat"] and truth["stat"]["time_in_sleep"]
            )
        )
        for person in sim.world.people
    }
    counts = {(p.stage_levels, p.breathing, p.snoring): len(keys) for p, keys in empty.items()}
    assert counts[4, True, True] == 0
    assert counts[4, False, True] == 7
    assert counts[4, True, False] == 5
    assert counts[2, True, True] == 10  # nine, and no cycle without REM


def test_a_session_lives_from_open_to_complete(api: Any, person: Person) -> None:
    """Open with growing series, closed with an end, complete with statistics."""
    slot = api.sim.world.visible(person, UTC, date(2026, 4, 1), date(2026, 4, 20))[-1]
    seen = []
    for now in (slot.start + timedelta(minutes=61), slot.end, slot.complete_at):
        api.sim.clock.set(now)
        result = api.detail(person.user_id, slot.session_id)
        seen.append(result)
        assert api.rows(person.user_id)[0]["state"] == result["session"]["state"]
    opened, closed, complete = seen
    assert [result["session"]["state"] for result in seen] == ["OPEN", "CLOSED", "COMPLETE"]
    assert [result["peculiarities"] for result in seen] == [["IN_PROGRESS"], ["IN_PROGRESS"], []]
    assert len(opened["session"]["sleep_stages"]) == 120
    assert opened["session"]["end_time"] is None
    assert closed["session"]["end_time"] == complete["session"]["end_time"]
    assert closed["stat"] is None
    assert closed["session"]["sleep_stages"] != complete["session"]["sleep_stages"]


def test_without_polling_an_open_session_shows_no_series(api: Any) -> None:
    """The plan forbids reading before completion."""
    person = next(p for p in api.sim.world.people if not p.plan.realtime_polling)
    slot = api.sim.world.visible(person, UTC, date(2026, 4, 1), date(2026, 4, 20))[-1]
    api.sim.clock.set(slot.start + timedelta(hours=1))
    result = api.detail(person.user_id, slot.session_id)
    assert result["peculiarities"] == ["IN_PROGRESS", "NO_REALTIME_POLLING"]
    assert result["session"]["sleep_stages"] is None


def test_get_user_tells_the_last_session(api: Any, person: Person) -> None:
    """Times there carry no offset."""
    answer = api.get(f"/ai/v1/users/{person.user_id}").json()
    newest = api.rows(person.user_id)[0]
    last = answer["result"]["last_session_info"]
    assert answer["detail"] == "success"
    assert last["session_id"] == newest["session_id"]
    assert last["start_time"] + "+00:00" == newest["session_start_time"]
    assert answer["result"]["to_be_deleted"] is False


def test_a_created_user_can_be_changed_and_deleted(api: Any) -> None:
    """U1, U2, U3, U4 and the 404 afterwards."""
    created = api.client.post("/ai/v1/users", json={"metadata": {"birth_year": 1990}})
    path = f"/ai/v1/users/{created.json()['result']['user_id']}"
    changed = api.client.put(path, json={"metadata": {"gender": "other", "height": 170.5}})
    assert created.status_code == 201
    assert changed.json()["result"]["metadata"]["height"] == 170.5
    assert api.get(path).json()["result"]["last_session_info"] is None
    assert api.client.delete(path).status_code == 204
    assert api.client.delete(path).json() == {"detail": "user does not exist"}


def test_a_user_is_created_without_a_body(api: Any) -> None:
    """The body is optional."""
    created = api.client.post("/ai/v1/users")
    user_id = created.json()["result"]["user_id"]
    assert api.get(f"/ai/v1/users/{user_id}").json()["result"]["metadata"] is None
    assert api.rows(user_id) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"birth_year": 1899},
        {"birth_year": 2027},
        {"birth_month": 13},
        {"birth_month": 2, "birth_day": 30},
        {"birth_year": 2023, "birth_month": 2, "birth_day": 29},
        {"gender": "gendar"},
        {"height": 300.5},
        {"weight": 70.25},
        "tall",
    ],
)
def test_metadata_beyond_its_limits_is_refused(api: Any, metadata: Any) -> None:
    """422, and nobody is created."""
    answer = api.client.post("/ai/v1/users", json={"metadata": metadata})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)


def test_a_deleted_session_is_gone(api: Any, person: Person) -> None:
    """It leaves list and detail, and a second deletion finds nothing."""
    session_id = api.rows(person.user_id)[0]["session_id"]
    headers = {"x-user-id": person.user_id}
    path = f"/ai/v1/sessions/{session_id}"
    assert api.client.delete(path, headers=headers).status_code == 204
    assert api.client.delete(path, headers=headers).json() == {"detail": "session does not exist"}
    assert session_id not in {row["session_id"] for row in api.rows(person.user_id)}
    assert api.get(f"/data/v3/sessions/{session_id}", person.user_id).status_code == 404


def test_all_sessions_of_a_user_can_be_deleted(api: Any, person: Person) -> None:
    """The user stays, and so do the sessions of others."""
    other = api.sim.world.people[1]
    headers = {"x-user-id": person.user_id}
    assert api.client.delete("/ai/v1/sessions", headers=headers).status_code == 204
    assert api.rows(person.user_id) == []
    assert api.rows(other.user_id)


def test_requests_are_counted_by_endpoint(api: Any, person: Person) -> None:
    """Refused ones too."""
    api.rows(person.user_id)
    api.get("/data/v1/sessions", zone="Mars")
    api.get(f"/ai/v1/users/{person.user_id}")
    assert api.sim.requests == {"list_sessions": 2, "get_user": 1}
    api.sim.requests.reset()
    assert not api.sim.requests


def test_a_created_user_has_nights_from_then_on(api: Any) -> None:
    """Who signs up today sleeps tonight, and did not sleep yesterday."""
    user_id = api.client.post("/ai/v1/users").json()["result"]["user_id"]
    joined_at = api.sim.clock.now()
    api.sim.clock.advance(timedelta(days=7))
    nights = api.rows(user_id, order_by="ASC")
    assert len(nights) >= 4
    assert datetime.fromisoformat(nights[0]["session_start_time"]) >= joined_at
    assert api.detail(user_id, nights[0]["session_id"])["stat"]["time_in_sleep"]
