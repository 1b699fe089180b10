"""What holds for every request, whatever is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from litestar import get
from litestar.types import ControllerRouterHandler
from prometheus_client import generate_latest

from asleep_pipeline.access.roles import Permission, Role
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.service import app, edge
from asleep_pipeline.service.admission import NEEDS
from asleep_pipeline.service.app import build_service
from asleep_pipeline.service.limits import Buckets, TooMany, sender_of
from asleep_pipeline.service.watch import WATCH
from asleep_pipeline.settings import load_settings
from asleep_pipeline_tests.service.conftest import Client, Two, as_admin, as_role, serving

CANARY = "canary-7f3a9c51"


@contextmanager
def with_routes(two: Two, *routes: ControllerRouterHandler, **settings: Any) -> Iterator[Client]:
    """The API with more routes, and other settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "ROUTES", (*app.ROUTES, *routes))
        service = build_service(two.world.with_settings(**settings).platform.settings)
        with serving(service) as client:
            yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/me"),
        ("GET", "/nothing"),
        ("DELETE", "/v1/me"),
        ("GET", "/live"),
        ("HEAD", "/v1/me"),
        ("GET", "/schema/openapi.json"),
        ("GET", "/ai/v1/users"),
    ],
)
def test_every_answer_has_safe_headers(client: Client, method: str, path: str) -> None:
    """Nothing is sniffed, framed, referred to or kept for others, and the server is not named."""
    headers = client.request(method, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "Authorization" in headers["vary"]
    assert not {"server", "strict-transport-security", "access-control-allow-origin"} & set(headers)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", f"/v1/{CANARY}", 404),
        ("GET", f"/v2/me?{CANARY}", 404),
        ("DELETE", "/v1/me", 405),
        ("BREW", "/v1/me", 405),
        ("GET", "/v1/me", 401),
        ("GET", f"/v1/users/{CANARY}", 401),
    ],
)
def test_every_refusal_is_a_problem(client: Client, method: str, path: str, status: int) -> None:
    """In words that quote nothing of what was asked."""
    answer = client.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code == status
    assert CANARY not in answer.text
    assert ("allow" in answer.headers) is (status == 405)


def test_head_is_get_without_the_body(client: Client, two: Two) -> None:
    """The headers are the same."""
    header = as_admin(two, "acme")
    full, head = client.get("/v1/me", headers=header), client.head("/v1/me", headers=header)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == full.headers
    assert client.head("/v1/me", headers=header | {"if-none-match": "*"}).status_code == 304


def test_a_slash_at_the_end_makes_no_difference(client: Client, two: Two) -> None:
    """The answer is the same."""
    header = as_admin(two, "acme")
    assert (
        client.get("/v1/me/", headers=header).json() == client.get("/v1/me", headers=header).json()
    )


def test_options_tell_the_methods(client: Client) -> None:
    """To everybody, as the schema does."""
    assert client.options("/v1/users").headers["allow"] == "HEAD, GET, POST, OPTIONS"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 30_000, 400),
        (b'{"app_user_id":' + b"[" * 30_000, 400),
        (b'{"app_user_id":"a","metadata":' + b'{"a":' * 9_000, 400),
        (b'{"app_user_id":"a","%s":1}' % CANARY.encode(), 422),
        (b'{"app_user_id":"a","metadata":{"%s":1}}' % CANARY.encode(), 422),
        (b'{"app_user_id":"a","metadata":{"gender":"%s"}}' % CANARY.encode(), 422),
        (b'{"app_user_id":["%s"]}' % CANARY.encode(), 422),
        (b'"%s"' % CANARY.encode(), 422),
        (b"%s" % CANARY.encode(), 400),
        (b'{"app_user_id":"a","metadata":{"height":1e999}}', 400),
        (b"\xff\xfe", 400),
        (b"", 422),
        (b"x" * 65_537, 413),
    ],
)
def test_a_body_is_what_the_schema_says(client: Client, two: Two, body: bytes, status: int) -> None:
    """Else it is refused, in words that quote nothing of it."""
    headers = as_admin(two, "acme") | {"content-type": "application/json"}
    answer = client.post("/v1/users", content=body, headers=headers)
    assert answer.status_code == status
    assert CANARY not in answer.text


