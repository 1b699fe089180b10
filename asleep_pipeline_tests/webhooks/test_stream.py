"""The stream of sessions in progress: real receivers, real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from asleep_pipeline.access.callers import Caller
from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import LakeUser, mark_gone
from asleep_pipeline.webhooks import stream
from asleep_pipeline.webhooks.channels import Channel, Position
from asleep_pipeline.webhooks.serving import running
from asleep_pipeline.webhooks.stream import STREAM_PATH, Streams, _Stream
from asleep_pipeline_tests.webhooks.nights_live import (
    SESSION,
    START,
    Nights,
    complete,
    inference,
    nights,
    wait_for,
)

KEY = "a-key-of-the-tests"
Said = tuple[str, dict[str, Any], str | None]
"""Name, data and id of an event."""


@dataclass
class Desk:
    """A receiver that runs, and tokens for it."""

    url: str
    tokens: Tokens
    made: Nights

    def token(self, org_id: str = "acme") -> str:
        """A new token."""
        return self.tokens.create(org_id, "test", now=datetime.now(UTC))[1]

    def post(self, user_id: str, *bodies: bytes) -> None:
        """Send events as Asleep does."""
        for body in bodies:
            headers = {"x-api-key": KEY, "x-user-id": user_id}
            answer = httpx.post(f"{self.url}/webhooks/asleep", content=body, headers=headers)
            assert answer.status_code == 200, answer.text

    @contextmanager
    def stream(self, token: str, last_id: str | None = None) -> Iterator[Iterator[Said]]:
        """Listen."""
        headers = {"authorization": f"Bearer {token}"}
        if last_id:
            headers["last-event-id"] = last_id
        address = f"{self.url}{STREAM_PATH}"
        with httpx.stream("GET", address, headers=headers, timeout=30) as answer:
            assert answer.status_code == 200, answer.read()
            yield said(answer.iter_lines())

    def get(self, **options: Any) -> httpx.Response:
        """Ask for a stream, to be refused."""
        return httpx.get(f"{self.url}{STREAM_PATH}", **options)


def said(lines: Iterator[str]) -> Iterator[Said]:
    """The events of a stream, as a browser reads them."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "event" in fields:
                yield fields["event"], json.loads(fields["data"]), fields.get("id")
            fields = {}


def snapshot(events: Iterator[Said]) -> tuple[list[tuple[str, int]], str | None]:
    """Who is in a snapshot, and how far, and its id."""
    name, data, _ = next(events)
    assert name == "snapshot"
    sessions = [next(events) for _ in range(data["sessions"])]
    assert {name for name, _, _ in sessions} <= {"session"}
    name, _, last_id = next(events)
    assert name == "ready"
    return [(data["user_id"], data["epochs"]) for _, data, _ in sessions], last_id


def brief(event: Said) -> tuple[str, str, int]:
    """What an update is about."""
    name, data, _ = event
    return name, data["user_id"], data.get("epochs", 0)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Nights]:
    """A deployment."""
    with nights(tmp_path, api_key=KEY) as deployment:
        yield deployment


