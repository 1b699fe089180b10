"""Members and tokens over HTTP: who may give what, what is refused, and that it holds at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from asleep_pipeline.access.members import Members
from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.service.app import build_service
from asleep_pipeline_tests.service.conftest import Client, Two, as_role, serving
from asleep_pipeline_tests.small_world import NOON

SECRET = "a secret of the tests, of 32 bytes and more"


@pytest.fixture(scope="module")
def client(two: Two) -> Iterator[Client]:
    """The API over `two`, which takes JWTs of a shared secret."""
    world = two.world.with_settings(jwt_secret=SECRET, jwt_audience="api")
    with serving(build_service(world.platform.settings)) as made:
        yield made


@pytest.fixture
def owner(two: Two) -> dict[str, str]:
    """An owner of acme."""
    return as_role(two, "acme", Role.OWNER)


def by_jwt(subject: str) -> dict[str, str]:
    """The header of somebody whom the identity provider knows."""
    claims = {"sub": subject, "aud": "api", "exp": datetime.now(UTC) + timedelta(minutes=5)}
    return {"authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


def test_a_member_from_beginning_to_end(client: Client, two: Two, owner: dict[str, str]) -> None:
    """Nobody before, then what they were made, and nobody again; each from the next request on."""
    ann = by_jwt("ann")
    assert client.get("/v1/me", headers=ann).status_code == 401
    made = client.post("/v1/members", headers=owner, json={"subject": "ann", "role": "analyst"})
    assert (made.status_code, made.json()["role"]) == (201, "analyst")
    assert client.get("/v1/me", headers=ann).json()["role"] == "analyst"
    place = f"/v1/members/{made.json()['id']}"
    change = {"role": "member", "user_id": two.acme[0]}
    assert client.patch(place, headers=owner, json=change).json()["user_id"] == two.acme[0]
    assert client.get("/v1/me", headers=ann).json() == {
        "org_id": "acme",
        "role": "member",
        "user_id": two.acme[0],
    }
    assert client.delete(place, headers=owner).status_code == 204
    assert client.get("/v1/me", headers=ann).status_code == 401
    assert client.delete(place, headers=owner).status_code == 404


def test_the_last_owner_stays(client: Client, two: Two, owner: dict[str, str]) -> None:
    """Neither removed nor made less, whoever asks; nor is anybody a member twice."""
    last = Members(two.settings.access_path).add("acme", "the owner", Role.OWNER, now=NOON)
    place = f"/v1/members/{last.id}"
    for answer in (
        client.delete(place, headers=owner),
        client.patch(place, headers=by_jwt("the owner"), json={"role": "admin"}),
        client.post("/v1/members", headers=owner, json={"subject": "the owner", "role": "admin"}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (
            409,
            "application/problem+json",
        )
        assert "the owner" not in answer.text
    second = client.post("/v1/members", headers=owner, json={"subject": "two", "role": "owner"})
    assert client.patch(place, headers=owner, json={"role": "admin"}).status_code == 200
    assert client.delete(place, headers=owner).status_code == 204
    assert client.delete(f"/v1/members/{second.json()['id']}", headers=owner).status_code == 409


def test_a_token_from_beginning_to_end(client: Client, two: Two, owner: dict[str, str]) -> None:
    """It is told once, and holds until it is revoked."""
    made = client.post("/v1/tokens", headers=owner, json={"name": "x", "role": "analyst"})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    shown = {"authorization": f"Bearer {made.json()['token']}"}
    assert client.get("/v1/me", headers=shown).json()["role"] == "analyst"
    listed = client.get("/v1/tokens", headers=owner, params={"limit": 100})
    facts = {name: value for name, value in made.json().items() if name != "token"}
    assert facts in listed.json()["items"]
    assert made.json()["token"] not in listed.text
    place = f"/v1/tokens/{made.json()['id']}"
    assert client.delete(place, headers=owner).status_code == 204
    assert client.get("/v1/me", headers=shown).status_code == 401
    assert client.delete(place, headers=owner).status_code == 204


@pytest.mark.parametrize("thing", ["members", "tokens"])
def test_pages_hold_one_organisation(client: Client, two: Two, thing: str) -> None:
    """Page by page, each once, and nothing of another organisation."""
    path = two.settings.access_path
    for number in range(3):
        Members(path).add("duo", f"{thing} {number}", Role.ADMIN, now=NOON)
        Tokens(path).create("duo", f"token {number}", now=NOON)
    header = as_role(two, "duo", Role.OWNER)
    as_role(two, "acme", Role.OWNER)
    seen: list[int] = []
    cursor: str | None = None
    while cursor or not seen:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/v1/{thing}", headers=header, params=params).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    of_duo: list[Any] = [m.id for m in Members(path).all() if m.org_id == "duo"]
    if thing == "tokens":
        of_duo = [t.id for t in Tokens(path).all() if t.org_id == "duo"]
    assert seen == sorted(of_duo)
    assert client.get(f"/v1/{thing}", headers=header, params={"limit": 101}).status_code == 422


@pytest.mark.parametrize("number", ["99999", "foreign", "0", "-1", "9" * 30, "x"])
@pytest.mark.parametrize("thing", ["members", "tokens"])
def test_what_is_of_others_is_not_there(
    client: Client, two: Two, owner: dict[str, str], thing: str, number: str
) -> None:
    """A number of another organisation is answered as one that there is not; no number breaks anything."""
    if number == "foreign":
        as_role(two, "duo", Role.ADMIN)
        members = Members(two.settings.access_path)
        last = [m.id for m in members.all() if m.org_id == "duo"] or [
            members.add("duo", "somebody", Role.ADMIN, now=NOON).id
        ]
        tokens = [t.id for t in Tokens(two.settings.access_path).all() if t.org_id == "duo"]
        number = str({"members": last, "tokens": tokens}[thing][0])
    expected = 404 if number.isdigit() and 0 < int(number) < 2**53 else None
    answer = client.delete(f"/v1/{thing}/{number}", headers=owner)
    assert answer.status_code == expected or (expected is None and answer.status_code in {404, 422})


@pytest.mark.parametrize("role", [Role.ADMIN, Role.ANALYST, Role.MEMBER])
def test_only_owners_manage(client: Client, two: Two, role: Role) -> None:
    """Neither lists nor changes are for others."""
    header = as_role(two, "acme", role, two.acme[0] if role is Role.MEMBER else None)
    new = {"members": {"subject": "x", "role": "member"}, "tokens": {"name": "x", "role": "member"}}
    for thing, body in new.items():
        body["user_id"] = two.acme[0]
        assert client.get(f"/v1/{thing}", headers=header).status_code == 403
        assert client.post(f"/v1/{thing}", headers=header, json=body).status_code == 403
        assert client.delete(f"/v1/{thing}/1", headers=header).status_code == 403
    assert client.patch("/v1/members/1", headers=header, json={"role": "owner"}).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"role": "analyst"},
        {"name": "", "role": "analyst"},
        {"name": " ", "role": "analyst"},
        {"name": "x" * 256, "role": "analyst"},
        {"name": "a\nb", "role": "analyst"},
        {"name": "a\n", "role": "analyst"},
        {"name": "x"},
        {"name": "x", "role": "boss"},
        {"name": "x", "role": "member"},
        {"name": "x", "role": "member", "user_id": "nobody"},
        {"name": "x", "role": "member", "user_id": "foreign"},
        {"name": "x", "role": "admin", "user_id": "ours"},
        {"name": "x", "role": "analyst", "org_id": "duo"},
        {"name": "x", "role": "analyst", "id": 1},
        {"name": 5, "role": "analyst"},
    ],
)
@pytest.mark.parametrize("thing", ["members", "tokens"])
def test_what_cannot_be_given(
    client: Client, two: Two, owner: dict[str, str], thing: str, body: dict[str, Any]
) -> None:
    """A role without sense, a user of others, another organisation: nothing is made, nothing quoted."""
    users = {"foreign": two.duo[0], "ours": two.acme[0]}
    given = {name: users.get(value, value) for name, value in body.items()}
    if thing == "members" and "name" in given:
        given["subject"] = given.pop("name")
    before = count(two)
    answer = client.post(f"/v1/{thing}", headers=owner, json=given)
    assert answer.status_code == 422
    assert two.duo[0] not in answer.text
    assert count(two) == before


def count(two: Two) -> tuple[int, int]:
    """How many members and tokens there are."""
    path = two.settings.access_path
    return len(Members(path).all()), len(Tokens(path).all())
