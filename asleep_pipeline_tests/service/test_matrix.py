"""Every route, asked by everybody about their own things, those of others, and those of nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from httpx import Response

from asleep_pipeline.access.roles import Role
from asleep_pipeline_tests.service.surface import (
    NOBODY,
    STRANGER,
    Callers,
    Operation,
    everybody,
    operations,
)

ROLES = [role.value for role in Role]


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    """Two organisations, and all who may ask."""
    with everybody(tmp_path_factory.mktemp("everybody") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def routes(callers: Callers) -> list[Operation]:
    """Every operation that asks for a permission."""
    return [each for each in operations(callers.client.app) if each.needs]


def test_every_route_asks_for_a_permission(callers: Callers) -> None:
    """But for what machines ask to know whether it lives."""
    open_to_all = [str(each) for each in operations(callers.client.app) if not each.needs]
    assert open_to_all == ["GET /live", "GET /ready"]


def test_every_route_is_described_or_passed_on(routes: list[Operation]) -> None:
    """There is nothing that OpenAPI does not tell of, beside what belongs to Asleep."""
    assert [str(each) for each in routes if not each.described and not each.is_passed_on] == []


def test_who_is_unknown_gets_nowhere(callers: Callers, routes: list[Operation]) -> None:
    """Without a credential every route answers 401, and says how to ask."""
    for operation in routes:
        answer = callers.ask(NOBODY, operation)
        assert answer.status_code == 401, operation
        assert answer.headers["www-authenticate"].startswith("Bearer"), operation


@pytest.mark.parametrize("role", ROLES)
def test_own_things_are_for_roles_that_may(
    callers: Callers, routes: list[Operation], role: str
) -> None:
    """Each route answers those roles that its permission names, and refuses all others."""
    wrong = []
    for operation in routes:
        answer = callers.ask(role, operation)
        if not _is_right(answer, operation, _refusal(callers, role, operation)):
            wrong.append(f"{operation}: {answer.status_code} {answer.text}")
        _check_is_safe(callers, answer, operation)
    assert not wrong


@pytest.mark.parametrize("role", ROLES)
def test_what_is_of_others_is_unknown(callers: Callers, routes: list[Operation], role: str) -> None:
    """Another organisation's id is answered as one that nobody has, by every route that takes ids."""
    wrong = []
    for operation in routes:
        for name in operation.ids:
            foreign = callers.ask(role, operation, {name: "foreign"})
            unknown = callers.ask(role, operation, {name: "unknown"})
            is_refused = operation.is_passed_on or foreign.status_code in {403, 404}
            if _told(foreign) != _told(unknown) or not is_refused:
                wrong.append(f"{operation} {name}: {foreign.text} != {unknown.text}")
            _check_is_safe(callers, foreign, operation)
    assert not wrong


def test_a_credential_is_good_for_its_organisation_alone(
    callers: Callers, routes: list[Operation]
) -> None:
    """Who owns one organisation is told of a thing of another what they are told of nothing."""
    for operation in routes:
        for name in operation.ids:
            own = callers.ask(STRANGER, operation)
            unknown = callers.ask(STRANGER, operation, dict.fromkeys(operation.ids, "unknown"))
            assert _told(own) == _told(unknown), (operation, name)
            assert own.status_code == 404, operation


@pytest.mark.parametrize("role", ["analyst", "member"])
def test_colleagues_are_unknown_to_who_may_not_see_people(
    callers: Callers, routes: list[Operation], role: str
) -> None:
    """Whoever sees no rows of people, or only their own, cannot find out who else there is."""
    colleague = callers.two.acme[1]
    for operation in routes:
        if "user_id" in operation.ids:
            answer = callers.ask_about(role, operation, colleague)
            unknown = callers.ask(role, operation, {"user_id": "unknown"})
            assert answer.status_code == 404, operation
            assert _told(answer) == _told(unknown), operation


def _refusal(callers: Callers, role: str, operation: Operation) -> int | None:
    assert operation.needs
    if "user_id" in operation.ids and not callers.may_see_me(role):
        return 404
    return None if callers.may(role, operation.needs) else 403


def _is_right(answer: Response, operation: Operation, refusal: int | None) -> bool:
    if refusal is not None:
        return answer.status_code == refusal
    # What Asleep makes of a request that is passed on is its own.
    return answer.is_success or (operation.is_passed_on and answer.status_code < 500)


def _told(answer: Response) -> tuple[int, object]:
    body = answer.json()
    body.pop("error_id", None)
    return answer.status_code, body


def _check_is_safe(callers: Callers, answer: Response, operation: Operation) -> None:
    assert answer.status_code < 500, (operation, answer.text)
    said = f"{answer.text}\n{answer.headers}"
    assert [secret for secret in callers.secrets if secret in said] == [], operation
