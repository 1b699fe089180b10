"""Sessions: listed by date in any zone, read with their stages, and nobody's but their user's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from asleep_pipeline.access.roles import Role
from asleep_pipeline.service.sessions import Wanted, listed
from asleep_pipeline.sleep import MACROS
from asleep_pipeline.warehouse.marts.tables import FCT_SESSION
from asleep_pipeline.zones.names import known_zones
from asleep_pipeline.zones.rules import zone_rules
from asleep_pipeline_tests.service.conftest import Client, Two, as_admin, as_role

UNKNOWN = "20260420000000_zzzzz"


def ask(client: Client, two: Two, user_id: str, **query: Any) -> Any:
    """The answer to a list of a user's sessions within the world's days."""
    first, last = two.days
    whole = {"from": first.isoformat(), "to": last.isoformat()} | query
    return client.get(f"/v1/users/{user_id}/sessions", params=whole, headers=as_admin(two, "acme"))


def ids(answer: Any) -> list[str]:
    """The sessions of a list, in its order."""
    assert answer.status_code == 200, answer.text
    return [session["session_id"] for session in answer.json()["items"]]


def published(two: Two, user_id: str) -> list[dict[str, Any]]:
    """A user's sessions in the published file, by their start."""
    with duckdb.connect(str(two.settings.warehouse_path), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        sql = "FROM fct_session JOIN sessions USING (user_id, session_id) WHERE user_id = $1"
        rows = con.execute(f"{sql} ORDER BY fct_session.started_at", [user_id]).pl()
        return rows.to_dicts()


def test_a_list_holds_what_is_published(client: Client, two: Two) -> None:
    """The newest first, or the oldest."""
    rows = published(two, two.acme[0])
    answer = ask(client, two, two.acme[0], order="oldest")
    assert ids(answer) == [row["session_id"] for row in rows]
    assert ids(ask(client, two, two.acme[0])) == ids(answer)[::-1]
    for said, row in zip(answer.json()["items"], rows, strict=True):
        assert datetime.fromisoformat(said["started_at"]) == row["started_at"]
        assert said["started_local"] == row["started_local"].isoformat()
        assert said["night_date"] == row["night_date"].isoformat()
        for name in ("state", "timezone", "is_main_sleep", "tst_s", "efficiency_fraction"):
            assert said[name] == row[name]


def test_pages_hold_each_session_once(client: Client, two: Two) -> None:
    """In either order."""
    for order in ("newest", "oldest"):
        whole, found = ids(ask(client, two, two.acme[0], order=order)), []
        query: dict[str, Any] = {"limit": 3, "order": order}
        while True:
            answer = ask(client, two, two.acme[0], **query)
            found += ids(answer)
            query["cursor"] = answer.json()["next_cursor"]
            if query["cursor"] is None:
                break
        assert found == whole


def test_dates_are_those_of_waking_up_where_the_user_was(client: Client, two: Two) -> None:
    """Unless a zone is named."""
    row = published(two, two.acme[0])[4]
    night = row["night_date"].isoformat()
    expected = [
        r["session_id"] for r in published(two, two.acme[0]) if r["night_date"] == row["night_date"]
    ]
    assert (
        ids(ask(client, two, two.acme[0], order="oldest", **{"from": night, "to": night}))
        == expected
    )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York", "Pacific/Kiritimati"])
def test_a_zone_makes_them_dates_of_the_start_there(client: Client, two: Two, zone: str) -> None:
    """Whatever the zone of the session."""
    rows = published(two, two.acme[0])
    for day in {row["start_date_local"] for row in rows}:
        query = {"from": day.isoformat(), "to": day.isoformat(), "timezone": zone}
        starts = {r["session_id"]: r["started_at"].astimezone(ZoneInfo(zone)).date() for r in rows}
        expected = [each for each, start in starts.items() if start == day]
        assert ids(ask(client, two, two.acme[0], order="oldest", **query)) == expected


_MOMENTS = st.datetimes(datetime(1975, 1, 1), datetime(2045, 1, 1)).map(  # noqa: DTZ001 -- as UTC
    lambda moment: moment.replace(tzinfo=UTC)
)
_RULES = zone_rules()


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, list[datetime]]:
    """A zone, and moments within two hours of its clocks' changes, or anywhere."""
    zone = draw(st.sampled_from(sorted(known_zones())))
    changes = _RULES.filter(pl.col("tz") == zone, pl.col("utc_from").dt.year() > 1975)["utc_from"]
    moments = draw(st.lists(_MOMENTS, min_size=1, max_size=5))
    for change in changes.sample(min(3, changes.len()), seed=draw(st.integers(0, 99))):
        shift = timedelta(minutes=draw(st.integers(-120, 120)))
        moments.append(change.replace(tzinfo=UTC) + shift)
    return zone, moments


