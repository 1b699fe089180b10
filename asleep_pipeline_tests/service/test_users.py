"""Users: created once, known at once, changed within limits, and nobody's but their organisation's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from asleep_pipeline.access import app_users
from asleep_pipeline.access.roles import Role
from asleep_pipeline.privacy.erasure import erasure_of
from asleep_pipeline.service import creation
from asleep_pipeline.service.app import build_service
from asleep_pipeline_tests.service.conftest import Client, Two, as_admin, as_role, serving

_NUMBERS = count(1)


def new_id() -> str:
    """An id that the app has not used."""
    return f"user-{next(_NUMBERS)}"


def create(client: Client, two: Two, **body: Any) -> dict[str, Any]:
    """A new user of `acme`."""
    answer = client.post(
        "/v1/users", json={"app_user_id": new_id()} | body, headers=as_admin(two, "acme")
    )
    assert answer.status_code == 201, answer.text
    user: dict[str, Any] = answer.json()
    return user


def at_asleep(two: Two, user_id: str) -> dict[str, Any]:
    """The metadata that Asleep has of a user."""
    world = two.world.sim.world
    said: dict[str, Any] = world.describe_user(world.person(user_id))["metadata"]
    return said


def on_roster(two: Two, user_id: str) -> dict[str, Any]:
    """A user's row in the lake."""
    sql = "SELECT * FROM lake.users WHERE user_id = $1"
    return two.world.lake.frame(sql, [user_id]).row(0, named=True)


def created_at_asleep(two: Two) -> int:
    """How many users Asleep was asked to create."""
    return two.world.sim.requests["create_user"]


def test_a_user_is_created_at_asleep_and_put_on_the_roster(client: Client, two: Two) -> None:
    """With what the app says of the user; the next pull takes it."""
    app_user_id = new_id()
    body = {"app_user_id": app_user_id, "metadata": {"birth_year": 1990, "height": 170.5}}
    answer = client.post("/v1/users", json=body, headers=as_admin(two, "acme"))
    user = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/users/{user['user_id']}"
    assert (user["app_user_id"], user["lost_attempts"]) == (app_user_id, 0)
    assert user["metadata"] == {"birth_year": 1990, "gender": None, "height": 170.5, "weight": None}
    assert at_asleep(two, user["user_id"])["birth_year"] == 1990
    row = on_roster(two, user["user_id"])
    assert (row["org_id"], row["height_cm"], row["deleted_at"]) == ("acme", 170.5, None)
    listed = two.world.sim.requests["list_sessions"]
    users = two.world.lake.frame("SELECT * FROM lake.users").height
    two.world.pull(*two.days)
    assert two.world.sim.requests["list_sessions"] == listed + users


def test_a_user_is_known_before_any_publication(client: Client, two: Two) -> None:
    """The published file does not hold the user, and need not."""
    user = create(client, two)
    path = f"/v1/users/{user['user_id']}"
    header = as_admin(two, "acme")
    assert client.get(path, headers=header).json() == user
    assert client.get(f"{path}/sessions", headers=header).json() == {
        "items": [],
        "next_cursor": None,
    }
    two.settings.warehouse_path.rename(aside := two.settings.data_dir / "aside")
    try:
        with serving(build_service(two.settings)) as before:
            assert before.get(path, headers=header).json() == user
    finally:
        aside.rename(two.settings.warehouse_path)


def test_the_same_again_gives_the_same(client: Client, two: Two) -> None:
    """200 instead of 201, and nothing is changed."""
    app_user_id, header = new_id(), as_admin(two, "acme")
    body = {"app_user_id": app_user_id, "metadata": {"weight": 70}}
    first = client.post("/v1/users", json=body, headers=header)
    asked = created_at_asleep(two)
    again = client.post("/v1/users", json=body | {"metadata": {"weight": 90}}, headers=header)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert created_at_asleep(two) == asked


