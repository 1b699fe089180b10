"""What a receiver does with input that is meant to break it. After each, it takes a sound event."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from asleep_pipeline.webhooks import protocol
from asleep_pipeline.webhooks.protocol import GuardedProtocol
from asleep_pipeline.webhooks.serving import running
from asleep_pipeline_tests.webhooks.senders import (
    KEY,
    PATH,
    Sender,
    Served,
    a_deployment,
    a_user,
    chunked,
    event,
    head,
    read_reply,
    served,
    sound,
)

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc"
)

MIB = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
HUGE = 200 * MIB
MOST_GROWTH = 24 * MIB


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A receiver in a process of its own, whose memory can be looked at."""
    with served(tmp_path_factory.mktemp("victim")) as receiver:
        # What it holds at rest, and what it holds for one body of the largest size.
        user_id = a_user()
        receiver.sender.post(event(user_id, pad="x" * (MIB - 1_000)), user_id)
        yield receiver


@pytest.fixture(autouse=True)
def _stands(victim: Served) -> Iterator[None]:
    """Whatever was done, the next event is taken and the process is the same."""
    yield
    assert victim.sender.accepts()
    assert victim.process.poll() is None


def rss(victim: Served) -> int:
    """Memory that the receiver holds, in bytes."""
    return int(Path(f"/proc/{victim.process.pid}/statm").read_text().split()[1]) * PAGE


def pour(victim: Served, first: bytes, part: bytes, *, times: int) -> tuple[int, int]:
    """Send a part many times over; the status of the answer, and by how much memory has grown."""
    before, most = rss(victim), 0
    with victim.sender.connected() as sock:
        sock.sendall(first)
        for number in range(times):
            sock.sendall(part)
            most = max(most, rss(victim)) if number % 10 == 0 else most
        return read_reply(sock).status, most - before


def test_a_huge_body_does_not_fill_the_memory(victim: Served) -> None:
    """Of 200 MB that were announced nothing is kept."""
    user_id = a_user()
    headers = [("x-api-key", KEY), ("x-user-id", user_id), ("content-length", str(HUGE))]
    status, growth = pour(victim, head("POST", PATH, headers), bytes(MIB), times=200)
    assert status == 413
    assert growth < MOST_GROWTH


def test_a_huge_body_in_chunks_does_not_fill_the_memory(victim: Served) -> None:
    """Of 200 MB that were not announced no more than 1 MiB is kept."""
    part = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    status, growth = pour(victim, chunked(a_user()), part, times=200)
    assert status == 413
    assert growth < MOST_GROWTH


def test_a_strangers_body_is_not_kept_at_all(victim: Served) -> None:
    """Without a key nobody can make the receiver hold anything."""
    headers = [("x-user-id", a_user()), ("transfer-encoding", "chunked")]
    part = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    status, growth = pour(victim, head("POST", PATH, headers), part, times=50)
    assert status == 401
    assert growth < MOST_GROWTH


def test_what_follows_a_body_does_not_fill_the_memory(victim: Served) -> None:
    """Trailers are no headers: they are dropped, and cut off where they do not end."""
    headers = [("x-user-id", a_user()), ("transfer-encoding", "chunked")]
    before = rss(victim)
    with victim.sender.connected() as sock:
        sock.sendall(head("POST", PATH, headers) + b"0\r\n")
        with suppress(ConnectionError):
            for _ in range(400):
                sock.sendall(b"a: b\r\n" * 10_000)
        assert rss(victim) - before < MOST_GROWTH


def test_a_key_behind_the_body_is_none(victim: Served) -> None:
    """Whom a proxy has let through by the headers cannot add a key in a trailer."""
    user_id = a_user()
    body = event(user_id)
    chunk = b"%x\r\n" % len(body) + body + b"\r\n0\r\n"
    trailer = f"x-api-key: {KEY}\r\n\r\n".encode()
    headers = [("x-user-id", user_id), ("transfer-encoding", "chunked")]
    with victim.sender.connected() as sock:
        sock.sendall(head("POST", PATH, headers) + chunk + trailer)
        assert read_reply(sock).status == 401


