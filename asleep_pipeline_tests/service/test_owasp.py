"""The OWASP API Security Top 10 of 2023, tried on every route.

Whose things, and which functions, a caller may reach (API1, API5) is `test_matrix`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from httpx import Response

from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.service.admission import DOOR
from asleep_pipeline.service.limits import Buckets
from asleep_pipeline_tests.service.surface import (
    CONSTANT,
    Callers,
    Json,
    Operation,
    everybody,
    operations,
)
from asleep_pipeline_tests.small_world import NOON

NOT_OURS: Final = (
    "org_id",
    "organisation",
    "id",
    "created_at",
    "revoked_at",
    "is_admin",
    "__proto__",
)
"""What nobody may set who sends a body."""
SECRETS: Final = {"hash", "secret", "api_key", "password", "token"}
TRICKS: Final = ("..%2f..%2fv1%2fusers", "%2e%2e", "a%00b", "a%0d%0ax-user-id: b", "%ff", "x" * 300)


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    """Two organisations, and all who may ask."""
    with everybody(tmp_path_factory.mktemp("attacked") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def routes(callers: Callers) -> list[Operation]:
    """Every operation that asks for a permission."""
    return [each for each in operations(callers.client.app) if each.needs]


def bad_credentials(callers: Callers) -> Iterator[Mapping[str, str]]:
    """Headers that let nobody in."""
    tokens = Tokens(callers.two.settings.access_path)
    revoked, secret = tokens.create("acme", "revoked", now=NOON)
    tokens.revoke(revoked.id, now=NOON)
    good = callers.headers[Role.OWNER]["authorization"]
    for said in (
        f"Bearer {secret}",
        good[:-1],
        f"{good}x",
        good.upper(),
        good.removeprefix("Bearer "),
    ):
        yield {"authorization": said}
    yield {"authorization": f"Basic {good.removeprefix('Bearer ')}"}
    yield {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiYXVkIjoiYiJ9."}
    yield {"x-api-key": good.removeprefix("Bearer ")}
    yield {"cookie": f"authorization={good}"}


def test_what_is_no_credential_opens_no_route(callers: Callers, routes: list[Operation]) -> None:
    """API2: revoked, cut, unsigned or in another place, it is answered 401 by every route."""
    for number, bad in enumerate(bad_credentials(callers)):
        for operation in routes:
            # What SDKs ask bears the credential where they have room for a key.
            if "x-api-key" not in bad or operation.path.startswith("/v1"):
                answer = asked(callers, operation, headers=bad)
                assert answer.status_code == 401, (operation, number)


def test_nobody_sets_what_is_not_asked_for(callers: Callers, routes: list[Operation]) -> None:
    """API3: a body with one field too many is refused, wherever the field is."""
    tried = 0
    for operation in with_body(routes):
        for name in NOT_OURS:
            for body in widened(operation.example or {}, name):
                answer = asked(callers, operation, json=body)
                assert answer.status_code == 422, (operation, name, answer.text)
                tried += 1
    assert tried >= 7 * len(NOT_OURS)


def test_answers_hold_no_secret(callers: Callers, routes: list[Operation]) -> None:
    """API3: of credentials and keys nothing is told, but a new token to who has it made."""
    for operation in routes:
        if operation.described and not operation.ends_something:
            answer = callers.ask(Role.OWNER, operation)
            names = (
                set(names_in(answer.json())) if "json" in answer.headers["content-type"] else set()
            )
            allowed = {"token"} if str(operation) == "POST /v1/tokens" else set()
            assert names & SECRETS <= allowed, operation


def test_nothing_is_boundless(callers: Callers, routes: list[Operation]) -> None:
    """API4: long bodies, deep ones, long pages and long periods are refused by every route that takes them."""
    for operation in with_body(routes):
        deep = b'{"a":' * 30_000 + b"1" + b"}" * 30_000
        for content, status in (
            (b'"' + b"x" * 70_000 + b'"', 413),
            (deep, 413),
            (deep[:50_000], 400),
        ):
            answer = asked(callers, operation, json=None, content=content, kind="application/json")
            assert answer.status_code == status, (operation, answer.text)
    for operation in routes:
        for name, value in too_much(operation):
            answer = asked(callers, operation, params=operation.query | {name: value})
            assert answer.status_code == 422, (operation, name, answer.text)


def test_every_route_counts_what_is_asked(callers: Callers, routes: list[Operation]) -> None:
    """API4, API6: none can be asked as often as one likes; who exceeds it is told when to come back."""
    door = callers.client.app.state[DOOR]
    try:
        for operation in routes:
            door.requests = Buckets(1, clock=lambda: 0)
            callers.client.get("/v1/me", headers=callers.headers[Role.OWNER])
            answer = asked(callers, operation)
            assert answer.status_code == 429, operation
            assert int(answer.headers["retry-after"]) >= 1, operation
    finally:
        door.requests = Buckets(1_000_000)


def test_no_other_method_is_served(callers: Callers, routes: list[Operation]) -> None:
    """API5, API8: a path answers to the methods that it is described with, and to none besides."""
    served: dict[str, set[str]] = {}
    for operation in routes:
        served.setdefault(operation.path, {"HEAD", "OPTIONS"}).add(operation.method)
    for operation in routes:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - served[operation.path]:
            answer = asked(callers, operation, method=method)
            assert answer.status_code in {404, 405}, (operation, method)


def test_no_address_comes_from_a_caller(routes: list[Operation]) -> None:
    """API7: there is no place for a URL in what may be sent."""
    for operation in routes:
        if operation.described:
            said = str([operation.described.get("parameters"), operation.example]).lower()
            assert [word for word in ("http", "uri", "url", "callback") if word in said] == [], (
                operation
            )


def test_ids_lead_nowhere_else(callers: Callers, routes: list[Operation]) -> None:
    """API7: whatever stands in the place of an id, Asleep is asked for a session of that id at most."""
    before = dict(callers.two.world.sim.requests)
    for operation in routes:
        for name in operation.ids if operation.described else ():
            for trick in TRICKS:
                answer = asked(callers, operation, url=tricked(callers, operation, name, trick))
                assert answer.status_code in {400, 404, 405, 422}, (operation, trick, answer.text)
    sessions = {"get_session": 0, "delete_session": 0}
    assert dict(callers.two.world.sim.requests) | sessions == before | sessions


def test_answers_are_safe_to_keep_and_show(callers: Callers, routes: list[Operation]) -> None:
    """API8: each has the headers that browsers go by, none may be kept by others or read by other pages."""
    page = {"origin": "https://elsewhere.example"}
    for operation in routes:
        if operation.ends_something:
            continue
        headers = asked(callers, operation, headers=callers.headers[Role.OWNER] | page).headers
        assert headers["x-content-type-options"] == "nosniff", operation
        assert "default-src 'none'" in headers["content-security-policy"], operation
        assert "access-control-allow-origin" not in headers, operation
        assert "server" not in headers, operation
        if operation.method == "GET" and operation.described:
            assert "private" in headers["cache-control"], operation


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics",
        "/debug",
        "/docs",
        "/schema/swagger",
        "/schema/redoc",
        "/v1",
        "/v2/me",
        "/.env",
    ],
)
def test_there_is_nothing_beside_what_is_described(callers: Callers, path: str) -> None:
    """API9: no page for developers, no figures, no other version."""
    assert callers.client.get(path, headers=callers.headers[Role.OWNER]).status_code == 404


@pytest.mark.parametrize("fault", ["plan_expired", "key_revoked", "truncated_share", "reset_share"])
def test_what_asleep_says_is_not_trusted(
    callers: Callers, routes: list[Operation], fault: str
) -> None:
    """API10: when Asleep refuses, breaks off or hangs up, the answer is ours and as it is described."""
    faults = callers.two.world.sim.faults
    requests = [(each, callers.request(Role.OWNER, each)) for each in routes]
    setattr(faults, fault, True)
    try:
        answers = [(each, callers.client.request(**request)) for each, request in requests]
    finally:
        setattr(faults, fault, False)
    for operation, answer in answers:
        assert answer.status_code < 500 or answer.status_code in {502, 503}, operation
        if operation.described:
            assert str(answer.status_code) in operation.described["responses"], operation
            assert "Plan is expired" not in answer.text, operation
    assert {answer.status_code for _, answer in answers} & {502, 503}


def asked(callers: Callers, operation: Operation, **changed: Any) -> Response:
    """Ask as an owner about things that stay, with something changed."""
    request = callers.request(Role.OWNER, operation, dict.fromkeys(operation.ids, "own"))
    named = {name: value for name, value in request["headers"].items() if name == "x-user-id"}
    if "headers" in changed:
        changed["headers"] = named | changed["headers"]
    if "kind" in changed:
        changed["headers"] = request["headers"] | {"content-type": changed.pop("kind")}
    return callers.client.request(**(request | changed))


def tricked(callers: Callers, operation: Operation, name: str, trick: str) -> str:
    """The path with something else in the place of an id."""
    values = callers.own | CONSTANT | {name: trick}
    return operation.path.format(**values)


def with_body(routes: list[Operation]) -> list[Operation]:
    """Those that take one."""
    return [each for each in routes if each.example is not None]


def widened(body: Json, name: str) -> Iterator[Json]:
    """A body with one field more, in each of its objects."""
    yield body | {name: "acme"}
    for key, inner in body.items():
        if isinstance(inner, dict):
            for each in widened(inner, name):
                yield body | {key: each}


def names_in(said: Any) -> Iterator[str]:
    """Every name in an answer."""
    for value in (
        said.values() if isinstance(said, dict) else said if isinstance(said, list) else ()
    ):
        yield from names_in(value)
    if isinstance(said, dict):
        yield from said


def too_much(operation: Operation) -> Iterator[tuple[str, str]]:
    """Parameters with values that ask for more than there may be."""
    names = {each["name"] for each in (operation.described or {}).get("parameters", [])}
    if "limit" in names:
        yield "limit", "101"
        yield "limit", "99999999999999999999"
    if "cursor" in names:
        yield "cursor", "x" * 2_000
    if {"from", "to"} <= set(operation.query):
        yield "from", "1800-01-01"