@pytest.fixture
def desk(made: Nights) -> Iterator[Desk]:
    """Its receiver."""
    with receiving(made) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A receiver for those who are not let in."""
    folder = tmp_path_factory.mktemp("door")
    with nights(folder, api_key=KEY) as deployment, receiving(deployment) as receiver:
        yield receiver


@contextmanager
def receiving(made: Nights) -> Iterator[Desk]:
    """Run a receiver."""
    with running(made.settings) as receiver:
        yield Desk(receiver.base_url, Tokens(made.settings.access_path), made)


def test_a_snapshot_then_every_change(desk: Desk) -> None:
    """Sessions so far, then what is new of each, then that it is complete."""
    desk.post("ann", inference("ann", 0, (0, 0, 1, 1, 1, 1, 2, 2, 2, -1)))
    desk.made.publishes(("ann", 10))
    with desk.stream(desk.token()) as events:
        _, count, _ = next(events)
        _, session, _ = next(events)
        assert count == {"sessions": 1}
        assert session["sleep_stages"] == [0, 0, 1, 1, 1, 1, 2, 2, 2, -1]
        assert session["breath_stages"] is None
        assert session["started_at"] == START.isoformat().replace("+00:00", "Z")
        name, _, ready_id = next(events)
        assert name == "ready"
        assert ready_id
        desk.post("ann", inference("ann", 2, (3,) * 10))
        name, update, last_id = next(events)
        assert (name, last_id) == ("update", f"{ready_id.partition('-')[0]}-2")
        told = {n: update[n] for n in ("epochs", "gaps", "stage_now", "asleep_s", "from_epoch")}
        assert told == {
            "epochs": 30,
            "gaps": [[10, 20]],
            "stage_now": "rem",
            "asleep_s": 510,
            "from_epoch": 20,
        }
        assert update["sleep_stages"] == [3] * 10
        desk.post("ann", complete("ann"))
        name, completed, _ = next(events)
        assert (name, completed["session_id"]) == ("completed", SESSION)
    with desk.stream(desk.token()) as events:
        assert snapshot(events)[0] == []


def test_only_the_own_organisation_is_seen(desk: Desk) -> None:
    """Neither another organisation's sessions nor those of unknown users come."""
    desk.post("fay", inference("fay", 0))
    desk.post("eve", inference("eve", 0))
    desk.made.publishes(("fay", 10))
    with desk.stream(desk.token("acme")) as acme, desk.stream(desk.token("duo")) as duo:
        assert snapshot(acme)[0] == []
        assert snapshot(duo)[0] == [("fay", 10)]
        desk.post("fay", inference("fay", 1))
        desk.post("eve", inference("eve", 1))
        desk.post("ann", inference("ann", 0))
        assert brief(next(acme)) == ("update", "ann", 10)
        assert brief(next(duo)) == ("update", "fay", 20)


def test_whoever_comes_back_gets_what_was_missed(desk: Desk) -> None:
    """With the last id, all changes since then and no others, without a snapshot."""
    token = desk.token()
    desk.post("ann", inference("ann", 0))
    desk.made.publishes(("ann", 10))
    with desk.stream(token) as events:
        snapshot(events)
        desk.post("ann", inference("ann", 1), inference("ann", 2))
        _, _, last_id = next(events)
    desk.post("ann", inference("ann", 3))
    with desk.stream(token, last_id) as events:
        assert brief(next(events)) == ("update", "ann", 30)
        assert brief(next(events)) == ("update", "ann", 40)


def test_whoever_comes_back_after_a_restart(made: Nights) -> None:
    """A restart loses nothing either: all is told anew, what was lost on the way included."""
    with receiving(made) as desk, desk.stream(desk.token()) as events:
        snapshot(events)
        desk.post("ann", inference("ann", 0))
        desk.post("bob", inference("bob", 0))
        _, _, last_id = next(events)
    mark_gone(Lake.open(made.settings.lake_dir), [LakeUser("bob", "acme", None)], datetime.now(UTC))
    with receiving(made) as desk, desk.stream(desk.token(), last_id) as events:
        assert snapshot(events)[0] == [("ann", 10)]


def test_an_adopted_user_appears_and_a_lost_one_goes(desk: Desk) -> None:
    """What the roster changes is told too, with ids that one can come back with."""
    desk.post("eve", inference("eve", 0))
    with desk.stream(desk.token()) as events:
        snapshot(events)
        desk.made.adopt(eve="acme")
        name, data, adopted_id = next(events)
        assert (name, data["user_id"], data["sleep_stages"]) == ("update", "eve", [1] * 10)
        lake = Lake.open(desk.made.settings.lake_dir)
        mark_gone(lake, [LakeUser("eve", "acme", None)], datetime.now(UTC))
        name, data, _ = next(events)
        assert (name, data) == ("gone", {"user_id": "eve", "session_id": SESSION})
    with desk.stream(desk.token(), adopted_id) as events:
        assert next(events)[0] == "gone"


