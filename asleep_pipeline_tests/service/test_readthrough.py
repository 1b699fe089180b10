"""What is not published yet is asked for at Asleep, once, and kept; what is deleted is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from asleep_pipeline.access.deleted_sessions import DeletedSessions
from asleep_pipeline.access.roles import Role
from asleep_pipeline.errors import LakeError
from asleep_pipeline.extract.answers import Chunks
from asleep_pipeline.service import readthrough
from asleep_pipeline.service.app import build_service
from asleep_pipeline.service.readthrough import Reading
from asleep_pipeline.warehouse import publish
from asleep_pipeline_tests.service.conftest import (
    Client,
    Two,
    as_admin,
    as_role,
    serving,
    two_organisations,
)
from asleep_pipeline_tests.small_world import FIRST, TODAY


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two organisations, ten days after what they have was published."""
    for two in two_organisations(tmp_path_factory.mktemp("later") / "data"):
        two.world.sim.clock.set(two.world.sim.clock.now() + timedelta(days=10, hours=11))
        yield two


@pytest.fixture
def client(later: Two) -> Iterator[Client]:
    """The API, which remembers nothing of other tests."""
    with serving(build_service(later.settings)) as made:
        yield made


def sessions(later: Two, user_id: str, state: str = "COMPLETE") -> list[str]:
    """Sessions in a state that are not published, by their start."""
    said = later.world.sim.world.sessions(user_id, TODAY + timedelta(days=1), later.world.today)
    return [each["session"]["id"] for each in said if each["session"]["state"] == state]


def truth(later: Two, user_id: str, session_id: str) -> dict[str, Any]:
    """What Asleep knows of a session."""
    said = later.world.sim.world.sessions(user_id, FIRST, later.world.today)
    return next(each for each in said if each["session"]["id"] == session_id)


def get(client: Client, later: Two, user_id: str, session_id: str) -> Any:
    """The answer to one session."""
    path = f"/v1/users/{user_id}/sessions/{session_id}"
    return client.get(path, headers=as_admin(later, "acme"))


def delete(client: Client, later: Two, user_id: str, session_id: str) -> Any:
    """The answer to a deletion."""
    path = f"/v1/users/{user_id}/sessions/{session_id}"
    return client.delete(path, headers=as_admin(later, "acme"))


def asked(later: Two) -> int:
    """How often Asleep was asked for a session."""
    return later.world.sim.requests["get_session"]


def kept(later: Two, session_id: str) -> list[dict[str, Any]]:
    """What `raw` holds of a session, by its time."""
    sql = "SELECT * FROM lake.raw WHERE session_id = $1 ORDER BY fetched_at"
    return later.world.lake.frame(sql, [session_id]).to_dicts()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait for what happens after an answer."""
    until = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def listed(client: Client, later: Two, user_id: str) -> list[str]:
    """The ids in a user's list."""
    query = {"from": FIRST.isoformat(), "to": later.world.today.isoformat(), "limit": "100"}
    path = f"/v1/users/{user_id}/sessions"
    answer = client.get(path, params=query, headers=as_admin(later, "acme"))
    return [each["session_id"] for each in answer.json()["items"]]


def test_what_is_not_kept_any_more_is_read_and_not_kept(later: Two) -> None:
    """A night from before an organisation's retention can be looked at, and leaves nothing here."""
    user_id = later.acme[1]
    session_id = sessions(later, user_id)[0]
    key = {"api_key": later.world.sim.api_key}
    own = {"acme": key | {"retention": {"sessions": 30}}, "duo": key}
    settings = later.world.with_settings(organisations=own).platform.settings
    with serving(build_service(settings)) as client:
        assert get(client, later, user_id, session_id).json()["source"] == "asleep"
    assert kept(later, session_id) == []


def test_a_session_that_is_not_published_is_read_and_kept(client: Client, later: Two) -> None:
    """As a pull would have kept it: the next reading of answers has it, and the figures are the same."""
    user_id = later.acme[0]
    session_id = sessions(later, user_id)[0]
    answer = get(client, later, user_id, session_id)
    said = answer.json()
    expected = truth(later, user_id, session_id)
    assert (answer.status_code, said["source"]) == (200, "asleep")
    assert said["stages"]["sleep"] == expected["session"]["sleep_stages"]
    assert said["asleep_statistics"]["time_in_bed_s"] == expected["stat"]["time_in_bed"]
    wait_for(lambda: bool(kept(later, session_id)))
    (row,) = kept(later, session_id)
    assert (row["endpoint"], row["source"], row["status"]) == ("get_session", "pull", 200)
    assert (row["org_id"], row["list_hash"], row["session_state"]) == ("acme", None, "COMPLETE")
    later.world.normalise()
    stored = later.world.stored()[user_id, session_id]
    assert stored["sleep_stages"] == expected["session"]["sleep_stages"]
    publish(later.world.lake, later.settings.warehouse_path)
    published = get(client, later, user_id, session_id).json()
    assert (said.pop("source"), published.pop("source")) == ("asleep", "warehouse")
    # Which of a night's sessions is the main one, only all of them can tell.
    for name in ("is_main_sleep", "is_nap", "is_split_sleep"):
        said.pop(name), published.pop(name)
    assert said == published