def test_two_organisations_may_use_the_same_id(client: Client, two: Two) -> None:
    """They are two users, and neither sees the other's."""
    body = {"app_user_id": new_id()}
    acme = client.post("/v1/users", json=body, headers=as_admin(two, "acme")).json()
    duo = client.post("/v1/users", json=body, headers=as_admin(two, "duo")).json()
    assert acme["user_id"] != duo["user_id"]
    found = client.get("/v1/users", params=body, headers=as_admin(two, "duo")).json()["items"]
    assert found == [duo]
    foreign = client.get(f"/v1/users/{acme['user_id']}", headers=as_admin(two, "duo"))
    unknown = client.get("/v1/users/nobody", headers=as_admin(two, "duo"))
    assert foreign.status_code == 404
    assert foreign.content == unknown.content


def test_many_at_once_create_one(client: Client, two: Two) -> None:
    """In two processes' applications, with the slowest answer of Asleep."""
    body, header = {"app_user_id": new_id()}, as_admin(two, "acme")
    asked = created_at_asleep(two)
    two.world.sim.faults.latency_s = 0.3
    try:
        with serving(build_service(two.settings)) as other, ThreadPoolExecutor(8) as pool:
            clients = [client, other] * 4
            sent = [pool.submit(c.post, "/v1/users", json=body, headers=header) for c in clients]
            answers = [each.result() for each in sent]
    finally:
        two.world.sim.faults.latency_s = 0.0
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["user_id"] for answer in answers}) == 1
    assert created_at_asleep(two) == asked + 1


_DIES = """
import asyncio, os, sys
from datetime import UTC, datetime
from pathlib import Path
from asleep_pipeline.access.app_users import AppUsers
from asleep_pipeline.asleep import AsleepClient

async def main(path, base_url, key, app_user_id):
    AppUsers(Path(path)).reserve("acme", app_user_id, now=datetime.now(UTC))
    async with AsleepClient(key, base_url=base_url) as asleep:
        await asleep.create_user()
        os._exit(9)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_process_that_dies_between_asking_and_writing_down_is_told_of(
    client: Client, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its user is lost at Asleep, since nobody can ask for a list; the next attempt says so."""
    app_user_id, sim = new_id(), two.world.sim
    args = [str(two.settings.access_path), sim.base_url, sim.api_key, app_user_id]
    died = subprocess.run([sys.executable, "-c", _DIES, *args], check=False)
    assert died.returncode == 9
    body, header = {"app_user_id": app_user_id}, as_admin(two, "acme")
    with monkeypatch.context() as patch:
        patch.setattr(creation, "PATIENCE_S", 0.1)
        held = client.post("/v1/users", json=body, headers=header)
    assert (held.status_code, held.headers["retry-after"]) == (409, "2")
    monkeypatch.setattr(app_users, "HELD_S", 0)
    made = client.post("/v1/users", json=body, headers=header)
    assert (made.status_code, made.json()["lost_attempts"]) == (201, 1)
    again = client.post("/v1/users", json=body, headers=header)
    assert (again.status_code, again.json()) == (200, made.json())


def test_an_answer_that_is_lost_counts_as_an_attempt(client: Client, two: Two) -> None:
    """It is not asked again by itself, and who asks again is told."""
    body, header = {"app_user_id": new_id()}, as_admin(two, "acme")
    asked = created_at_asleep(two)
    two.world.sim.faults.truncated_share = 1.0
    try:
        lost = client.post("/v1/users", json=body, headers=header)
    finally:
        two.world.sim.faults.truncated_share = 0.0
    assert (lost.status_code, "retry-after" in lost.headers) == (503, True)
    assert created_at_asleep(two) == asked + 1
    assert client.post("/v1/users", json=body, headers=header).json()["lost_attempts"] == 1


