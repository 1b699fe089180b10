"""What the receiver takes, what it refuses, and what it tells of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asleep_pipeline.webhooks import intake, probes, request, writer
from asleep_pipeline.webhooks.answers import MOST_BYTES
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.schema import examples
from asleep_pipeline.webhooks.serving import running
from asleep_pipeline_tests.webhooks.senders import (
    ACME_KEY,
    KEY,
    OLD_KEY,
    PATH,
    Reply,
    Sender,
    a_deployment,
    a_user,
    chunked,
    event,
    sized,
)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Sender]:
    """A receiver that no other test uses."""
    settings = a_deployment(tmp_path)
    with running(settings) as receiver:
        yield Sender(receiver.base_url, settings)


@contextmanager
def locked(sender: Sender) -> Iterator[None]:
    """Somebody else writes to the inbox and does not end."""
    with Inbox(sender.settings.inbox_path).connection() as con:
        con.execute("BEGIN IMMEDIATE")
        yield


def is_problem(reply: Reply, status: int) -> bool:
    """Whether it is a problem as RFC 9457 has it, of this status."""
    kind = reply.headers["content-type"]
    said = reply.said
    whole = {"type", "title", "status", "detail"} == set(said) and said["status"] == status
    return reply.status == status and kind == "application/problem+json" and whole


@pytest.mark.parametrize("name", examples())
def test_every_published_envelope_is_stored_byte_for_byte(sender: Sender, name: str) -> None:
    """All versions of both events, and an event that nobody documented, are taken as they come."""
    user_id = a_user()
    text = json.dumps(examples()[name], indent=3, ensure_ascii=False)
    body = text.replace("U-EXAMPLE", user_id).encode()
    reply = sender.post(body, user_id)
    assert (reply.status, reply.said) == (200, {"status": "stored"})
    (stored,) = sender.stored(user_id)
    assert (stored.body, stored.status, stored.key_name) == (body, "waiting", "default")


def test_a_repeated_event_is_a_duplicate(sender: Sender) -> None:
    """Who was not sure and sends again is told so, and nothing changes."""
    user_id = a_user()
    said = [sender.post(event(user_id), user_id).said["status"] for _ in range(3)]
    assert said == ["stored", "duplicate", "duplicate"]
    (stored,) = sender.stored(user_id)
    assert stored.duplicates == 2


@pytest.mark.parametrize(
    ("key", "name"), [(KEY, "default"), (OLD_KEY, "default"), (ACME_KEY, "acme")]
)
def test_each_key_is_good_and_is_remembered(sender: Sender, key: str, name: str) -> None:
    """An event is kept with the organisation whose key it came with."""
    user_id = a_user()
    assert sender.post(event(user_id), user_id, key=key).status == 200
    assert [stored.key_name for stored in sender.stored(user_id)] == [name]


def test_an_unknown_event_that_names_no_user_is_the_headers(sender: Sender) -> None:
    """What nobody documented is kept with the user that the header names."""
    user_id = a_user()
    body = event(None, "DEVICE_LOST")
    assert sender.post(body, user_id).status == 200
    assert [stored.body for stored in sender.stored(user_id)] == [body]


@pytest.mark.parametrize("name", ["INFERENCE_COMPLETE", "SESSION_COMPLETE"])
def test_a_known_event_must_name_its_user(sender: Sender, name: str) -> None:
    """A documented event without a user is no such event."""
    assert is_problem(sender.post(event(None, name), a_user()), 422)


def test_whom_nobody_knows_is_taken_all_the_same(sender: Sender) -> None:
    """Whether a user is on the roster is for later: the event must not be lost meanwhile."""
    assert sender.accepts()


def test_a_strangers_answer_says_nothing(sender: Sender) -> None:
    """No key, an empty, a wrong and a doubled one are told apart in the audit only."""
    before = sender.attempts()
    user_id = a_user()
    body = event(user_id)
    replies = [
        sender.post(body, user_id, key=None),
        sender.post(body, user_id, key=""),
        sender.post(body, user_id, key="wrong"),
        sender.post(body, user_id, more=[("x-api-key", KEY)]),
        sender.post(body, user_id, more=[("X-API-Key", "wrong")]),
    ]
    assert all(is_problem(reply, 401) for reply in replies)
    assert len({(reply.body, *reply.headers.items()) for reply in replies}) == 1
    added = {name: n - before.get(name, 0) for name, n in sender.attempts().items()}
    assert added == {"no key": 2, "unknown key": 1, "several keys": 2}
    assert sender.stored(user_id) == []


@pytest.mark.parametrize(
    "more", [[], [("x-user-id", "")], [("x-user-id", "a" * 257)], [("x-user-id", b"\xff")]]
)
def test_the_header_must_name_a_user(sender: Sender, more: list[tuple[str, str | bytes]]) -> None:
    """Without exactly one user it is no event's request."""
    assert is_problem(sender.post(event(a_user()), more=more), 400)