def test_what_the_published_file_completes_is_told(desk: Desk) -> None:
    """A session whose end was never pushed is complete for readers once it was pulled."""
    desk.post("ann", inference("ann", 0))
    with desk.stream(desk.token()) as events:
        # Not before it is shown: of others there is nothing to tell.
        if not snapshot(events)[0]:
            assert next(events)[0] == "update"
        desk.made.complete_in_warehouse("ann")
        told = next(event for event in events if event[0] != "update")
        assert told[0] == "completed"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer asl_guessed")],
        [("authorization", "Bearer")],
        [("authorization", "Basic YTpi")],
        [("authorization", "TOKEN")],
        [("authorization", "Bearer TOKEN"), ("authorization", "Bearer TOKEN")],
        [("authorization", "Bearer REVOKED")],
        [("x-api-key", KEY)],
    ],
    ids=["none", "wrong", "empty", "basic", "bare", "two", "revoked", "api key"],
)
def test_strangers_are_refused(door: Desk, headers: list[tuple[str, str]]) -> None:
    """Without one token that holds there is the same problem for all, and no more."""
    token, revoked = door.token(), door.token()
    door.tokens.revoke(door.tokens.all()[-1].id, now=datetime.now(UTC))
    given = [(n, v.replace("TOKEN", token).replace("REVOKED", revoked)) for n, v in headers]
    answer = door.get(headers=given)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="asleep-pipeline"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": stream._UNKNOWN,
    }


