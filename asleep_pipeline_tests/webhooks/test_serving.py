"""A receiver as a process: how it begins, what it says, how it ends."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from asleep_pipeline.errors import ConfigurationError, InboxError, UsageError
from asleep_pipeline.listener import Certificate
from asleep_pipeline.webhooks.serving import running, serve
from asleep_pipeline_tests.certificates import make_certificate
from asleep_pipeline_tests.webhooks.senders import (
    KEY,
    PATH,
    Sender,
    Served,
    a_deployment,
    a_user,
    command,
    event,
    head,
    read_reply,
    served,
    sound,
)

CANARY = "canary-7f3a9c51"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for this machine, signed by itself."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def pour(sender: Sender, user_id: str) -> Iterator[bytes]:
    """Post events one after the other until the receiver is gone; those that it acknowledged."""
    with suppress(OSError), sender.connected() as sock:
        for number in range(1_000_000):
            body = event(user_id, inference_seq_num=number)
            sock.sendall(sound(user_id, body))
            if read_reply(sock).status == 200:
                yield body


def test_sigterm_ends_it_after_what_it_accepted(tmp_path: Path) -> None:
    """Stopped under load it exits with 0, and all that it acknowledged is in the inbox."""
    users = [a_user() for _ in range(8)]
    with served(tmp_path) as receiver, ThreadPoolExecutor(len(users)) as pool:
        pouring = [pool.submit(list, pour(receiver.sender, user_id)) for user_id in users]
        while len(receiver.sender.stored(users[-1])) < 50:
            pass
        code, _ = receiver.end()
        acknowledged = [poured.result() for poured in pouring]
        stored = [{kept.body for kept in receiver.sender.stored(user_id)} for user_id in users]
    assert code == 0
    assert all(acknowledged)
    assert [set(bodies) - kept for bodies, kept in zip(acknowledged, stored, strict=True)] == [
        set()
    ] * len(users)


def test_a_request_that_has_begun_is_finished(tmp_path: Path) -> None:
    """What was half sent when the end was asked for is taken, answered, and its connection closed."""
    user_id = a_user()
    whole = sound(user_id, event(user_id, pad="x" * 10_000))
    with served(tmp_path) as receiver, receiver.sender.connected() as sock:
        sock.sendall(whole[:-1])
        assert receiver.sender.accepts()
        receiver.process.terminate()
        _until_refused(receiver)
        sock.sendall(whole[-1:])
        reply = read_reply(sock)
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert receiver.process.wait() == 0
        assert len(receiver.sender.stored(user_id)) == 1


def _until_refused(receiver: Served) -> None:
    """Wait until it takes no new connection."""
    with suppress(ConnectionError):
        while True:
            with receiver.sender.connected():
                pass


def test_connections_that_say_nothing_do_not_delay_the_end(tmp_path: Path) -> None:
    """Who only holds a connection is not waited for."""
    with served(tmp_path) as receiver, receiver.sender.connected() as idle:
        assert receiver.sender.accepts()
        assert receiver.end()[0] == 0
        assert idle.recv(1) == b""


def test_an_inbox_has_one_receiver(tmp_path: Path) -> None:
    """A second one says so and ends; after the first has ended another one begins."""
    settings = a_deployment(tmp_path)
    with (
        running(settings),
        pytest.raises(InboxError, match="Another receiver serves"),
        running(settings),
    ):
        pass
    with running(settings) as receiver:
        assert Sender(receiver.base_url, settings).accepts()


def test_a_receiver_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    """After a crash the next one begins at once."""
    with served(tmp_path) as receiver:
        receiver.process.kill()
        receiver.process.wait()
        with served(tmp_path) as next_one:
            assert next_one.sender.accepts()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """The message says which, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"Port {port}"),
            running(a_deployment(tmp_path), port=port),
        ):
            pass


def test_it_speaks_tls(tmp_path: Path, certificate: Certificate) -> None:
    """With a certificate events come over TLS, and nothing comes without."""
    options = ["--cert", str(certificate.chain), "--key", str(certificate.key)]
    context = ssl.create_default_context(cafile=str(certificate.chain))
    user_id = a_user()
    with served(tmp_path, *options) as receiver:
        assert receiver.sender.url.startswith("https://")
        with (
            receiver.sender.connected() as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(sound(user_id, event(user_id)))
            assert read_reply(sock).status == 200
        with pytest.raises(ConnectionError):
            receiver.sender.talk(sound(user_id, event(user_id)))


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Files that are none, or do not belong together, end it before it listens."""
    missing = Certificate(tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(ConfigurationError, match=r"none\.pem"):
        serve(a_deployment(tmp_path), "127.0.0.1", 0, certificate=missing, on_url=print)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cert", "cert.pem"], "TLS needs a certificate and its key"),
        (["--host", "192.0.2.1"], "of 192.0.2.1 cannot be used"),
        (["--port", "99999"], "99999"),
    ],
)
def test_what_cannot_be_served_is_a_usage_error(
    tmp_path: Path, options: list[str], words: str
) -> None:
    """A slip on the command line is told in a sentence, with exit code 2."""
    process = command(tmp_path, *options)
    _, err = process.communicate()
    assert process.returncode == 2
    assert words in err


@pytest.mark.parametrize(("host", "is_warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_keys_that_would_travel_in_the_clear_are_warned_of(
    tmp_path: Path, host: str, is_warned: bool
) -> None:
    """Who listens to the network without TLS is told what that means."""
    with served(tmp_path, "--host", host) as receiver:
        _, err = receiver.end()
    assert ("would cross the network readable" in err) is is_warned


def test_nothing_of_a_key_or_a_payload_is_logged(tmp_path: Path) -> None:
    """Whatever goes well or wrong, at --verbose: no log line, answer or file but the inbox has it."""
    user_id = f"U-{CANARY}"
    body = event(user_id, pad=CANARY)
    with served(tmp_path) as receiver:
        sender = receiver.sender
        replies = [
            sender.post(body, user_id),
            sender.post(body, user_id, key=CANARY),
            sender.post(body[:-1], user_id),
            sender.post(event(a_user(), pad=CANARY), user_id),
            sender.post(body, user_id, more=[("content-encoding", CANARY)]),
            *sender.talk(head("POST", f"{PATH}/{CANARY}?{CANARY}", [("x-api-key", CANARY)])),
            *sender.talk(head("GET", PATH, [("x-api-key", KEY), ("bad header", CANARY)])),
        ]
        probes = [sender.get(path) for path in ("/metrics", "/health", "/schema")]
        code, err = receiver.end()
    assert code == 0
    assert [reply.status for reply in replies] == [200, 401, 422, 403, 415, 404, 400]
    said = err + "".join(reply.body.decode() for reply in [*replies, *probes])
    assert CANARY not in said
    assert KEY not in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    holding = {path.name for path in files if CANARY.encode() in path.read_bytes()}
    assert holding <= {"inbox.sqlite", "inbox.sqlite-wal"}
    assert not any(KEY.encode() in path.read_bytes() for path in files)
