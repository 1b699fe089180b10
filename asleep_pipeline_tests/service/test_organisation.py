"""`/v1/organisation`: what holds, who may change it, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from asleep_pipeline.access.organisations import Organisations, parameters
from asleep_pipeline.access.roles import Role
from asleep_pipeline.service.app import build_service
from asleep_pipeline.warehouse import publish
from asleep_pipeline_tests.service.conftest import Client, Two, as_role, serving

PLACE = "/v1/organisation"
FOR_EVER = dict.fromkeys(("raw", "sessions", "inbox", "audit"))


@pytest.fixture
def owner(two: Two) -> dict[str, str]:
    """An owner of acme."""
    return as_role(two, "acme", Role.OWNER)


@pytest.fixture
def fixed(two: Two) -> Iterator[Client]:
    """The API of a deployment that has decided some things for acme."""
    own = {"acme": {"min_group_size": 7, "api_key_file": "/run/secrets/acme"}}
    world = two.world.with_settings(organisations=own)
    with serving(build_service(world.platform.settings)) as made:
        yield made


def test_what_holds_without_own_settings(client: Client, two: Two) -> None:
    """What the deployment has."""
    assert client.get(PLACE, headers=as_role(two, "duo", Role.ADMIN)).json() == {
        "org_id": "duo",
        "timezone": "UTC",
        "free_days": [6, 7],
        "min_group_size": 5,
        "retention": FOR_EVER,
        "decided_elsewhere": [],
    }


def test_settings_are_changed_and_taken_back(
    client: Client, two: Two, owner: dict[str, str]
) -> None:
    """Those that are named, in the organisation of whoever asks, and in no other."""
    changes: dict[str, Any] = {
        "timezone": "Asia/Seoul",
        "free_days": [],
        "retention": {"raw": 30, "audit": 400},
    }
    said = client.patch(PLACE, headers=owner, json=changes).json()
    assert (said["timezone"], said["free_days"], said["min_group_size"]) == ("Asia/Seoul", [], 5)
    assert said["retention"] == FOR_EVER | {"raw": 30, "audit": 400}
    said = client.patch(PLACE, headers=owner, json={"retention": {"raw": None}}).json()
    assert said["retention"] == FOR_EVER | {"audit": 400}
    assert said == client.get(PLACE, headers=owner).json()
    assert client.get(PLACE, headers=as_role(two, "duo", Role.ADMIN)).json()["timezone"] == "UTC"
    nothing = {"timezone": None, "free_days": None, "retention": None}
    said = client.patch(PLACE, headers=owner, json=nothing).json()
    assert (said["timezone"], said["free_days"], said["retention"]) == ("UTC", [6, 7], FOR_EVER)


def test_who_may(client: Client, two: Two) -> None:
    """Owners change, admins look, and it is nothing for others."""
    admin, analyst = (as_role(two, "acme", role) for role in (Role.ADMIN, Role.ANALYST))
    assert client.patch(PLACE, headers=admin, json={"min_group_size": 1}).status_code == 403
    assert client.get(PLACE, headers=admin).status_code == 200
    assert client.get(PLACE, headers=analyst).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"timezone": "Mars/Olympus"},
        {"timezone": "x" * 65},
        {"free_days": [8]},
        {"free_days": "sat"},
        {"min_group_size": 0},
        {"min_group_size": 10**9},
        {"retention": {"raw": 0}},
        {"retention": {"nights": 5}},
        {"api_key_file": "/etc/passwd"},
        {"previous_api_key_file": "/etc/passwd"},
        {"api_key": "key"},
        {"org_id": "duo"},
        [],
    ],
)
def test_what_cannot_be_set(client: Client, owner: dict[str, str], body: Any) -> None:
    """A value without sense, a key, a file of this machine, another organisation."""
    before = client.get(PLACE, headers=owner).json()
    answer = client.patch(PLACE, headers=owner, json=body)
    assert answer.status_code == 422
    assert "passwd" not in answer.text
    assert "Mars" not in answer.text
    assert client.get(PLACE, headers=owner).json() == before


def test_what_the_deployment_has_decided_stays(fixed: Client, owner: dict[str, str]) -> None:
    """It is told which, without telling of files; trying to change it is a conflict."""
    said = fixed.get(PLACE, headers=owner)
    assert said.json()["min_group_size"] == 7
    assert said.json()["decided_elsewhere"] == ["min_group_size"]
    assert "secrets" not in said.text
    answer = fixed.patch(PLACE, headers=owner, json={"min_group_size": 1})
    assert answer.status_code == 409
    assert fixed.get(PLACE, headers=owner).json()["min_group_size"] == 7


def test_figures_follow_with_the_next_publication(
    client: Client, two: Two, owner: dict[str, str]
) -> None:
    """Groups that are large enough for the organisation are shown, those of others are not."""
    weeks = "SELECT org_id, bool_and(is_suppressed) FROM mart_org_week GROUP BY 1 ORDER BY 1"
    settings = two.settings

    def shown() -> list[Any]:
        publish(two.world.lake, settings.warehouse_path, parameters=parameters(settings))
        with duckdb.connect(str(settings.warehouse_path), read_only=True) as con:
            return con.execute(weeks).fetchall()

    assert shown() == [("acme", True), ("duo", True)]
    client.patch(PLACE, headers=owner, json={"min_group_size": 1})
    assert shown() == [("acme", False), ("duo", True)]
    client.patch(PLACE, headers=owner, json={"min_group_size": None})
    assert shown() == [("acme", True), ("duo", True)]
    assert Organisations(settings.access_path).all().keys() == {"acme"}