@pytest.mark.parametrize("name", ["token", "access_token", "Token", "anything"])
def test_a_token_in_the_address_is_refused(door: Desk, name: str) -> None:
    """Addresses are logged everywhere, so that a token must not be in one, even a good one."""
    token = door.token()
    answer = door.get(params={name: token}, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 400
    assert "revoke it" in answer.json()["detail"]
    assert token not in answer.text


def test_revoking_a_token_ends_its_streams(desk: Desk) -> None:
    """A stream that is open ends, and others do not."""
    with desk.stream(desk.token()) as revoked, desk.stream(desk.token()) as other:
        snapshot(revoked)
        snapshot(other)
        desk.tokens.revoke(1, now=datetime.now(UTC))
        assert list(revoked) == []
        desk.post("ann", inference("ann", 0))
        assert brief(next(other)) == ("update", "ann", 10)


@pytest.mark.parametrize("role", [Role.ANALYST, Role.MEMBER])
def test_whoever_may_not_see_everybody_is_refused(door: Desk, role: Role) -> None:
    """The stream tells of all users of an organisation, so that it is not for all of its members."""
    user_id = "ann" if role is Role.MEMBER else None
    _, token = door.tokens.create("acme", "x", now=START, role=role, user_id=user_id)
    answer = door.get(headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert opens(door, door.tokens.create("acme", "x", now=START, role=Role.OWNER)[1])


def test_streams_are_limited(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An organisation has so many at a time, whatever others do, and may come back."""
    monkeypatch.setattr(stream, "MOST_OF_ONE", 1)
    token = desk.token()
    headers = {"authorization": f"Bearer {token}"}
    with desk.stream(token) as events, desk.stream(desk.token("duo")) as others:
        snapshot(events)
        snapshot(others)
        answer = desk.get(headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    wait_for(lambda: opens(desk, token))


def opens(desk: Desk, token: str) -> bool:
    """Whether a stream can be opened."""
    headers = {"authorization": f"Bearer {token}"}
    with httpx.stream("GET", f"{desk.url}{STREAM_PATH}", headers=headers) as answer:
        return answer.status_code == 200


def test_tokens_that_cannot_be_read(desk: Desk) -> None:
    """Nobody is let in while nobody can be checked."""
    token = desk.token()
    desk.tokens.path.write_bytes(b"no database" * 1000)
    answer = desk.get(headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_silence_is_broken(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments keep proxies from closing a stream that has nothing to say."""
    monkeypatch.setattr(stream, "_HEARTBEAT_S", 0.0)
    headers = {"authorization": f"Bearer {desk.token()}"}
    with httpx.stream("GET", f"{desk.url}{STREAM_PATH}", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers.get_list("cache-control") == ["no-store"]
        comments = (line for line in answer.iter_lines() if line.startswith(":"))
        assert [next(comments) for _ in range(3)][1:] == [": ", ": "]


def test_streams_end_with_the_receiver(made: Nights) -> None:
    """Whoever listens does not hold up the end, and is not cut off in the middle."""
    with receiving(made) as desk:
        listening = desk.stream(desk.token())
        events = listening.__enter__()
        snapshot(events)
    # A connection that was cut would raise.
    assert list(events) == []
    listening.__exit__(None, None, None)


def test_sigterm_ends_streams(made: Nights) -> None:
    """The command ends well while somebody listens."""
    tokens = Tokens(made.settings.access_path)
    command = [sys.executable, "-m", "asleep_pipeline.cli", "webhooks", "serve", "--json"]
    environment = {"ASLEEP_DATA_DIR": str(made.settings.data_dir), "ASLEEP_API_KEY": KEY}
    with subprocess.Popen(
        [*command, "--port", "0"],
        cwd=made.settings.data_dir,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            told = "".join(iter(process.stdout.readline, "}\n")) + "}"
            url = json.loads(told)["url"].removesuffix("/webhooks/asleep")
            desk = Desk(url, tokens, made)
            with desk.stream(desk.token()) as events:
                snapshot(events)
                process.send_signal(signal.SIGTERM)
                assert list(events) == []
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


async def test_a_slow_reader_begins_again(made: Nights) -> None:
    """Who has fallen behind what is kept gets a snapshot, with all that was missed in it."""
    Tokens(made.settings.access_path).create("acme", "test", now=START)
    made.arrive("ann", inference("ann", 0))
    with made.followed() as live:
        made.publishes(("ann", 10))
        live.board._channels["acme"] = Channel(Position(1), kept=3)
        caller = Caller("acme", Role.ADMIN, "token:1", None, 1)
        messages = _Stream(live, Credentials.of(made.settings), caller).messages("")
        names = [(await anext(messages)).event for _ in range(4)]
        assert names == [None, "snapshot", "session", "ready"]
        made.arrive("ann", *(inference("ann", block) for block in range(1, 9)))
        wait_for(lambda: live.board.channel("acme").end[0] == 8)
        names = [(await anext(messages)).event for _ in range(3)]
        assert names == ["snapshot", "session", "ready"]
        made.arrive("ann", inference("ann", 9))
        assert (await anext(messages)).event == "update"
        await messages.aclose()


async def test_nothing_is_kept_for_nobody(made: Nights) -> None:
    """As long as nobody of an organisation has listened, its changes are not even put into words."""
    made.arrive("ann", inference("ann", 0))
    with made.followed() as live:
        made.publishes(("ann", 10))
        assert live.board._channels == {}
        assert len(Streams(live, Credentials.of(made.settings))) == 0


def test_sessions_and_streams_are_measured(desk: Desk) -> None:
    """Prometheus is told how many there are, and of what could not be read."""
    desk.post("ann", inference("ann", 0), inference("ann", 1, (9,) * 10))
    desk.made.publishes(("ann", 10))
    with desk.stream(desk.token()) as events:
        snapshot(events)
        figures = httpx.get(f"{desk.url}/metrics").text
    assert "asleep_live_sessions 1.0" in figures
    assert "asleep_live_streams 1.0" in figures
    assert "asleep_live_unreadable_total 1.0" in figures
    assert "asleep_live_published_timestamp_seconds" in figures