def test_a_bomb_is_not_unpacked(victim: Served) -> None:
    """A body that unpacks to 500 MB is refused by its header, and is no JSON without it."""
    bomb = gzip.compress(bytes(500 * MIB))
    before, user_id = rss(victim), a_user()
    packed = victim.sender.post(bomb, user_id, more=[("content-encoding", "gzip")])
    hidden = victim.sender.post(bomb, user_id)
    chunk = b"%x\r\n" % len(bomb) + bomb + b"\r\n0\r\n\r\n"
    headers = [("x-api-key", KEY), ("x-user-id", user_id), ("transfer-encoding", "gzip, chunked")]
    (coded,) = victim.sender.talk(head("POST", PATH, headers), chunk)
    assert (packed.status, hidden.status, coded.status) == (415, 422, 422)
    assert rss(victim) - before < MOST_GROWTH


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"event":"X"}{"event":"X"}',
        b"\xef\xbb\xbf{}",
        b"[" * MIB,
        b'{"event":' * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"event":NaN}',
        b'{"a":Infinity}',
        b'{"event":' + b"9" * 5_000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"event":"\\udc00\\ud800"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"\xc3":1}',
        b'{"a":"\x00"}',
        '{"event":"X"}'.encode("utf-16"),
    ],
    ids=range(20),
)
def test_what_is_no_json_is_refused(victim: Served, body: bytes) -> None:
    """Truncated, too deep, not a number, half a character, other encodings: a problem of its sender."""
    assert victim.sender.post(body, a_user()).status == 422


@pytest.mark.parametrize(
    "value",
    [b"9" * 300, b"-1", b"1e308", b"true", b'"39"', b"[" * 400 + b"]" * 400, b'{"a":{}}'],
    ids=range(7),
)
def test_strange_values_are_kept_for_later(victim: Served, value: bytes) -> None:
    """Sound JSON with values that mean nothing is stored: it may be looked at, and breaks nothing."""
    user_id = a_user()
    body = event(user_id, seq_num="V").replace(b'"V"', value)
    assert victim.sender.post(body, user_id).status == 200
    assert [stored.body for stored in victim.sender.stored(user_id)] == [body]


def test_names_may_hold_anything(victim: Served) -> None:
    """Control characters, quotes and a long name are kept as they are; nothing runs them."""
    user_id = a_user()
    name = "'; DROP TABLE event; --\x00\x1b[31m\u202e" + "n" * 100_000
    assert victim.sender.post(event(user_id, name), user_id).status == 200
    assert [stored.name for stored in victim.sender.stored(user_id)] == [name]


SMUGGLED = sound("U-smuggled", event("U-smuggled"))


@pytest.mark.parametrize(
    "headers",
    [
        [("content-length", "4"), ("transfer-encoding", "chunked")],
        [("transfer-encoding", "chunked"), ("content-length", "4")],
        [("content-length", "5"), ("content-length", "6")],
        [("content-length", "+5")],
        [("content-length", "-1")],
        [("content-length", "5, 5")],
        [("content-length", "99999999999999999999999")],
        [("transfer-encoding", "chunked"), ("transfer-encoding", "identity")],
        [("transfer-encoding", "xchunked")],
        [("transfer-encoding ", "chunked")],
        [("transfer-encoding", "\x0bchunked")],
    ],
    ids=range(11),
)
def test_nothing_is_smuggled(victim: Served, headers: list[tuple[str, str | bytes]]) -> None:
    """Where it is unclear how long a body is, nothing after it is taken for a request."""
    user_id = a_user()
    first = head("POST", PATH, [("x-api-key", KEY), ("x-user-id", user_id), *headers])
    (reply,) = victim.sender.talk(first + b"0\r\n\r\n" + SMUGGLED)
    assert 400 <= reply.status < 500
    # Whatever came before this one is in the inbox when it is.
    assert victim.sender.accepts()
    assert victim.sender.stored("U-smuggled") == []


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /webhooks/asleep HTTP/9.9\r\n\r\n",
        b"POST \xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /webhooks/asleep HTTP/1.1\r\nx-api-key: a\x00b\r\n\r\n",
        b"POST /webhooks/asleep HTTP/1.1\r\nno colon\r\n\r\n",
    ],
    ids=range(6),
)
def test_what_is_no_http_is_refused(victim: Served, start: bytes) -> None:
    """Bytes that are no request get a problem, and the connection ends."""
    with victim.sender.connected() as sock:
        sock.sendall(start)
        assert read_reply(sock).status in {400, 404}