def test_a_refusal_leaves_nothing_behind(client: Client, two: Two) -> None:
    """Nobody was created, so the next one may try at once."""
    body, header = {"app_user_id": new_id()}, as_admin(two, "acme")
    two.world.sim.faults.plan_expired = True
    try:
        refused = client.post("/v1/users", json=body, headers=header)
    finally:
        two.world.sim.faults.plan_expired = False
    assert (refused.status_code, two.world.sim.api_key in refused.text) == (502, False)
    made = client.post("/v1/users", json=body, headers=header)
    assert (made.status_code, made.json()["lost_attempts"]) == (201, 0)


def test_who_is_missing_on_the_roster_is_put_there_by_asking_again(
    client: Client, two: Two
) -> None:
    """As after a crash between the two, or a lake that was full."""
    user = create(client, two)
    with two.world.lake.write("as if it had not been") as con:
        con.execute("DELETE FROM lake.users WHERE user_id = $1", [user["user_id"]])
    header = as_admin(two, "acme")
    assert client.get(f"/v1/users/{user['user_id']}", headers=header).status_code == 200
    body = {"app_user_id": user["app_user_id"]}
    assert client.post("/v1/users", json=body, headers=header).status_code == 200
    assert on_roster(two, user["user_id"])["org_id"] == "acme"


def test_the_list_holds_the_organisation_s_users_page_by_page(client: Client, two: Two) -> None:
    """Those of the roster file, too, each once and in the order of their ids."""
    made = create(client, two)
    found: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"limit": 2}
    while True:
        page = client.get("/v1/users", params=query, headers=as_admin(two, "acme")).json()
        found += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    ids = [user["user_id"] for user in found]
    assert ids == sorted(set(ids))
    assert {*two.acme, made["user_id"]} <= set(ids)
    assert not set(ids) & set(two.duo)
    assert next(user for user in found if user["user_id"] == made["user_id"]) == made
    assert next(user for user in found if user["user_id"] == two.acme[0])["app_user_id"] is None


def test_the_app_s_id_finds_one_user(client: Client, two: Two) -> None:
    """Or nobody."""
    made, header = create(client, two), as_admin(two, "acme")
    query = {"app_user_id": made["app_user_id"]}
    assert client.get("/v1/users", params=query, headers=header).json()["items"] == [made]
    nobody = client.get("/v1/users", params={"app_user_id": "nobody"}, headers=header)
    assert nobody.json() == {"items": [], "next_cursor": None}


def test_a_change_is_merged_and_sent_whole(client: Client, two: Two) -> None:
    """What is left out stays, at Asleep and here, and null takes away."""
    metadata = {"birth_year": 1990, "birth_month": 5, "height": 170.5, "gender": "other"}
    user = create(client, two, metadata=metadata)
    path, header = f"/v1/users/{user['user_id']}", as_admin(two, "acme")
    change = {
        "metadata": {"weight": 70.5, "height": None},
        "timezone": "Asia/Seoul",
        "free_days": [7, 6, 6],
        "sleep_need_s": 28_000,
    }
    changed = client.patch(path, json=change, headers=header)
    assert changed.status_code == 200, changed.text
    assert at_asleep(two, user["user_id"]) == metadata | {
        "birth_day": None,
        "weight": 70.5,
        "height": None,
    }
    row = on_roster(two, user["user_id"])
    names = ("timezone", "free_days", "sleep_need_s", "height_cm", "weight_kg", "birth_year")
    assert [row[name] for name in names] == ["Asia/Seoul", [6, 7], 28_000, None, 70.5, 1990]
    asked = two.world.sim.requests["get_user"]
    taken = client.patch(path, json={"timezone": None, "free_days": None}, headers=header).json()
    assert (taken["timezone"], taken["free_days"], taken["sleep_need_s"]) == (None, None, 28_000)
    assert two.world.sim.requests["get_user"] == asked
    assert client.get(path, headers=header).json() == taken