def test_the_header_must_name_one_user(sender: Sender) -> None:
    """Two users are refused even when they are the same."""
    user_id = a_user()
    assert is_problem(sender.post(event(user_id), user_id, more=[("x-user-id", user_id)]), 400)


def test_a_user_may_be_named_in_any_letters(sender: Sender) -> None:
    """A header in UTF-8 equals the body's user."""
    user_id = f"{a_user()}-Ünï-잠"
    assert sender.post(event(user_id), user_id).status == 200
    assert len(sender.stored(user_id)) == 1


def test_nobody_speaks_for_another_user(sender: Sender) -> None:
    """A body about somebody else than the header is refused, and nothing of it is kept."""
    user_id, other = a_user(), a_user()
    assert is_problem(sender.post(event(other), user_id), 403)
    assert sender.stored(other) == sender.stored(user_id) == []


@pytest.mark.parametrize("codings", [["gzip"], ["identity, gzip"], ["br"], [""], ["identity"] * 2])
def test_compressed_bodies_are_refused(sender: Sender, codings: list[str]) -> None:
    """Nothing is ever unpacked here, and what is unclear is taken for compressed."""
    user_id = a_user()
    more = [("content-encoding", coding) for coding in codings]
    assert is_problem(sender.post(event(user_id), user_id, more=more), 415)


def test_a_body_that_is_not_encoded_may_say_so(sender: Sender) -> None:
    """`identity` is no compression."""
    user_id = a_user()
    reply = sender.post(event(user_id), user_id, more=[("content-encoding", "Identity")])
    assert reply.status == 200


def test_a_body_has_at_most_a_mebibyte(sender: Sender) -> None:
    """The last byte that is allowed is taken, the next one is not; however it comes."""
    user_id = a_user()
    body = sized(user_id, MOST_BYTES)
    longer = sized(user_id, MOST_BYTES + 1)
    assert sender.post(body, user_id).status == 200
    assert is_problem(sender.post(longer, user_id), 413)
    (reply,) = sender.talk(chunked(user_id), b"%x\r\n" % len(longer), longer, b"\r\n0\r\n\r\n")
    assert is_problem(reply, 413)
    assert [stored.body for stored in sender.stored(user_id)] == [body]


def test_a_body_in_chunks_is_stored_whole(sender: Sender) -> None:
    """How a body was cut on its way does not matter."""
    user_id = a_user()
    body = sized(user_id, 200_000)
    parts = [body[at : at + 7_001] for at in range(0, len(body), 7_001)]
    chunks = [b"%x\r\n" % len(part) + part + b"\r\n" for part in parts]
    (reply,) = sender.talk(chunked(user_id), *chunks, b"0\r\n\r\n")
    assert reply.said == {"status": "stored"}
    assert [stored.body for stored in sender.stored(user_id)] == [body]


