"""Refusals carry the exact status and body of the contract."""

from __future__ import annotations

from typing import Any

import pytest

USER = "G-20200101000000-aaaaaaaaaaaaaaaaaaaa"
SESSION = "20260401000000_aaaaa"


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", f"/ai/v1/users/{USER}", 404, "user does not exist"),
        ("DELETE", f"/ai/v1/users/{USER}", 404, "user does not exist"),
        ("DELETE", "/ai/v1/users/nonsense", 401, "user_id is invalid"),
        ("GET", "/data/v1/sessions", 404, "user does not exist"),
        ("GET", f"/data/v3/sessions/{SESSION}", 404, "user does not exist"),
        ("DELETE", "/ai/v1/sessions", 404, "user does not exist"),
        ("DELETE", f"/ai/v1/sessions/{SESSION}", 404, "user does not exist"),
        (
            "GET",
            f"/data/v1/users/{USER}/average-stats?start_date=2026-04-01&end_date=2026-04-02",
            404,
            f"Unable to find the user of id {USER}",
        ),
    ],
)
def test_an_unknown_user_is_refused(
    api: Any, method: str, path: str, status: int, detail: str
) -> None:
    """Each endpoint in its own words."""
    answer = api.client.request(method, path, headers={"x-user-id": USER})
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


def test_updating_an_unknown_user_is_refused(api: Any) -> None:
    """In other words than the rest."""
    answer = api.client.put(f"/ai/v1/users/{USER}", json={"metadata": None})
    assert (answer.status_code, answer.json()) == (404, {"detail": "user not exist"})


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/data/v1/sessions", 400, "The format of x-user-id is invalid"),
        ("GET", f"/data/v3/sessions/{SESSION}", 400, "The format of x-user-id is invalid"),
        ("DELETE", "/ai/v1/sessions", 401, "x-user-id is invalid"),
        ("DELETE", f"/ai/v1/sessions/{SESSION}", 401, "x-user-id is invalid"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"x-user-id": "nonsense"}])
def test_a_malformed_user_header_is_refused(  # noqa: PLR0917 - pytest passes by name
    api: Any, method: str, path: str, status: int, detail: str, headers: dict[str, str]
) -> None:
    """Missing or malformed is the same."""
    answer = api.client.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


@pytest.mark.parametrize("key", ["wrong", ""])
def test_a_wrong_key_is_refused(api: Any, person: Any, key: str) -> None:
    """Before anything else is looked at."""
    answer = api.client.get(f"/ai/v1/users/{person.user_id}", headers={"x-api-key": key})
    assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})


def test_a_missing_key_is_refused(api: Any) -> None:
    """Also on paths that do not exist."""
    del api.client.headers["x-api-key"]
    assert api.client.get("/nowhere").json() == {"detail": "Unauthorized"}


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Asia"])
def test_a_bad_zone_is_refused(api: Any, person: Any, zone: str) -> None:
    """On all three endpoints that read the header."""
    paths = ("/data/v1/sessions", f"/data/v3/sessions/{SESSION}")
    average = f"/data/v1/users/{person.user_id}/average-stats"
    answers = [api.get(path, person.user_id, zone) for path in paths]
    answers.append(api.get(average, "", zone, start_date="2026-04-01", end_date="2026-04-02"))
    for answer in answers:
        expected = {"detail": "The invalid timezone is provided"}
        assert (answer.status_code, answer.json()) == (400, expected)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 101},
        {"limit": -1},
        {"limit": "many"},
        {"offset": -1},
        {"order_by": "UP"},
        {"date_gte": "2026-02-30"},
        {"date_lte": "yesterday"},
    ],
)
def test_a_bad_query_is_refused(api: Any, person: Any, query: dict[str, Any]) -> None:
    """422, naming the parameter."""
    answer = api.get("/data/v1/sessions", person.user_id, **query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", next(iter(query))]


@pytest.mark.parametrize(
    ("session_id", "status", "start"),
    [
        ("yesterday", 400, "The format of sleep session id"),
        ("20260401000000", 404, "session does not exist"),
        ("20269901000000_abcde", 404, "session does not exist"),
        (SESSION, 404, "session does not exist"),
    ],
)
def test_a_bad_session_id_is_refused(
    api: Any, person: Any, session_id: str, status: int, start: str
) -> None:
    """Malformed and unknown ids differ."""
    answer = api.get(f"/data/v3/sessions/{session_id}", person.user_id)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(start)


def test_an_average_needs_both_dates(api: Any, person: Any) -> None:
    """422 without an end."""
    path = f"/data/v1/users/{person.user_id}/average-stats"
    assert api.get(path, start_date="2026-01-01").status_code == 422
    assert api.get(path, start_date="2026-01-02", end_date="2026-01-01").status_code == 422


def test_a_long_period_is_refused(api: Any, person: Any) -> None:
    """100 days apart is the most."""
    path = f"/data/v1/users/{person.user_id}/average-stats"
    widest = api.get(path, start_date="2026-01-01", end_date="2026-04-11")
    wider = api.get(path, start_date="2026-01-01", end_date="2026-04-12")
    assert widest.status_code == 200
    assert wider.status_code == 400
    assert wider.json() == {"detail": "The period should be less than or equal to 100 days"}
