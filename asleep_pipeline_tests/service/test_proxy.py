"""What SDKs ask is passed on with the organisation's key, and nothing else is."""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from asleep_pipeline.access.roles import Role
from asleep_pipeline.service.serving import running
from asleep_pipeline_tests.service.conftest import Two, as_admin, as_role
from asleep_pipeline_tests.service.upstreams import Answering, Upstream, upstream, whole
from asleep_pipeline_tests.service.wire import PATIENCE_S, Reply, ask, connected

Ask = Callable[..., Reply]

LISTED = '{"detail": "OK", "result": {"timezone": "UTC", "sleep_session_list": []}}'
SESSIONS = "/data/v1/sessions"
UPLOAD = "/ai/v1/sessions/20260501220000_aaaaa"
_OK = whole("200 OK", LISTED.encode(), "content-type: application/json")


@pytest.fixture(scope="module")
def site(two: Two) -> Iterator[str]:
    """The API before the simulator."""
    with running(two.settings) as service:
        yield service.base_url


@pytest.fixture(scope="module")
def hostile(two: Two) -> Iterator[tuple[str, Upstream]]:
    """The API before a server that a test makes answer as it likes."""
    with ExitStack() as stack:
        made = stack.enter_context(upstream(_OK))
        world = two.world.with_settings(base_url=made.base_url, proxy_upload_bytes=9 * 1024 * 1024)
        yield stack.enter_context(running(world.platform.settings)).base_url, made


@contextmanager
def answering(made: Upstream, how: Answering) -> Iterator[None]:
    """Let a server answer in a certain way for a while."""
    made.answering = how
    made.heads.clear()
    try:
        yield
    finally:
        made.answering = _OK


def head(path: str, headers: Mapping[str, str]) -> bytes:
    """The first lines of an upload."""
    lines = [f"POST {path} HTTP/1.1", "host: api", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    ends_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def about(header: Mapping[str, str], user_id: str) -> dict[str, str]:
    """The headers of whoever asks about a user."""
    return {**header, "x-user-id": user_id}


def test_a_phone_reads_its_nights_without_the_key(site: str, two: Two) -> None:
    """The answer is Asleep's own."""
    member = as_role(two, "acme", Role.MEMBER, two.acme[0])
    listed = ask(site, "GET", f"{SESSIONS}?limit=2", about(member, two.acme[0]))
    assert listed.status == 200
    (first, _) = listed.said["result"]["sleep_session_list"]
    night = ask(site, "GET", f"/data/v3/sessions/{first['session_id']}", about(member, two.acme[0]))
    assert night.said["result"]["session"]["id"] == first["session_id"]
    period = "start_date=2026-04-20&end_date=2026-04-30"
    mean = ask(site, "GET", f"/data/v1/users/{two.acme[0]}/average-stats?{period}", member)
    assert mean.said["result"]["period"]["end_date"] == "2026-04-30"


def test_an_sdk_shows_a_credential_as_its_key(hostile: tuple[str, Upstream], two: Two) -> None:
    """On these routes alone, and it does not travel on."""
    url, made = hostile
    header = as_role(two, "acme", Role.MEMBER, two.acme[0])
    token = header["authorization"].removeprefix("Bearer ")
    with answering(made, _OK):
        headers = {"x-api-key": token, "x-user-id": two.acme[0]}
        assert ask(url, "GET", SESSIONS, headers).status == 200
        assert made.last["x-api-key"] == two.world.sim.api_key
        assert token not in str(made.heads)
        twice = [*headers.items(), ("x-api-key", token)]
        assert ask(url, "GET", SESSIONS, twice).status == 401
        assert ask(url, "GET", "/v1/me", headers).status == 401


def test_a_foreign_user_is_an_unknown_one(hostile: tuple[str, Upstream], two: Two) -> None:
    """Named by the header or the path, and Asleep is not asked."""
    url, made = hostile
    member = as_role(two, "acme", Role.MEMBER, two.acme[0])
    others = (two.acme[1], two.duo[0], "nobody")
    with answering(made, _OK):
        answers = [ask(url, "GET", SESSIONS, about(member, other)) for other in others]
        answers += [ask(url, "GET", f"/ai/v1/users/{other}", member) for other in others]
        admin = as_admin(two, "acme")
        answers += [ask(url, "DELETE", f"/ai/v1/users/{other}", admin) for other in others[1:]]
        own, other = two.acme[:2]
        answers.append(ask(url, "GET", f"/ai/v1/users/{own}", about(member, other)))
        assert {(answer.status, answer.body) for answer in answers} == {(404, answers[0].body)}
        assert made.heads == []


@pytest.mark.parametrize("role", [Role.ANALYST, Role.MEMBER])
def test_only_those_who_see_people_create_users(site: str, two: Two, role: Role) -> None:
    """And a stranger gets nowhere."""
    user_id = two.acme[0] if role is Role.MEMBER else None
    assert ask(site, "POST", "/ai/v1/users", as_role(two, "acme", role, user_id)).status == 403
    assert ask(site, "POST", "/ai/v1/users").status == 401


def test_a_created_user_is_on_the_roster(site: str, two: Two) -> None:
    """Before anybody is told the id, so that it can be asked about at once."""
    admin = as_admin(two, "acme")
    created = ask(site, "POST", "/ai/v1/users", admin)
    assert created.status == 201
    user_id = created.said["result"]["user_id"]
    found = two.world.lake.frame("FROM lake.users WHERE user_id = $1", [user_id])
    assert found["org_id"].to_list() == ["acme"]
    assert ask(site, "GET", f"/ai/v1/users/{user_id}", admin).status == 200
    assert ask(site, "GET", f"/ai/v1/users/{user_id}", as_admin(two, "duo")).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ai/v1/users"),
        ("PATCH", "/ai/v1/users/{own}"),
        ("POST", "/data/v1/sessions"),
        ("GET", "/data/v2/sessions/x"),
        ("GET", "/data/v1/users"),
        ("GET", "/ai/"),
        ("GET", "/ai/v2/users/{own}"),
        ("POST", "/ai/v1/sessions/a/b/c"),
        ("GET", "/customer/v1/app/refresh"),
    ],
)
def test_what_is_not_on_the_list_is_unknown(
    hostile: tuple[str, Upstream], two: Two, method: str, path: str
) -> None:
    """Asleep is not asked."""
    url, made = hostile
    with answering(made, _OK):
        headers = about(as_admin(two, "acme"), two.acme[0])
        assert ask(url, method, path.format(own=two.acme[0]), headers).status in {404, 405}
        assert made.heads == []


