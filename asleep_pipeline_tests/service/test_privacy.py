"""Erasure and export over HTTP: for whom it is, and that nobody sees an erased person any more."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from asleep_pipeline.access.roles import Role
from asleep_pipeline.privacy.erasure import run_erasures
from asleep_pipeline.service.app import build_service
from asleep_pipeline_tests.privacy.crowded import files_with
from asleep_pipeline_tests.service.conftest import (
    Client,
    Two,
    as_admin,
    as_role,
    serving,
    two_organisations,
)
from asleep_pipeline_tests.small_world import NOON


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two organisations that lose somebody."""
    yield from two_organisations(tmp_path_factory.mktemp("own") / "data")


@pytest.fixture(scope="module")
def api(own: Two) -> Iterator[Client]:
    """The API over them."""
    with serving(build_service(own.settings)) as made:
        yield made


def test_a_person_gets_all_that_is_stored(own: Two, api: Client) -> None:
    """One document, and each table as Parquet, with a word on what it is."""
    who = own.acme[0]
    answer = api.get(f"/v1/users/{who}/export", headers=as_role(own, "acme", Role.MEMBER, who))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        said = json.loads(file.read("person.json"))
        sessions = pl.read_parquet(io.BytesIO(file.read("sessions.parquet")))
        readme = file.read("README.txt").decode()
        assert set(file.namelist()) >= {"users.parquet", "raw.parquet", "fct_night.parquet"}
    stored = {session for user, session in own.world.stored() if user == who}
    assert (
        set(sessions["session_id"])
        == stored
        == {s["session_id"] for s in said["tables"]["sessions"]}
    )
    assert said["tables"]["raw"][0]["body"]["result"]
    assert said["access"]["token"][0]["role"] == "member"
    assert "sessions: " in readme
    assert not {other for other in (*own.acme[1:], *own.duo) if other in answer.text or other in json.dumps(said)}  # fmt: skip


def test_others_get_nothing(own: Two, api: Client) -> None:
    """The same answer for a user of another organisation, for another user, and for nobody."""
    member = as_role(own, "acme", Role.MEMBER, own.acme[0])
    for who, headers in (
        (own.acme[1], member),
        (own.duo[0], as_admin(own, "acme")),
        ("nobody", as_admin(own, "acme")),
    ):
        answer = api.get(f"/v1/users/{who}/export", headers=headers)
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such thing.")


@pytest.mark.parametrize("role", [Role.ADMIN, Role.ANALYST])
def test_erasing_is_for_owners(own: Two, api: Client, role: Role) -> None:
    """Who may not see the user, does not learn of them; nobody else's erasures are told."""
    headers = as_role(own, "acme", role)
    answer = api.post(f"/v1/users/{own.acme[0]}/erasure", headers=headers, json={})
    assert answer.status_code == (403 if role is Role.ADMIN else 404)
    assert api.get("/v1/erasures", headers=headers).status_code == 403


def test_an_unknown_field_is_refused(own: Two, api: Client) -> None:
    """Nothing is asked for by mistake."""
    headers = as_role(own, "acme", Role.OWNER)
    answer = api.post(f"/v1/users/{own.acme[0]}/erasure", headers=headers, json={"up": True})
    assert answer.status_code == 422


def test_an_erasure_from_the_request_to_the_receipt(own: Two, api: Client, tmp_path: Path) -> None:
    """Nobody sees the person from the request on; the other organisation notices nothing."""
    who, owner = own.acme[2], as_role(own, "acme", Role.OWNER)
    asked = api.post(f"/v1/users/{who}/erasure", headers=owner, json={"upstream": True})
    assert (asked.status_code, asked.json()["state"]) == (202, "open")
    erasure = f"/v1/erasures/{asked.json()['id']}"
    assert api.get(f"/v1/users/{who}/export", headers=owner).status_code == 404
    assert api.post(f"/v1/users/{who}/erasure", headers=owner, json={}).status_code == 404
    assert api.get(erasure, headers=as_role(own, "duo", Role.OWNER)).status_code == 404
    run_erasures(own.settings, NOON)
    done = api.get(erasure, headers=owner).json()
    assert (done["state"], done["hindered_at"]) == ("done", None)
    assert done["receipt"]["org_id"] == "acme"
    assert who not in json.dumps(done)
    listed = api.get("/v1/erasures", headers=owner).json()["items"]
    assert [each["id"] for each in listed] == [done["id"]]
    assert api.get("/v1/erasures", headers=as_role(own, "duo", Role.OWNER)).json()["items"] == []
    assert files_with(own.settings.data_dir, who) == []
    assert {user for user, _ in own.world.stored()} == {*own.acme[:2], *own.duo}


def test_asleep_that_fails_keeps_an_erasure_open(own: Two, api: Client) -> None:
    """What is here goes all the same, and Asleep is asked again."""
    who, owner = own.acme[1], as_role(own, "acme", Role.OWNER)
    asked = api.post(f"/v1/users/{who}/erasure", headers=owner, json={"upstream": True}).json()
    own.world.sim.faults.plan_expired = True
    (hindered,) = run_erasures(own.settings, NOON)
    own.world.sim.faults.plan_expired = False
    told = api.get(f"/v1/erasures/{asked['id']}", headers=owner).json()
    assert (told["state"], told["hindered_at"]) == ("open", "upstream")
    assert who not in hindered.problem
    assert who not in {user for user, _ in own.world.stored()}
    (done,) = run_erasures(own.settings, NOON)
    assert done.state == "done"
    assert files_with(own.settings.data_dir, who) == []