def test_a_body_without_a_length_is_limited_as_well(client: Client, two: Two) -> None:
    """It is not read to its end."""
    headers = as_admin(two, "acme") | {"content-type": "application/json"}
    answer = client.post("/v1/users", content=iter([b"[" * 40_000] * 2), headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/jsonx"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_a_body_is_plain_json(client: Client, two: Two, headers: dict[str, str]) -> None:
    """A web page cannot send it unasked."""
    answer = client.post("/v1/users", content=b"{}", headers=as_admin(two, "acme") | headers)
    assert answer.status_code == 415


def test_unknown_parameters_are_refused(client: Client, two: Two) -> None:
    """Who misspells a filter is not told of everything instead."""
    answer = client.get(f"/v1/users?{CANARY}=1", headers=as_admin(two, "acme"))
    assert answer.status_code == 422
    assert CANARY not in answer.text


@get("/test/failing", opt={NEEDS: Permission.OWN}, sync_to_thread=False)
def failing() -> None:
    """A route with a fault."""
    raise ValueError(CANARY)


def test_a_failure_has_an_id_that_is_in_the_log(two: Two) -> None:
    """And neither tells what the exception said."""
    with with_routes(two, failing) as client, structlog.testing.capture_logs() as lines:
        answer = client.get("/v1/test/failing", headers=as_admin(two, "acme"))
    assert answer.status_code == 500
    (line,) = (line for line in lines if line["event"] == "request_failed")
    assert line["error_id"] == answer.json()["error_id"]
    assert (line["kind"], line["route"]) == ("ValueError", "/v1/test/failing")
    assert CANARY not in answer.text + str(lines)


def test_a_request_leaves_one_line_and_no_trace_of_a_user(client: Client, two: Two) -> None:
    """Its route, status, time and who asks; no id, query, body or token."""
    user_id = two.acme[0]
    header = as_role(two, "acme", Role.MEMBER, user_id)
    with structlog.testing.capture_logs() as lines:
        client.get(f"/v1/users/{user_id}?{CANARY}=1", headers=header)
    (line,) = lines
    assert line.keys() == {
        "event", "log_level", "method", "ms", "organisation", "route", "status", "subject",
    }  # fmt: skip
    assert (line["route"], line["status"], line["organisation"]) == (
        "/v1/users/{user_id}",
        422,
        "acme",
    )
    told = str(lines) + generate_latest(client.app.state[WATCH].registry).decode()
    token = header["authorization"].removeprefix("Bearer ")
    assert not any(word in told for word in (user_id, CANARY, token))


def test_requests_are_counted_by_route(client: Client) -> None:
    """Unknown routes and methods together, so that nobody can make up labels."""
    for method, path in (("GET", f"/{CANARY}"), ("BREW", "/v1/me"), ("GET", "/live")):
        client.request(method, path)
    told = generate_latest(client.app.state[WATCH].registry).decode()
    assert 'asleep_api_requests_total{method="GET",route="/live",status="200"}' in told
    assert 'asleep_api_requests_total{method="other",route="other",status="404"}' in told
    assert 'asleep_api_answer_seconds_bucket{le="0.01",method="GET",route="/live"}' in told
    assert "BREW" not in told


def test_an_organisation_that_asks_too_often_is_told_when_to_come_back(two: Two) -> None:
    """Others are served meanwhile, whoever of them asks."""
    with with_routes(two, api_requests_per_second=2) as client:
        acme, other = as_admin(two, "acme"), as_admin(two, "acme")
        answers = [client.get("/v1/me", headers=who) for who in (acme, other) * 4]
        late = [answer for answer in answers if answer.status_code == 429]
        assert late
        assert {answer.headers["retry-after"] for answer in late} == {"1"}
        assert client.get("/v1/me", headers=as_admin(two, "duo")).status_code == 200


def test_strangers_who_try_too_often_keep_nobody_out(two: Two) -> None:
    """Behind a proxy all come from one address."""
    with with_routes(two) as client:
        wrong = {"authorization": "Bearer " + "x" * 40}
        answers = [client.get("/v1/me", headers=wrong).status_code for _ in range(60)]
        assert {401, 429} == set(answers)
        assert client.get("/v1/me", headers=as_admin(two, "acme")).status_code == 200


def test_a_bucket_fills_again() -> None:
    """A token at a time."""
    now_ms = 0
    buckets = Buckets(4, clock=lambda: now_ms)
    for _ in range(4):
        buckets.take("a")
    with pytest.raises(TooMany):
        buckets.take("a")
    now_ms = 250
    buckets.take("a")
    with pytest.raises(TooMany):
        buckets.take("a")


def test_buckets_know_the_last_names_only() -> None:
    """So many addresses cost no memory."""
    buckets = Buckets(1, most_names=3, clock=lambda: 0)
    for name in "abcdefg":
        buckets.take(name)
    assert list(buckets._states) == ["e", "f", "g"]


@pytest.mark.parametrize(
    ("client_address", "expected"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("2001:db8:1:2:3::4", 1), "2001:db8:1:2::/64"),
        (("a-name", 1), ""),
        (None, ""),
    ],
)
def test_a_sender_is_an_address_or_a_network(
    client_address: tuple[str, int] | None, expected: str
) -> None:
    """One customer has 2^64 addresses of IPv6."""
    assert sender_of(client_address) == expected


def test_what_takes_too_long_ends(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 503, while others are answered."""
    is_over = threading.Event()

    @get("/test/slow", opt={NEEDS: Permission.OWN}, sync_to_thread=True)
    def slow() -> None:
        is_over.wait(30)

    monkeypatch.setattr(edge, "SLOWEST_S", 0.2)
    with with_routes(two, slow) as client:
        answer = client.get("/v1/test/slow", headers=as_admin(two, "acme"))
        is_over.set()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


ORIGIN = "https://app.example.com"


def test_pages_of_other_origins_may_not_read(two: Two) -> None:
    """Those that the setting names may, without cookies."""
    header = as_admin(two, "acme")
    with with_routes(two, cors_origins=(ORIGIN,)) as client:
        allowed = client.get("/v1/me", headers=header | {"origin": ORIGIN}).headers
        assert allowed["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in allowed
        assert {"Origin", "Authorization"} <= set(allowed["vary"].split(","))
        other = client.get("/v1/me", headers=header | {"origin": f"{ORIGIN}.evil.example"}).headers
        assert "access-control-allow-origin" not in other
        asked = {"origin": ORIGIN, "access-control-request-method": "PATCH"}
        assert client.options("/v1/me", headers=asked).status_code == 204


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example.com", "http://app.example.com", "https://a/b", "null", "x"]
)
def test_an_origin_is_one_safe_origin(origin: str) -> None:
    """No wildcards, and nothing that crosses the network readable."""
    with pytest.raises(ConfigurationError):
        load_settings(cors_origins=(origin,))
