"""Answers have tags, and whoever has an answer is not sent it again."""

from __future__ import annotations

import pytest

from asleep_pipeline_tests.service.conftest import Client, Two, as_admin


def test_every_answer_has_a_strong_tag(client: Client, two: Two) -> None:
    """Of its body; and it belongs to its reader alone."""
    header = as_admin(two, "acme")
    first, second = client.get("/v1/me", headers=header), client.get("/v1/me", headers=header)
    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["etag"].startswith('"')
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Authorization"


@pytest.mark.parametrize("shown", ["{}", "W/{}", '"other", {}', "*"])
def test_whoever_has_it_gets_304(client: Client, two: Two, shown: str) -> None:
    """However the tag is shown."""
    header = as_admin(two, "acme")
    tag = client.get("/v1/me", headers=header).headers["etag"]
    answer = client.get("/v1/me", headers=header | {"if-none-match": shown.format(tag)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("shown", ['"other"', "", "garbage", '"' * 99])
def test_whoever_has_another_gets_it(client: Client, two: Two, shown: str) -> None:
    """A tag that is not its own changes nothing."""
    answer = client.get("/v1/me", headers=as_admin(two, "acme") | {"if-none-match": shown})
    assert answer.status_code == 200


def test_a_stranger_gets_no_304(client: Client) -> None:
    """Nothing is told before it is known who asks, and a refusal has no tag."""
    answer = client.get("/v1/me", headers={"if-none-match": "*"})
    assert answer.status_code == 401
    assert "etag" not in answer.headers