@pytest.fixture(scope="module")
def sessions_of_one() -> Iterator[duckdb.DuckDBPyConnection]:
    """A file's tables in memory, without a session."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(MACROS)
        con.register("tz_rules", _RULES.to_arrow())
        yield con


@with_settings(max_examples=150)
@given(near_changes(), st.integers(-1, 1), st.integers(0, 2))
def test_dates_in_a_zone_are_those_of_zoneinfo(
    sessions_of_one: duckdb.DuckDBPyConnection,
    example: tuple[str, list[datetime]],
    shift: int,
    days: int,
) -> None:
    """Also where clocks go back at midnight, and in every zone there is."""
    zone, moments = example
    rows = [
        {"session_id": str(i), "user_id": "u", "org_id": "o", "state": "OPEN", "started_at": moment}
        for i, moment in enumerate(moments)
    ]
    rows = [
        row | dict.fromkeys(("is_main_sleep", "is_split_sleep", "is_nap"), False) for row in rows
    ]
    frame = pl.DataFrame(rows, schema=FCT_SESSION.schema)
    starts = [moment.astimezone(ZoneInfo(zone)).date() for moment in moments]
    first = starts[-1] + timedelta(days=shift)
    last = first + timedelta(days=days)
    sessions_of_one.register("fct_session", frame.to_arrow())
    wanted = Wanted(
        user_id="u",
        first=first,
        last=last,
        zone=zone,
        state=None,
        hidden=(),
        newest_first=False,
        after=None,
    )
    found = {session.session_id for session in listed(sessions_of_one, wanted, 100)}
    assert found == {str(i) for i, start in enumerate(starts) if first <= start <= last}


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2025-01-01", "to": "2026-01-02"},
        {"from": "2026-01-02", "to": "2026-01-01"},
        {"from": "yesterday"},
        {"from": "9999-12-31", "to": ""},
        {"from": "2026-02-30"},
        {"timezone": "Mars/Olympus"},
        {"timezone": "asia/seoul"},
        {"timezone": "x" * 65},
        {"timezone": "'; DROP TABLE users; --"},
        {"state": "DONE"},
        {"order": "random"},
        {"limit": 0},
        {"limit": 101},
        {"cursor": "x"},
    ],
)
def test_a_list_has_limits(client: Client, two: Two, query: dict[str, Any]) -> None:
    """366 days at most, in zones, states and orders that there are."""
    assert ask(client, two, two.acme[0], **query).status_code == 422


def test_a_period_may_be_open(client: Client, two: Two) -> None:
    """It is a year long then."""
    path, header = f"/v1/users/{two.acme[0]}/sessions", as_admin(two, "acme")
    first, last = two.days
    whole = ids(ask(client, two, two.acme[0]))
    for query in ({"from": first.isoformat()}, {"to": last.isoformat()}):
        assert ids(client.get(path, params=query, headers=header)) == whole
    long_ago = (last + timedelta(days=367)).isoformat()
    assert ids(client.get(path, params={"to": long_ago}, headers=header)) == []
    for query in ({"from": "9999-12-31"}, {"to": "0001-01-01"}):
        assert client.get(path, params=query, headers=header).status_code == 422
    assert client.get(path, headers=header).status_code == 200


def test_a_state_chooses(client: Client, two: Two) -> None:
    """All sessions of this world are complete, or not."""
    rows = published(two, two.acme[0])
    for state in ("OPEN", "CLOSED", "COMPLETE"):
        expected = [row["session_id"] for row in rows if row["state"] == state]
        assert ids(ask(client, two, two.acme[0], order="oldest", state=state)) == expected


def detail(client: Client, two: Two, user_id: str, session_id: str, **headers: str) -> Any:
    """The answer to one session."""
    path = f"/v1/users/{user_id}/sessions/{session_id}"
    return client.get(path, headers=as_admin(two, "acme") | headers)


def test_a_session_has_its_stages_and_both_statistics(client: Client, two: Two) -> None:
    """As they are published; Asleep is not asked."""
    asked = two.world.sim.requests["get_session"]
    row = published(two, two.acme[0])[2]
    answer = detail(client, two, two.acme[0], row["session_id"])
    said = answer.json()
    assert (answer.status_code, said["source"]) == (200, "warehouse")
    assert said["stages"]["sleep"] == row["sleep_stages"]
    assert said["stages"]["breath"] == row["breath_stages"]
    assert said["stages"]["snoring"] == row["snoring_stages"]
    assert datetime.fromisoformat(said["stages"]["starts_at"]) == row["started_at"]
    assert said["stages"]["epoch_s"] == 30
    assert len(said["stages"]["sleep"]) == said["statistics"]["epochs"]
    for name in ("tst_s", "waso_s", "deep_latency_s", "awakenings", "rem_to_wake", "cycles"):
        assert said["statistics"][name] == row[name]
    for name in ("sleep_index", "sleep_efficiency_fraction", "time_in_bed_s", "snoring_count"):
        assert said["asleep_statistics"][name] == row[f"api_{name}"]
    assert two.world.sim.requests["get_session"] == asked


def test_what_a_client_has_is_not_sent_again(client: Client, two: Two) -> None:
    """By the tag of the answer."""
    session_id = published(two, two.acme[0])[2]["session_id"]
    tag = detail(client, two, two.acme[0], session_id).headers["etag"]
    again = detail(client, two, two.acme[0], session_id, **{"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


HOSTILE = [
    UNKNOWN,
    "%2e%2e",
    "%2E%2E%2Fusers",
    "..%2f..%2fai%2fv1%2fusers",
    "a%2fb",
    "%00",
    "a%00b",
    "%0d%0ax-api-key:%20stolen",
    "%ff%fe",
    "%20",
    "%09",
    "'%20OR%20true--",
    "%7B%7D",
    "%E2%80%AE",
    "x" * 300,
    "x" * 5_000,
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_ids_are_not_found(client: Client, two: Two, hostile: str) -> None:
    """Of sessions or of users, read or deleted; nothing but 404, and no such path is asked upstream."""
    header, requests = as_admin(two, "acme"), two.world.sim.requests
    before = requests["other"]
    for path in (f"/v1/users/{two.acme[0]}/sessions/{hostile}", f"/v1/users/{hostile}/sessions"):
        assert client.get(path, headers=header).status_code == 404
    for path in (f"/v1/users/{two.acme[0]}/sessions/{hostile}", f"/v1/users/{hostile}"):
        assert client.delete(path, headers=header).status_code == 404
    assert requests["other"] == before


def test_foreign_and_unknown_are_the_same(client: Client, two: Two) -> None:
    """A session of another organisation, of another user, or of nobody: byte by byte."""
    foreign = published(two, two.duo[0])[0]["session_id"]
    other = published(two, two.acme[1])[0]["session_id"]
    unknown = detail(client, two, two.acme[0], UNKNOWN)
    assert unknown.status_code == 404
    header = as_admin(two, "acme")
    for user_id, session_id in (
        (two.acme[0], foreign),
        (two.acme[0], other),
        (two.duo[0], foreign),
        ("nobody", foreign),
    ):
        path = f"/v1/users/{user_id}/sessions/{session_id}"
        assert client.get(path, headers=header).content == unknown.content
        assert client.delete(path, headers=header).content == unknown.content
    assert detail_of_duo(client, two, foreign) == 200


def detail_of_duo(client: Client, two: Two, session_id: str) -> int:
    """The status of a session for its own organisation."""
    path = f"/v1/users/{two.duo[0]}/sessions/{session_id}"
    return client.get(path, headers=as_admin(two, "duo")).status_code


def test_members_see_their_own_sessions(client: Client, two: Two) -> None:
    """And nobody else's; analysts see none."""
    member = as_role(two, "acme", Role.MEMBER, two.acme[0])
    session_id = published(two, two.acme[0])[0]["session_id"]
    own, other = (f"/v1/users/{user_id}/sessions" for user_id in two.acme[:2])
    assert client.get(own, headers=member).status_code == 200
    assert client.get(f"{own}/{session_id}", headers=member).status_code == 200
    assert client.get(other, headers=member).status_code == 404
    analyst = as_role(two, "acme", Role.ANALYST)
    assert client.get(own, headers=analyst).status_code == 404
    assert client.delete(f"{own}/{session_id}", headers=analyst).status_code == 404