@pytest.mark.parametrize(
    "path",
    [
        "/data/v3/sessions/..",
        "/data/v3/sessions/%2e%2e",
        "/data/v3/sessions/a%2fb",
        "/data/v3/sessions/a%5Cb",
        "/data/v3/sessions/a%00",
        "/data/v3/sessions/a%0d%0ax:y",
        "/data/v3/sessions/%ff",
        "/data/v3/sessions/a%2541",
        "/data/v3/sessions/%20",
        "/data/v3//sessions/a",
        "/data/./v3/sessions/a",
        "/data/v3/x/../sessions/a",
        "/data/v3/sessions/" + "a" * 257,
        "/ai/v1/sessions/../users/{own}",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_none(
    hostile: tuple[str, Upstream], two: Two, path: str
) -> None:
    """Asleep is not asked."""
    url, made = hostile
    with answering(made, _OK):
        headers = about(as_admin(two, "acme"), two.acme[0])
        assert ask(url, "GET", path.format(own=two.acme[0]), headers).status in {400, 404, 405}
        assert made.heads == []


_PIECES = st.sampled_from(
    [
        *"a/.%?#;:@&=+",
        "..",
        "%2f",
        "%2e",
        "%25",
        "//",
        "users",
        "sessions",
        "é".encode().decode("latin-1"),
    ]
)


@with_settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(_PIECES, min_size=1, max_size=8).map("".join))
def test_no_path_leads_elsewhere(hostile: tuple[str, Upstream], two: Two, tail: str) -> None:
    """Whatever is asked, Asleep is asked for one session of the user, or not at all."""
    url, made = hostile
    with answering(made, _OK):
        headers = about(as_admin(two, "acme"), two.acme[0])
        ask(url, "GET", f"/data/v3/sessions/{tail}", headers)
        for head in made.heads:
            line = head.decode().split("\r\n")[0]
            method, target, _ = line.split(" ")
            assert method == "GET"
            assert target.startswith("/data/v3/sessions/")
            assert not set(target.removeprefix("/data/v3/sessions/")) & set("/?#")


def test_our_headers_stay_here(hostile: tuple[str, Upstream], two: Two) -> None:
    """Neither the credential, nor cookies, nor what a proxy says of who asks, nor another key."""
    url, made = hostile
    kept = {
        "cookie": "a=b",
        "x-api-key": "canary-key",
        "x-forwarded-for": "10.0.0.1",
        "forwarded": "for=10.0.0.1",
        "te": "trailers",
        "x-anything": "canary",
        "accept-encoding": "br",
    }
    with answering(made, _OK):
        headers = about(as_admin(two, "acme"), two.acme[0]) | kept | {"timezone": "Asia/Seoul"}
        assert ask(url, "GET", SESSIONS, headers).status == 200
        sent = made.last
    assert sent["x-api-key"] == two.world.sim.api_key
    assert (sent["x-user-id"], sent["timezone"]) == (two.acme[0], "Asia/Seoul")
    assert set(sent) == {
        "host",
        "accept",
        "accept-encoding",
        "timezone",
        "user-agent",
        "x-api-key",
        "x-user-id",
    }
    assert sent["host"] == made.base_url.removeprefix("http://")
    assert "canary" not in str(sent)


@pytest.mark.parametrize(
    "more",
    [
        [("x-user-id", "{other}")],
        [("X-User-Id", "{own}")],
        [("timezone", "UTC"), ("timezone", "Asia/Seoul")],
        [("content-length", "3"), ("transfer-encoding", "chunked")],
        [("content-length", "3"), ("content-length", "4")],
        [("transfer-encoding", "chunked, identity")],
        [("timezone", "a\tb\x0bc")],
    ],
)
def test_no_second_request_is_smuggled(
    hostile: tuple[str, Upstream], two: Two, more: list[tuple[str, str]]
) -> None:
    """What could be understood in two ways is refused, and Asleep is not asked."""
    url, made = hostile
    own, other = two.acme[:2]
    headers = list(about(as_admin(two, "acme"), own).items())
    headers += [(name, value.format(own=own, other=other)) for name, value in more]
    with answering(made, _OK):
        answer = ask(url, "POST", UPLOAD, headers, b"0\r\n\r\nGET /ai/v1/users HTTP/1.1\r\n\r\n")
        assert answer.status in {400, 422}
        assert made.heads == []


@pytest.mark.parametrize(
    "query", ["user_id=x", "limit=1&limit=2", "limit=%ff", "api_key=x", "&" * 99]
)
def test_a_query_holds_what_the_route_takes(
    hostile: tuple[str, Upstream], two: Two, query: str
) -> None:
    """Once each."""
    url, made = hostile
    with answering(made, _OK):
        headers = about(as_admin(two, "acme"), two.acme[0])
        answer = ask(url, "GET", f"{SESSIONS}?{query}", headers)
        assert (answer.status, made.heads) in [(422, []), (200, made.heads)]
        assert all(b" /data/v1/sessions HTTP" in head for head in made.heads)


def test_an_absolute_address_leads_nowhere_else(hostile: tuple[str, Upstream], two: Two) -> None:
    """The address is the setting's."""
    url, made = hostile
    with answering(made, _OK):
        headers = about(as_admin(two, "acme"), two.acme[0])
        ask(url, "GET", "http://127.0.0.1:9/data/v1/sessions", headers)
        assert all(made.line == "GET /data/v1/sessions HTTP/1.1" for _ in made.heads)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("301 Moved", 502), ("304 Not Modified", 502), ("401 Unauthorized", 502), ("503 Busy", 502)],
)
def test_what_concerns_us_alone_is_a_problem(
    hostile: tuple[str, Upstream], two: Two, status: str, expected: int
) -> None:
    """A redirect is not followed, and neither its address nor the vendor's words are told."""
    url, made = hostile
    leads = whole(status, b"", "location: http://127.0.0.1:9/canary", "set-cookie: canary=1")
    with answering(made, leads):
        answer = ask(url, "GET", SESSIONS, about(as_admin(two, "acme"), two.acme[0]))
        assert (answer.status, len(made.heads)) == (expected, 1)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "canary" not in str(answer)


