"""What requests leave in the audit log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar, delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.testing import TestClient

from asleep_pipeline.access.roles import Permission, Role
from asleep_pipeline.privacy.audit import Action, Asked, AuditLog, Entry
from asleep_pipeline.service import app
from asleep_pipeline.service.admission import NEEDS
from asleep_pipeline.service.auditing import AUDIT_LOG, action_of
from asleep_pipeline_tests.service.conftest import Client, Two, as_admin, as_role

_PERSONAL = {Permission.PEOPLE, Permission.MANAGE}
_PATH = "/users/{user_id:str}"


@get(_PATH, opt={NEEDS: Permission.OWN}, sync_to_thread=False)
def read(user_id: FromPath[str]) -> str:
    """Shows something of a user."""
    return user_id


@delete(_PATH, opt={NEEDS: Permission.PEOPLE}, sync_to_thread=False)
def remove(user_id: FromPath[str]) -> None:
    """Fails on the way."""
    raise RuntimeError(user_id)


@pytest.fixture(scope="module")
def audited(two: Two) -> Iterator[Client]:
    """The API, with two routes about a user instead of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "ROUTES", (read, remove))
        service = app.build_service(two.settings)
    litestar: Litestar = service
    with TestClient(litestar, raise_server_exceptions=False) as made:
        yield made


def noted(client: Client) -> list[Entry]:
    """The entries, the newest first."""
    return log_of(client.app).entries(Asked())


def log_of(service: Litestar) -> AuditLog:
    """The log of an application."""
    log = service.state[AUDIT_LOG]
    assert isinstance(log, AuditLog)
    return log


def test_an_access_is_noted_before_the_answer(audited: Client, two: Two) -> None:
    """Who, whose organisation, about whom, by which route; the path's values are not there."""
    assert audited.get(f"/v1/users/{two.acme[0]}", headers=as_admin(two, "acme")).is_success
    entry = noted(audited)[0]
    assert (entry.org_id, entry.action, entry.actor[:6]) == ("acme", "read", "token:")
    assert entry.about == log_of(audited.app).about(two.acme[0])
    assert entry.details == {"what": "GET /v1/users/{user_id}", "status": 200}


def test_what_is_refused_is_noted(audited: Client, two: Two) -> None:
    """Somebody who tries the ids of others is seen."""
    assert audited.get(f"/v1/users/{two.duo[0]}", headers=as_admin(two, "acme")).status_code == 404
    entry = noted(audited)[0]
    assert (entry.org_id, entry.details["status"]) == ("acme", 404)
    assert entry.about == log_of(audited.app).about(two.duo[0])


def test_strangers_are_not_noted(audited: Client, two: Two) -> None:
    """Nobody is known who did it, and anybody could fill the disk."""
    before = len(noted(audited))
    assert audited.get(f"/v1/users/{two.duo[0]}").status_code == 401
    assert len(noted(audited)) == before


def test_a_change_is_noted_before_it_begins(audited: Client, two: Two) -> None:
    """However it ends; here it fails."""
    answer = audited.delete(f"/v1/users/{two.acme[0]}", headers=as_admin(two, "acme"))
    assert answer.status_code == 500
    assert [entry.details for entry in noted(audited)[:2]] == [
        {"what": "DELETE /v1/users/{user_id}", "status": 500},
        {"what": "DELETE /v1/users/{user_id}", "phase": "begins"},
    ]


def test_what_cannot_be_noted_is_not_shown(
    audited: Client, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is a problem in place of the rows."""
    unusable = AuditLog(two.settings.data_dir, two.settings.secret_path)
    monkeypatch.setitem(audited.app.state._state, AUDIT_LOG, unusable)
    answer = audited.get(f"/v1/users/{two.acme[0]}", headers=as_admin(two, "acme"))
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert two.acme[0] not in answer.text


def test_every_personal_route_is_noted(client: Client) -> None:
    """A route of people, of an organisation's management or about a user has an action."""
    handlers = [
        handler
        for route in client.app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler) and NEEDS in handler.opt
    ]
    assert handlers
    silent = [
        (method, path)
        for handler in handlers
        for method in handler.http_methods
        for path in handler.paths
        if (handler.opt[NEEDS] in _PERSONAL or "user_id" in path)
        if not isinstance(action_of(handler, method), Action)
    ]
    assert silent == []


def test_the_log_is_read_page_by_page(audited: Client, two: Two) -> None:
    """Those who manage see their organisation's entries, the newest first, by user and time."""
    for _ in range(3):
        audited.get(f"/v1/users/{two.acme[1]}", headers=as_admin(two, "acme"))
    owner = as_role(two, "acme", Role.OWNER)
    query: dict[str, str | int] = {
        "limit": 2,
        "user_id": two.acme[1],
        "since": "2020-01-01T00:00:00Z",
    }
    with TestClient(app.build_service(two.settings)) as reader:
        first = reader.get("/v1/audit", params=query, headers=owner).json()
        rest = reader.get(
            "/v1/audit", params=query | {"cursor": first["next_cursor"]}, headers=owner
        ).json()
        assert [len(first["items"]), len(rest["items"])] == [2, 1]
        assert rest["next_cursor"] is None
        entries = first["items"] + rest["items"]
        assert {(e["action"], e["what"], e["status"]) for e in entries} == {
            ("read", "GET /v1/users/{user_id}", 200)
        }
        assert reader.get("/v1/audit", headers=owner).json()["items"][0]["what"] == "GET /v1/audit"
        nobody = reader.get(
            "/v1/audit", params={"user_id": two.acme[1]}, headers=as_role(two, "duo", Role.OWNER)
        )
        assert nobody.json()["items"] == []
        assert reader.get("/v1/audit", headers=as_admin(two, "acme")).status_code == 403


def test_questions_of_analysts_are_noted_without_their_words(client: Client, two: Two) -> None:
    """A query may name whom it looks for, so that a keyed hash of it stands in the log."""
    sql = f"SELECT count(*) FROM nights WHERE person = '{two.acme[0]}'"
    headers = as_role(two, "acme", Role.ANALYST)
    assert client.post("/v1/query", json={"sql": sql}, headers=headers).is_success
    entry = noted(client)[0]
    assert (entry.action, entry.about) == ("query", None)
    assert entry.details["sql"] == log_of(client.app).fingerprint(sql)
    assert two.acme[0] not in str(entry)