@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_headers_have_an_end(victim: Served, size: int) -> None:
    """Headers of any size would fill the memory as well as bodies."""
    user_id = a_user()
    before = rss(victim)
    with victim.sender.connected() as sock:
        request = sound(user_id, event(user_id), ("x-long", "a" * size))
        sent = sock.send(request)
        assert sent > 65_536
        assert read_reply(sock).status == 431
    assert rss(victim) - before < MOST_GROWTH
    assert victim.sender.stored(user_id) == []


def test_old_http_is_understood(victim: Served) -> None:
    """HTTP/1.0 gets an answer and a closed connection."""
    user_id = a_user()
    request = sound(user_id, event(user_id)).replace(b"HTTP/1.1", b"HTTP/1.0")
    with victim.sender.connected() as sock:
        sock.sendall(request)
        assert read_reply(sock).status == 200
        assert sock.recv(1) == b""


def test_requests_may_follow_each_other_at_once(victim: Served) -> None:
    """Pipelined requests are each answered, in their order; one that is refused spoils no other."""
    user_id = a_user()
    bodies = [event(user_id, inference_seq_num=number) for number in range(20)]
    requests = [sound(user_id, body) for body in bodies]
    requests[7] = sound(user_id, b"[")
    replies = victim.sender.talk(b"".join(requests), answers=20)
    assert [reply.status for reply in replies] == [200] * 7 + [422] + [200] * 12
    assert len(victim.sender.stored(user_id)) == 19


def test_requests_that_never_end_block_nobody(victim: Served) -> None:
    """A hundred connections that say half a request and no more: others are served."""
    user_id = a_user()
    whole = sound(user_id, event(user_id))
    halves = [whole[: len(whole) * at // 100] for at in range(100)]
    connections = [victim.sender.connected() for _ in halves]
    sockets = [connection.__enter__() for connection in connections]
    try:
        for sock, half in zip(sockets, halves, strict=True):
            sock.sendall(half)
        assert victim.sender.accepts()
        assert victim.sender.stored(user_id) == []
    finally:
        for connection in connections:
            connection.__exit__(None, None, None)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_requests_that_never_end_are_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Who says nothing more is not waited for: its connection is closed without an answer."""
    monkeypatch.setattr(GuardedProtocol, "patience_s", 0.01)
    monkeypatch.setattr(protocol, "_LOOKED_S", 0.01)
    settings = a_deployment(tmp_path)
    with running(settings) as receiver:
        sender, user_id = Sender(receiver.base_url, settings), a_user()
        whole = sound(user_id, event(user_id, pad="x" * 10_000))
        with sender.connected() as sock:
            sock.sendall(whole[: int(len(whole) * share)])
            assert sock.recv(1) == b""
        assert sender.stored(user_id) == []


def test_there_are_only_so_many_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes when all places are taken is told to come again, and is served when one is free."""
    monkeypatch.setattr(GuardedProtocol, "most_connections", 1)
    settings = a_deployment(tmp_path)
    with running(settings) as receiver:
        sender, user_id = Sender(receiver.base_url, settings), a_user()
        request = sound(user_id, event(user_id))
        with sender.connected() as first:
            first.sendall(request)
            assert read_reply(first).status == 200
            with sender.connected() as second:
                second.sendall(request)
                refused = read_reply(second)
                assert second.recv(1) == b""
        tries = (sender.post(event(user_id), user_id).status for _ in range(10_000))
        assert next(status for status in tries if status != 503) == 200
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")


def test_a_sender_who_leaves_is_no_trouble(victim: Served) -> None:
    """A connection that breaks within a body leaves nothing behind."""
    user_id = a_user()
    whole = sound(user_id, event(user_id, pad="x" * 500_000))
    with victim.sender.connected() as sock:
        sock.sendall(whole[:-1])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    assert victim.sender.stored(user_id) == []