def test_other_refusals_are_passed_on(hostile: tuple[str, Upstream], two: Two) -> None:
    """The SDK knows them; headers that are not on the list stay behind."""
    url, made = hostile
    said = b'{"detail": "Rate limit exceeded"}'
    refusal = whole(
        "403 Forbidden", said, "retry-after: 3", "set-cookie: a=b", "server: x", "x-y: z"
    )
    with answering(made, refusal):
        answer = ask(url, "GET", SESSIONS, about(as_admin(two, "acme"), two.acme[0]))
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (403, said, "3")
    assert not {"set-cookie", "server", "x-y"} & set(answer.headers)


@pytest.mark.parametrize(
    "lines",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + b"x" * 50,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n32\r\n" + b"x" * 50 + b"\r\n",
    ],
)
def test_an_answer_that_breaks_off_breaks_off_here(
    hostile: tuple[str, Upstream], two: Two, lines: bytes
) -> None:
    """Nobody takes it for whole."""
    url, made = hostile
    with answering(made, lambda sock: sock.sendall(lines)):
        answer = ask(url, "GET", SESSIONS, about(as_admin(two, "acme"), two.acme[0]))
        assert (answer.status, answer.is_whole) == (200, False)


@pytest.mark.parametrize(
    "lines", [b"", b"not http\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 99_999]
)
def test_no_answer_is_a_problem(hostile: tuple[str, Upstream], two: Two, lines: bytes) -> None:
    """502, and the request is not sent again."""
    url, made = hostile
    with answering(made, lambda sock: sock.sendall(lines)):
        answer = ask(url, "GET", SESSIONS, about(as_admin(two, "acme"), two.acme[0]))
        assert (answer.status, len(made.heads)) == (502, 1)


def test_a_slow_answer_is_a_problem(
    hostile: tuple[str, Upstream], two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """504 after a while."""
    monkeypatch.setattr("asleep_pipeline.service.proxy._ANSWERED_S", 0.2)
    url, made = hostile

    def wait(sock: socket.socket) -> None:
        sock.recv(1)

    with answering(made, wait):
        answer = ask(url, "GET", SESSIONS, about(as_admin(two, "acme"), two.acme[0]))
        assert answer.status == 504


def test_an_endless_answer_ends(
    hostile: tuple[str, Upstream], two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not taken for whole."""
    monkeypatch.setattr("asleep_pipeline.service.proxy._MOST_ANSWER_BYTES", 1_000_000)
    url, made = hostile

    def pour(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            sock.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

    with answering(made, pour):
        answer = ask(url, "GET", SESSIONS, about(as_admin(two, "acme"), two.acme[0]))
        assert not answer.is_whole
        assert len(answer.body) <= 1_000_000


def taking(digest: list[str], size: int) -> Answering:
    """Take an upload of a known size in small bites, and keep its digest."""

    def take(sock: socket.socket) -> None:
        left, found = size, sha256()
        while left and (bite := sock.recv(min(left, 4_096))):
            found.update(bite)
            left -= len(bite)
        digest.append(found.hexdigest())
        whole("200 OK", b"{}")(sock)

    return take


def test_an_upload_flows_through(hostile: tuple[str, Upstream], two: Two) -> None:
    """8 MiB come as they were sent, and the memory does not grow by as much."""
    url, made = hostile
    body, digests = bytes(range(256)) * 32_768, list[str]()
    headers = about(as_admin(two, "acme"), two.acme[0]) | {"content-type": "audio/wav"}
    headers["content-length"] = str(len(body))
    with answering(made, taking(digests, len(body))), connected(url) as sock:
        tracemalloc.start()
        sock.sendall(head(UPLOAD, headers))
        sock.sendall(body)
        answer = sock.recv(65_536)
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        sent = made.last
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert digests == [sha256(body).hexdigest()]
    assert (sent["content-type"], sent["content-length"]) == ("audio/wav", str(len(body)))
    assert most_bytes < 2 * 1024 * 1024


def test_a_long_upload_is_refused(hostile: tuple[str, Upstream], two: Two) -> None:
    """At once when it says its length, else once it is too long."""
    url, made = hostile
    headers = about(as_admin(two, "acme"), two.acme[0])
    with answering(made, taking([], 20_000_000)):
        told = ask(url, "POST", UPLOAD, headers | {"content-length": str(9 * 1024 * 1024 + 1)})
        assert (told.status, made.heads) == (413, [])
        with connected(url) as sock:
            sock.sendall(head(UPLOAD, headers | {"transfer-encoding": "chunked"}))
            for _ in range(10):
                sock.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
            assert sock.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_breaks_off_breaks_off_at_asleep(
    hostile: tuple[str, Upstream], two: Two
) -> None:
    """Half a night is not taken for a whole one."""
    url, made = hostile
    ends: list[bytes] = []

    def take(sock: socket.socket) -> None:
        text = b""
        while bite := sock.recv(4_096):
            text += bite
        ends.append(text)

    headers = about(as_admin(two, "acme"), two.acme[0]) | {"transfer-encoding": "chunked"}
    with answering(made, take):
        with connected(url) as sock:
            sock.sendall(head(UPLOAD, headers) + b"5\r\nhello\r\n")
            until(lambda: bool(made.heads))
        until(lambda: bool(ends))
    assert not ends[0].endswith(b"0\r\n\r\n")


def test_an_early_refusal_of_an_upload_is_passed_on(
    hostile: tuple[str, Upstream], two: Two
) -> None:
    """Asleep need not have read all of it."""
    url, made = hostile
    headers = about(as_admin(two, "acme"), two.acme[0]) | {"content-length": "1000000"}
    with answering(made, whole("413 Too Large", b"{}")), connected(url) as sock:
        sock.sendall(head(UPLOAD, headers) + b"x" * 1_000)
        text = sock.recv(65_536)
    assert text.startswith(b"HTTP/1.1 413 ")


def test_without_a_key_nothing_is_passed_on(two: Two, tmp_path: Path) -> None:
    """It is the operators' business, and says no more than that."""
    settings = two.world.with_settings(
        organisations={"acme": {"api_key_file": str(tmp_path / "none")}}
    ).platform.settings
    with running(settings) as service:
        headers = about(as_admin(two, "acme"), two.acme[0])
        answer = ask(service.base_url, "GET", SESSIONS, headers)
    assert answer.status == 502
    assert str(tmp_path) not in answer.body.decode()
