"""`webhooks send`: one event by hand."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from asleep_pipeline.asleep import decode_session
from asleep_pipeline.asleep.events import read_event, read_inference, read_session
from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.settings import load_settings
from asleep_pipeline.simulator import Clock, Faults, SimulatorOptions, World
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.serving import running
from asleep_pipeline_tests.cli.desk import Desk
from asleep_pipeline_tests.simulator.receiver import Got, Receiver, receiving

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXMh"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of its own for each test."""
    with receiving() as started:
        yield started


@pytest.fixture
def demo(desk: Desk) -> Desk:
    """A desk at the folder of a demo."""
    desk.data_dir.mkdir()
    (desk.data_dir / "demo-roster.csv").write_text("user_id\nmade-up\n", encoding="utf-8")
    return desk


def sent(desk: Desk, receiver: Receiver, *options: str, **settings: str | None) -> Got:
    """Send one event, and return what came of it."""
    said = desk("webhooks", "send", "--url", receiver.url, "--json", *options, **settings)
    assert said.code == ExitCode.OK, said.err
    assert said.data == {"status": 200, "answer": "ok"}
    (got,) = receiver.got
    return got


def test_somebody_gets_a_believable_night(desk: Desk, receiver: Receiver) -> None:
    """A night that has just ended, with the default key, of a user nobody knows."""
    got = sent(desk, receiver, "--user", "somebody")
    event, said = read_event(got.body), read_session(got.body)
    assert (event.name, event.version, event.user_id) == ("SESSION_COMPLETE", "V3", "somebody")
    assert (got.headers["x-api-key"], got.headers["x-user-id"]) == ("simulator", "somebody")
    assert said.stat
    assert said.session.end_time
    assert timedelta() < datetime.now(UTC) - said.session.end_time < timedelta(minutes=10)


def test_windows_end_where_they_are_wanted(desk: Desk, receiver: Receiver) -> None:
    """An event in progress, in an older envelope, of a session that is named."""
    session_id = "20260501220000_abcde"
    options = ["--event", "INFERENCE_COMPLETE", "--session", session_id, "--seq", "119"]
    got = sent(desk, receiver, "--user", "somebody", *options, "--version", "V2")
    event, said = read_event(got.body), read_inference(got.body)
    assert (event.version, event.session_id, event.block) == ("V2", session_id, 11)
    assert said.last_epoch == 119
    assert said.sleep_stages
    assert len(said.sleep_stages) == 40


def test_a_named_session_begins_when_its_id_says(desk: Desk, receiver: Receiver) -> None:
    """The digits of an id are the start in UTC."""
    got = sent(desk, receiver, "--user", "somebody", "--session", "20260501220000_abcde")
    said = read_session(got.body).session
    assert (said.id, said.start_time) == (
        "20260501220000_abcde",
        datetime(2026, 5, 1, 22, tzinfo=UTC),
    )


def test_the_key_is_that_of_the_users_organisation(desk: Desk, receiver: Receiver) -> None:
    """The roster says whose user it is."""
    keys = json.dumps({"acme": {"api_key": "of-acme"}})
    assert desk("users", "add", "somebody", "--org", "acme", organisations=keys).code == 0
    got = sent(desk, receiver, "--user", "somebody", organisations=keys)
    assert got.headers["x-api-key"] == "of-acme"


def test_the_demos_people_get_a_night_of_theirs(demo: Desk, receiver: Receiver) -> None:
    """One that the simulator's API tells as well, with the simulator's key."""
    world = World(SimulatorOptions(), Clock(), Faults())
    person = world.people[0]
    got = sent(demo, receiver, "--user", person.user_id, api_key=None)
    said = read_session(got.body)
    slot = world.find_session(person, said.session.id)
    assert slot
    assert said == decode_session(world.detail(slot, UTC, "UTC"))
    assert got.headers["x-api-key"] == "simulator"


def test_a_session_that_is_not_the_demos_is_refused(demo: Desk, receiver: Receiver) -> None:
    """The message names it."""
    user = World(SimulatorOptions(people=1), Clock(), Faults()).people[0].user_id
    said = demo("webhooks", "send", "--user", user, "--session", "no-such", "--url", receiver.url)
    assert said.code == ExitCode.USAGE
    assert "no-such" in said.err
    assert not receiver.got


def test_a_body_is_sent_as_it_is(desk: Desk, receiver: Receiver) -> None:
    """Byte for byte, even when it is no JSON."""
    (desk.folder / "body.json").write_bytes(b"\xff{ ")
    got = sent(desk, receiver, "--user", "somebody", "--body", "body.json")
    assert got.body == b"\xff{ "


def test_an_event_is_signed_when_that_is_asked_for(desk: Desk, receiver: Receiver) -> None:
    """By the secret that the receiver checks with."""
    got = sent(desk, receiver, "--user", "somebody", webhook_signing_secret=SECRET)
    assert Webhook(SECRET).verify(got.body, got.headers)["event"] == "SESSION_COMPLETE"


def test_a_refusal_is_shown_and_fails(desk: Desk, receiver: Receiver) -> None:
    """With its status, so that a script notices."""
    receiver.statuses.append(401)
    said = desk("webhooks", "send", "--user", "somebody", "--url", receiver.url, "--json")
    assert said.code == ExitCode.FAILED
    assert said.data["status"] == 401


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--url", "http://example.org/hook"], "https://"),
        (["--url", "nowhere"], "nowhere"),
        (["--event", "NOTHING"], "NOTHING"),
        (["--event", "INFERENCE_COMPLETE", "--seq", "5000"], "5000"),
        (["--body", "missing.json"], "missing.json"),
    ],
)
def test_what_cannot_be_sent_is_refused(desk: Desk, options: list[str], named: str) -> None:
    """Nothing is sent, and the message says why."""
    said = desk("webhooks", "send", "--user", "somebody", *options)
    assert said.code == ExitCode.USAGE
    assert named in said.err


def test_a_missing_receiver_is_named(desk: Desk) -> None:
    """With the command that starts one."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/hook"
    said = desk("webhooks", "send", "--user", "somebody", "--url", url)
    assert said.code == ExitCode.FAILED
    assert url in said.err
    assert "webhooks serve" in said.err


def test_our_receiver_takes_what_is_sent(desk: Desk) -> None:
    """An event sent by hand is in the inbox once the command ends."""
    names = ("api_key", "base_url", "data_dir")
    settings = load_settings(**{n: desk.environment[f"ASLEEP_{n.upper()}"] for n in names})
    with running(settings) as receiver:
        url = f"{receiver.base_url}/webhooks/asleep"
        said = desk("webhooks", "send", "--user", "somebody", "--url", url)
    assert said.code == ExitCode.OK, said.out
    (event,) = Inbox(settings.inbox_path).events()
    assert (event.name, event.user_id) == ("SESSION_COMPLETE", "somebody")
