"""Who is let in."""

from __future__ import annotations

from asleep_pipeline_tests.service.conftest import Client, Two, as_admin


def test_a_token_tells_who_asks(client: Client, two: Two) -> None:
    """Its organisation is all that it opens."""
    answer = client.get("/v1/me", headers=as_admin(two, "acme"))
    assert answer.json() == {"org_id": "acme", "role": "admin", "user_id": None}


def test_strangers_get_a_problem(client: Client) -> None:
    """As RFC 9457 has it, with how to ask."""
    answer = client.get("/v1/me")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"].startswith("Bearer")