@pytest.mark.parametrize(
    "metadata",
    [
        {"birth_year": 1899},
        {"birth_year": datetime.now(UTC).year + 1},
        {"birth_month": 13},
        {"birth_day": 0},
        {"birth_month": 2, "birth_day": 30},
        {"birth_year": 2023, "birth_month": 2, "birth_day": 29},
        {"gender": "Other"},
        {"height": -1},
        {"height": 300.1},
        {"height": 170.55},
        {"weight": 1001},
        {"weight": "heavy"},
        {"shoe_size": 42},
        [],
    ],
)
def test_metadata_has_asleep_s_limits(client: Client, two: Two, metadata: Any) -> None:
    """What is beyond them is refused here, before anybody is created or changed."""
    header, asked = as_admin(two, "acme"), dict(two.world.sim.requests)
    body = {"app_user_id": new_id(), "metadata": metadata}
    assert client.post("/v1/users", json=body, headers=header).status_code == 422
    path = f"/v1/users/{two.acme[0]}"
    assert client.patch(path, json={"metadata": metadata}, headers=header).status_code == 422
    assert dict(two.world.sim.requests) == asked


def test_a_change_must_go_with_what_is_known(client: Client, two: Two) -> None:
    """A day is looked at with the month that Asleep knows."""
    user = create(client, two, metadata={"birth_month": 2})
    change = {"metadata": {"birth_day": 30}}
    answer = client.patch(
        f"/v1/users/{user['user_id']}", json=change, headers=as_admin(two, "acme")
    )
    assert answer.status_code == 422
    assert at_asleep(two, user["user_id"])["birth_day"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"timezone": "Mars/Olympus"},
        {"timezone": "asia/seoul"},
        {"free_days": [0]},
        {"free_days": [1] * 8},
        {"free_days": "sat"},
        {"sleep_need_s": 0},
        {"sleep_need_s": 86_401},
        {"metadata": None},
    ],
)
def test_the_roster_s_columns_have_limits(client: Client, two: Two, change: dict[str, Any]) -> None:
    """Those of a roster file."""
    path = f"/v1/users/{two.acme[0]}"
    assert client.patch(path, json=change, headers=as_admin(two, "acme")).status_code == 422


@pytest.mark.parametrize(
    "name",
    ["org_id", "user_id", "shard", "deleted_at", "first_seen_at", "refreshed_at", "created_at"],
)
def test_nothing_else_can_be_assigned(client: Client, two: Two, name: str) -> None:
    """Neither when a user is created nor later, at the top or inside."""
    header, value = as_admin(two, "acme"), "duo"
    path = f"/v1/users/{two.acme[0]}"
    before = on_roster(two, two.acme[0])
    for body in ({name: value}, {"metadata": {name: value}}):
        whole = {"app_user_id": new_id()} | body
        assert client.post("/v1/users", json=whole, headers=header).status_code == 422
        assert client.patch(path, json=body, headers=header).status_code == 422
    assert client.patch(path, json={"app_user_id": "other"}, headers=header).status_code == 422
    assert on_roster(two, two.acme[0]) == before


@pytest.mark.parametrize(
    "app_user_id", ["", "a b", "a\x00b", "ä", "a" * 257, 7, None, ["a"], {"a": 1}]
)
def test_an_app_s_id_is_visible_ascii(client: Client, two: Two, app_user_id: Any) -> None:
    """Of at most 256 characters."""
    body = {"app_user_id": app_user_id}
    answer = client.post("/v1/users", json=body, headers=as_admin(two, "acme"))
    assert answer.status_code == 422


def test_members_see_and_change_themselves(client: Client, two: Two) -> None:
    """Nobody else, and no list."""
    header = as_role(two, "acme", Role.MEMBER, two.acme[1])
    own, other = f"/v1/users/{two.acme[1]}", f"/v1/users/{two.acme[0]}"
    assert client.patch(own, json={"sleep_need_s": 30_000}, headers=header).status_code == 200
    assert client.get(own, headers=header).json()["sleep_need_s"] == 30_000
    assert client.patch(other, json={"sleep_need_s": 1}, headers=header).status_code == 404
    assert client.get("/v1/users", headers=header).status_code == 403
    body = {"app_user_id": new_id()}
    assert client.post("/v1/users", json=body, headers=header).status_code == 403