def test_the_next_pull_does_not_ask_for_it_again(client: Client, later: Two) -> None:
    """What was read counts as read."""
    user_id = later.acme[1]
    session_id = sessions(later, user_id)[0]
    get(client, later, user_id, session_id)
    wait_for(lambda: bool(kept(later, session_id)))
    later.world.load(FIRST, later.world.today)
    assert len([row for row in kept(later, session_id) if row["body"]]) == 1
    stored = later.world.stored()[user_id, session_id]
    assert stored["sleep_stages"] == truth(later, user_id, session_id)["session"]["sleep_stages"]


def test_nobody_asks_twice_within_a_minute(
    client: Client, later: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what is there and for what is not; after it, Asleep is asked again."""
    user_id = later.acme[0]
    session_id = sessions(later, user_id)[1]
    for each, status in ((session_id, 200), ("20260506000000_zzzzz", 404)):
        before = asked(later)
        answers = [get(client, later, user_id, each) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [status] * 3
        assert len({answer.content for answer in answers}) == 1
        assert asked(later) == before + 1
    monkeypatch.setattr(readthrough, "KEPT_S", -1.0)
    with serving(build_service(later.settings)) as forgetful:
        before = asked(later)
        for _ in range(2):
            get(forgetful, later, user_id, session_id)
        assert asked(later) == before + 2


def test_many_who_ask_at_once_are_one_question(client: Client, later: Two) -> None:
    """And all of them get the answer."""
    user_id = later.acme[0]
    session_id = sessions(later, user_id)[2]
    before = asked(later)
    later.world.sim.faults.latency_s = 0.3
    try:
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(get, client, later, user_id, session_id) for _ in range(8)]
            answers = [each.result() for each in sent]
    finally:
        later.world.sim.faults.latency_s = 0.0
    assert {answer.status_code for answer in answers} == {200}
    assert asked(later) == before + 1


def test_what_is_remembered_is_bounded(
    client: Client, later: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for many things that do not exist fills no memory."""
    monkeypatch.setattr(readthrough, "MOST_KEPT", 3)
    reading: Reading = client.app.state[readthrough.READING]
    for number in range(6):
        get(client, later, later.acme[0], f"2026050600000{number}_zzzzz")
    assert len(reading._held) == 3


def test_a_session_in_progress_is_shown_and_not_kept(client: Client, later: Two) -> None:
    """Its list row brings it in when it is complete."""
    found = [
        (u, s)
        for u in later.acme
        for state in ("OPEN", "CLOSED")
        for s in sessions(later, u, state)
    ]
    assert found, "somebody sleeps at this hour"
    user_id, session_id = found[0]
    answer = get(client, later, user_id, session_id)
    assert answer.status_code == 200
    assert answer.json()["state"] in {"OPEN", "CLOSED"}
    assert answer.json()["asleep_statistics"]["sleep_index"] is None
    # What was asked for before is kept before.
    complete = sessions(later, later.acme[2])[0]
    get(client, later, later.acme[2], complete)
    wait_for(lambda: bool(kept(later, complete)))
    assert kept(later, session_id) == []


def test_the_same_answer_is_kept_once(client: Client, later: Two) -> None:
    """However often it is read before it is published."""
    user_id = later.acme[0]
    session_id = sessions(later, user_id)[3]
    get(client, later, user_id, session_id)
    wait_for(lambda: bool(kept(later, session_id)))
    with serving(build_service(later.settings)) as another:
        get(another, later, user_id, session_id)
    # What waits is written before it ends.
    assert len(kept(later, session_id)) == 1


def test_a_failure_is_not_remembered(client: Client, later: Two) -> None:
    """The next one asks again; the failure is told as one, and nothing is quoted."""
    user_id = later.acme[0]
    session_id = sessions(later, user_id)[4]
    later.world.sim.faults.plan_expired = True
    try:
        refused = get(client, later, user_id, session_id)
    finally:
        later.world.sim.faults.plan_expired = False
    assert (refused.status_code, "operators" in refused.text) == (502, True)
    assert session_id not in refused.text
    assert get(client, later, user_id, session_id).status_code == 200


@pytest.mark.parametrize("kind", ["bad_stage", "negative", "end_before_start"])
def test_what_breaks_the_contract_is_not_passed_on(client: Client, later: Two, kind: Any) -> None:
    """Neither as a session nor as a failure of ours."""
    user_id = later.acme[0]
    session_id = sessions(later, user_id)[-1]
    later.world.sim.faults.corrupted = {session_id: kind}
    try:
        answer = get(client, later, user_id, session_id)
    finally:
        later.world.sim.faults.corrupted = {}
    assert answer.status_code == 502


def test_a_deleted_session_is_gone_at_once_and_for_good(client: Client, later: Two) -> None:
    """At Asleep, in the answers, in the lake and in the published file, and a pull brings nothing back."""
    user_id = later.acme[2]
    session_id = listed(client, later, user_id)[0]
    assert get(client, later, user_id, session_id).status_code == 200
    assert delete(client, later, user_id, session_id).status_code == 204
    for answer in (get, delete):
        assert answer(client, later, user_id, session_id).status_code == 404
    assert session_id not in listed(client, later, user_id)
    with serving(build_service(later.settings)) as another:
        assert get(another, later, user_id, session_id).status_code == 404
    assert (kept(later, session_id)[-1]["status"], kept(later, session_id)[-1]["source"]) == (
        404,
        "pull",
    )
    later.world.load(FIRST, later.world.today)
    assert (user_id, session_id) not in later.world.stored()
    publish(later.world.lake, later.settings.warehouse_path)
    assert session_id not in listed(client, later, user_id)


def test_what_was_only_read_is_deleted_as_well(client: Client, later: Two) -> None:
    """Also when nobody has published it."""
    user_id = later.acme[0]
    session_id = sessions(later, user_id)[5]
    assert get(client, later, user_id, session_id).status_code == 200
    assert delete(client, later, user_id, session_id).status_code == 204
    assert get(client, later, user_id, session_id).status_code == 404
    later.world.normalise()
    assert (user_id, session_id) not in later.world.stored()


def test_a_deletion_that_broke_off_can_be_repeated(
    client: Client, later: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asleep had done its part already."""
    user_id = later.acme[1]
    session_id = listed(client, later, user_id)[-1]
    with monkeypatch.context() as patch:
        patch.setattr(Chunks, "flush", _refuse)
        broken = delete(client, later, user_id, session_id)
    assert (broken.status_code, "retry-after" in broken.headers) == (503, True)
    assert delete(client, later, user_id, session_id).status_code == 204
    assert get(client, later, user_id, session_id).status_code == 404


def _refuse(_chunks: object) -> None:
    raise LakeError("The disk is full.")


def test_a_session_that_asleep_has_deleted_vanishes_here(client: Client, later: Two) -> None:
    """Who asks for one that was not final makes it known."""
    user_id = later.acme[1]
    session_id = next(iter(sessions(later, user_id, "CLOSED") or sessions(later, user_id)[-1:]))
    with later.world.lake.write("as if it had been listed while it was open") as con:
        con.execute(
            "UPDATE lake.sessions SET state = 'CLOSED', has_detail = false WHERE session_id = $1",
            [session_id],
        )
    publish(later.world.lake, later.settings.warehouse_path)
    later.world.sim.faults.deleted_sessions = {session_id}
    try:
        assert get(client, later, user_id, session_id).status_code == 404
    finally:
        later.world.sim.faults.deleted_sessions = set()
    wait_for(lambda: any(row["status"] == 404 for row in kept(later, session_id)))
    later.world.normalise()
    assert (user_id, session_id) not in later.world.stored()


def test_members_delete_their_own(client: Client, later: Two) -> None:
    """Nobody else's, and nobody else theirs."""
    mine, other = later.acme[0], later.acme[2]
    session_id, foreign = listed(client, later, mine)[-1], listed(client, later, other)[-1]
    header = as_role(later, "acme", Role.MEMBER, mine)
    path = f"/v1/users/{other}/sessions/{foreign}"
    assert client.delete(path, headers=header).status_code == 404
    path = f"/v1/users/{mine}/sessions/{session_id}"
    assert client.delete(path, headers=as_admin(later, "duo")).status_code == 404
    assert client.delete(path, headers=header).status_code == 204
    deleted = DeletedSessions(later.settings.access_path)
    assert session_id in deleted.of("acme", mine)
    assert foreign in listed(client, later, other)