def test_what_cannot_be_stored_is_not_acknowledged(
    alone: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the inbox cannot be written an event is answered 503, and taken when it is sent again."""
    monkeypatch.setattr(writer, "_PATIENCE_S", 0.01)
    user_id = a_user()
    with locked(alone):
        refused = alone.post(event(user_id), user_id)
        stranger = alone.post(event(user_id), user_id, key="wrong")
    assert is_problem(refused, 503)
    assert refused.headers["retry-after"] == "5"
    # An audit that fails is nothing to who is refused.
    assert is_problem(stranger, 401)
    assert alone.stored(user_id) == []
    assert alone.post(event(user_id), user_id).said == {"status": "stored"}


def test_a_queue_that_is_too_long_is_not_made_longer(
    alone: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk does not keep up, senders are told to come again."""
    monkeypatch.setattr(writer, "MOST_QUEUED", 0)
    monkeypatch.setattr(intake, "_MOST_AUDITS", 0)
    user_id = a_user()
    refused = alone.post(event(user_id), user_id)
    assert is_problem(refused, 503)
    assert "retry-after" in refused.headers
    assert is_problem(alone.post(event(user_id), user_id, key="wrong"), 401)
    assert figures(alone)["asleep_webhooks_unaudited_total", ""] == 1


def test_no_more_is_held_in_memory_than_is_allowed(
    alone: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many large bodies at a time are refused; small ones still pass, and large ones afterwards."""
    user_id = a_user()
    body = sized(user_id, MOST_BYTES)
    with monkeypatch.context() as context:
        context.setattr(request, "_MOST_COMING_BYTES", 1_000)
        assert is_problem(alone.post(body, user_id), 503)
        assert alone.accepts()
    assert alone.post(body, user_id).status == 200


def test_an_unforeseen_failure_is_a_problem_without_its_words(
    alone: Sender, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever breaks, its sender gets an answer that says nothing of the payload, and so the log."""

    def fail(body: bytes, _user_id: str) -> Any:
        raise RuntimeError(body)

    user_id = a_user()
    with monkeypatch.context() as context:
        context.setattr(intake, "event_of", fail)
        reply = alone.post(event(user_id), user_id)
    assert is_problem(reply, 500)
    said = capsys.readouterr()
    assert "webhook_failed" in said.out + said.err
    assert user_id not in reply.body.decode() + said.out + said.err
    assert alone.accepts()


def test_every_attempt_is_audited(alone: Sender) -> None:
    """Who was answered what is known afterwards, by organisation and outcome."""
    user_id = a_user()
    body = event(user_id)
    alone.post(body, user_id)
    alone.post(body, user_id)
    alone.post(b"[", user_id)
    alone.post(body, a_user())
    alone.post(body, user_id, more=[("content-encoding", "gzip")])
    alone.post(body, user_id, key=None)
    alone.talk(f"GET {PATH} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert alone.attempts() == {"no key": 1, "other method": 1}
    assert alone.attempts("default") == {
        "stored": 3,
        "duplicate": 1,
        "not json": 1,
        "other user": 1,
        "compressed": 1,
    }


@pytest.mark.parametrize(
    ("said", "known"), [("203.0.113.9", "203.0.113.9"), ("bad address", ""), ("", "127.0.0.1")]
)
def test_a_proxy_on_this_machine_says_where_an_event_came_from(
    alone: Sender, said: str, known: str
) -> None:
    """The audit names the sender behind the proxy, and never what is no address."""
    user_id = a_user()
    alone.post(event(user_id), user_id, more=[("x-forwarded-for", said)])
    with Inbox(alone.settings.inbox_path).connection() as con:
        assert con.execute("SELECT source FROM attempt").fetchall() == [(known,)]


def figures(sender: Sender) -> dict[tuple[str, str], float]:
    """What Prometheus is told, by name and label."""
    text = sender.get("/metrics").body.decode()
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_what_came(alone: Sender) -> None:
    """Accepted, refused and repeated events are counted, and how full the inbox is."""
    user_id = a_user()
    for name in ("INFERENCE_COMPLETE", "SESSION_COMPLETE", "LOST", "FOUND"):
        alone.post(event(user_id, name), user_id)
    alone.post(event(user_id), user_id)
    alone.post(event(user_id), a_user())
    found = figures(alone)
    assert found["asleep_webhooks_accepted_total", "INFERENCE_COMPLETE"] == 1
    assert found["asleep_webhooks_accepted_total", "SESSION_COMPLETE"] == 1
    assert found["asleep_webhooks_accepted_total", "other"] == 2
    assert found["asleep_webhooks_duplicates_total", "INFERENCE_COMPLETE"] == 1
    assert found["asleep_webhooks_refused_total", "other user"] == 1
    assert found["asleep_webhooks_answer_seconds_count", ""] == 5
    assert found["asleep_webhooks_inbox_events", "waiting"] == 4
    assert found["asleep_webhooks_oldest_waiting_seconds", ""] > 0
    assert found["asleep_webhooks_disk_free_bytes", ""] > 0
    assert user_id not in alone.get("/metrics").body.decode()


def test_health_tells_how_full_the_inbox_is(alone: Sender) -> None:
    """Facts as JSON, without anybody's name."""
    assert alone.accepts()
    said = alone.get("/health").said
    assert (said["waiting"], said["quarantined"], said["dead"]) == (1, 0, 0)
    assert said["oldest_waiting_at"] is not None
    assert said["disk_free_bytes"] > 0


def test_it_lives_and_is_ready(sender: Sender) -> None:
    """A receiver that can store says so."""
    assert [sender.get(path).status for path in ("/live", "/ready")] == [200, 200]


def test_it_is_not_ready_without_room(alone: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the disk is full a load balancer may look elsewhere; what still comes is stored."""
    monkeypatch.setattr(probes, "LEAST_FREE_BYTES", 2**62)
    reply = alone.get("/ready")
    assert is_problem(reply, 503)
    assert "room" in reply.said["detail"]
    assert alone.get("/live").status == 200
    assert alone.accepts()


def test_it_is_not_ready_when_the_inbox_cannot_be_written(
    alone: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readiness is a commit of its own, not a guess."""
    monkeypatch.setattr(probes, "_PATIENCE_S", 0.01)
    with locked(alone):
        reply = alone.get("/ready")
    assert is_problem(reply, 503)
    assert "written" in reply.said["detail"]


def test_an_inbox_that_cannot_be_read_is_told(
    alone: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health is a problem then, and metrics still tell the rest."""
    monkeypatch.setattr(probes, "_KEPT_S", 0.0)
    alone.settings.inbox_path.rename(alone.settings.inbox_path.with_name("away"))
    assert is_problem(alone.get("/health"), 503)
    assert ("asleep_webhooks_queued", "") in figures(alone)
    assert ("asleep_webhooks_inbox_events", "waiting") not in figures(alone)


@pytest.mark.parametrize("path", ["/", "/webhooks", "/webhooks/asleep/more", "/schema/none"])
def test_there_is_nothing_else(sender: Sender, path: str) -> None:
    """An address that does not exist is a problem like any other."""
    assert sender.get(path).status == 404