def test_analysts_see_no_one(client: Client, two: Two) -> None:
    """Their figures tell of nobody in particular."""
    header = as_role(two, "acme", Role.ANALYST)
    assert client.get("/v1/users", headers=header).status_code == 403
    assert client.get(f"/v1/users/{two.acme[0]}", headers=header).status_code == 404


@pytest.fixture
def pending(client: Client, two: Two) -> Iterator[str]:
    """A user whose deletion Asleep has not finished."""
    user_id = create(client, two)["user_id"]
    two.world.sim.faults.pending_users = {user_id}
    yield user_id
    two.world.sim.faults.pending_users = set()


def test_who_is_being_deleted_at_asleep_is_not_changed(
    client: Client, two: Two, pending: str
) -> None:
    """As the contract advises: such a user is gone."""
    change = {"metadata": {"weight": 70}}
    answer = client.patch(f"/v1/users/{pending}", json=change, headers=as_admin(two, "acme"))
    assert answer.status_code == 404


def test_who_is_gone_at_asleep_is_shown_as_gone(client: Client, two: Two) -> None:
    """What was slept before is still here."""
    user = create(client, two)
    with two.world.lake.write("gone") as con:
        con.execute(
            "UPDATE lake.users SET deleted_at = $1 WHERE user_id = $2",
            [datetime(2026, 5, 1, tzinfo=UTC), user["user_id"]],
        )
    answer = client.get(f"/v1/users/{user['user_id']}", headers=as_admin(two, "acme"))
    assert answer.json()["gone_at"] == "2026-05-01T00:00:00Z"


def test_who_is_deleted_is_seen_by_nobody_from_then_on(client: Client, two: Two) -> None:
    """Not in the list either; the answer says which erasure to follow."""
    user, header = create(client, two), as_admin(two, "acme")
    path = f"/v1/users/{user['user_id']}"
    answer = client.delete(path, headers=header)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/erasures/{answer.json()['erasure_id']}"
    unknown = client.get("/v1/users/nobody", headers=header)
    for asked in (path, f"{path}/sessions", f"{path}/sessions/20260501000000_aaaaa"):
        assert client.get(asked, headers=header).content == unknown.content
    assert client.delete(path, headers=header).content == unknown.content
    assert client.patch(path, json={}, headers=header).content == unknown.content
    query = {"app_user_id": user["app_user_id"]}
    assert client.get("/v1/users", params=query, headers=header).json()["items"] == []
    listed = client.get("/v1/users?limit=100", headers=header).json()["items"]
    assert user["user_id"] not in {each["user_id"] for each in listed}
    again = client.post("/v1/users", json=query, headers=header)
    assert again.status_code == 201
    assert again.json()["user_id"] != user["user_id"]


def test_a_deletion_asks_for_all_of_it(client: Client, two: Two) -> None:
    """At Asleep as well, and it is known who asked; the pipeline carries it out."""
    user_id = create(client, two)["user_id"]
    started = client.delete(f"/v1/users/{user_id}", headers=as_admin(two, "acme")).json()
    erasure = erasure_of(two.settings, user_id)
    assert erasure is not None
    assert (erasure.id, erasure.org_id) == (started["erasure_id"], "acme")
    assert (erasure.is_upstream, erasure.asked_by.startswith("token:")) == (True, True)


def test_nobody_but_the_organisation_s_admins_deletes(client: Client, two: Two) -> None:
    """Neither a member themselves, nor another organisation."""
    path = f"/v1/users/{two.acme[2]}"
    own = as_role(two, "acme", Role.MEMBER, two.acme[2])
    assert client.delete(path, headers=own).status_code == 403
    assert client.delete(path, headers=as_admin(two, "duo")).status_code == 404
    assert client.get(path, headers=own).status_code == 200
