"""`webhooks list|show|replay|purge|attempts`: what came is seen, tried again, or deleted."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from asleep_pipeline.asleep.events import SESSION_COMPLETE
from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline_tests.cli.desk import Desk
from asleep_pipeline_tests.webhooks.mail import NOW, SESSION, arrival, post

STATES = {1: "waiting", 2: "done", 3: "quarantined", 4: "dead"}


@pytest.fixture
def inbox(desk: Desk) -> Inbox:
    """An event of ann's in each state, in the order of `STATES`, and one of bob's in quarantine."""
    made = Inbox.create(desk.data_dir / "webhooks" / "inbox.sqlite")
    events = [arrival(block) for block in range(3)]
    post(made, *events, arrival(None, name=SESSION_COMPLETE), arrival(5, user="bob"), events[0])
    made.settle([2], "done", now=NOW)
    made.settle([3, 5], "quarantined", now=NOW)
    made.fail([(4, "its session has no start")], tries=1, now=NOW)
    return made


def states(inbox: Inbox) -> dict[int, str]:
    """The state of each event."""
    return {event.id: event.status for event in inbox.events()}


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], [5, 4, 3, 2, 1]),
        (["--limit", "2"], [5, 4]),
        (["--status", "quarantined"], [5, 3]),
        (["--status", "quarantined", "--user", "ann"], [3]),
        (["--user", "bob"], [5]),
        (["--event", SESSION_COMPLETE], [4]),
        (["--status", "done", "--event", SESSION_COMPLETE], []),
    ],
)
def test_events_are_listed_newest_first(
    desk: Desk, inbox: Inbox, options: list[str], ids: list[int]
) -> None:
    """What came is listed, narrowed by state, user and event."""
    assert [row["id"] for row in desk("webhooks", "list", *options, "--json").data] == ids


def test_a_listed_event_says_what_it_is_not_what_it_holds(desk: Desk, inbox: Inbox) -> None:
    """A list names times, sizes and problems, and shows no body."""
    said = desk("webhooks", "list", "--json")
    dead = next(row for row in said.data if row["id"] == 4)
    assert dead == {
        "id": 4,
        "status": "dead",
        "event": SESSION_COMPLETE,
        "version": "V3",
        "key_name": "default",
        "user_id": "ann",
        "session_id": SESSION,
        "received_at": "2026-01-11T06:00:00Z",
        "bytes": len(arrival(None, name=SESSION_COMPLETE).body),
        "duplicates": 0,
        "tries": 1,
        "problem": "its session has no start",
        "settled_at": "2026-01-11T06:00:00Z",
    }
    assert "inference_seq_num" not in said.out
    assert SESSION in desk("webhooks", "list").out


def test_one_event_is_shown_with_its_body(desk: Desk, inbox: Inbox) -> None:
    """The body is shown as it came, in the table and in JSON."""
    shown = desk("webhooks", "show", "4", "--json").data
    body = arrival(None, name=SESSION_COMPLETE).body.decode()
    assert (shown["status"], shown["body"]) == ("dead", body)
    assert json.loads(shown["body"])["data"]["user_id"] == "ann"
    assert '"version": "V3"' in desk("webhooks", "show", "4").out


def test_chosen_events_are_replayed(desk: Desk, inbox: Inbox) -> None:
    """Events named by id wait again, whatever their state."""
    assert desk("webhooks", "replay", "2", "4", "--json").data == {"replayed": 2}
    assert states(inbox) == STATES | {2: "waiting", 4: "waiting", 5: "quarantined"}


def test_all_in_a_state_are_replayed(desk: Desk, inbox: Inbox) -> None:
    """A whole state waits again, of one user or of all."""
    of_bob = desk("webhooks", "replay", "--status", "quarantined", "--user", "bob", "--json")
    assert of_bob.data == {"replayed": 1}
    assert states(inbox) == STATES | {5: "waiting"}
    assert desk("webhooks", "replay", "--status", "dead", "--json").data == {"replayed": 1}
    assert states(inbox) == STATES | {4: "waiting", 5: "waiting"}


@pytest.mark.parametrize(
    "arguments", [[], ["4", "--status", "dead"], ["--user", "ann"], ["4", "--user", "ann"]]
)
def test_an_unclear_replay_is_refused(desk: Desk, inbox: Inbox, arguments: list[str]) -> None:
    """Neither ids nor a state, or both, replays nothing."""
    said = desk("webhooks", "replay", *arguments)
    assert said.code == ExitCode.USAGE
    assert "--status dead or quarantined" in said.err
    assert states(inbox) == STATES | {5: "quarantined"}


@pytest.mark.parametrize("command", ["show", "replay"])
def test_an_id_that_is_none_is_named(desk: Desk, inbox: Inbox, command: str) -> None:
    """An id without an event is refused by its number, and nothing is replayed."""
    said = desk("webhooks", command, *(["4", "77"] if command == "replay" else ["77"]))
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert "no event 77" in said.err
    assert "webhooks list" in said.err
    assert states(inbox)[4] == "dead"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["show", "four"], "ID"),
        (["list", "--status", "lost"], "lost"),
        (["list", "--limit", "0"], "limit"),
        (["replay", "--status", "done"], "done"),
        (["purge", "--status", "dead"], "--older-than"),
        (["purge", "--older-than", "3"], "--status"),
        (["purge", "--status", "dead", "--older-than", "-1"], "older-than"),
    ],
)
def test_a_value_that_cannot_be_one_is_named(
    desk: Desk, inbox: Inbox, arguments: list[str], named: str
) -> None:
    """Wrong values are refused by name, and nothing changes."""
    said = desk("webhooks", *arguments)
    assert said.code == ExitCode.USAGE
    assert named in said.err
    assert states(inbox) == STATES | {5: "quarantined"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["show", "1"],
        ["replay", "1"],
        ["replay", "--status", "dead"],
        ["purge", "--status", "dead", "--older-than", "0", "--yes"],
        ["attempts"],
    ],
)
def test_without_an_inbox_they_say_who_makes_it(desk: Desk, arguments: list[str]) -> None:
    """Where nothing was received yet, every command says so, and makes nothing."""
    said = desk("webhooks", *arguments)
    assert (said.code, said.out) == (ExitCode.FAILED, "")
    assert "There is no inbox" in said.err
    assert "webhooks serve" in said.err
    assert not desk.data_dir.exists()


def test_processed_events_are_purged_unasked(desk: Desk, inbox: Inbox) -> None:
    """What has been processed is in the lake, so nobody is asked."""
    said = desk("webhooks", "purge", "--status", "done", "--older-than", "0", "--json")
    assert said.data == {"deleted": 1}
    assert 2 not in states(inbox)


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_unprocessed_events_are_purged_by_a_yes_only(
    desk: Desk, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """What is nowhere else is deleted only by who says so; nobody at the terminal says nothing."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    said = desk("webhooks", "purge", "--status", "quarantined", "--older-than", "0")
    assert (said.code, said.out.strip()) == (ExitCode.FAILED, "")
    assert "Delete 2 quarantined events" in said.err
    assert states(inbox) == STATES | {5: "quarantined"}


@pytest.mark.parametrize(("options", "answer"), [(["--yes"], ""), ([], "y\n")])
def test_unprocessed_events_are_purged_by_a_yes(
    desk: Desk,
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    answer: str,
) -> None:
    """A yes, at the terminal or on the command line, deletes them."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    arguments = ["--status", "quarantined", "--older-than", "0", *options, "--json"]
    assert desk("webhooks", "purge", *arguments).data == {"deleted": 2}
    assert states(inbox) == {1: "waiting", 2: "done", 4: "dead"}


def test_what_is_younger_stays(desk: Desk, inbox: Inbox) -> None:
    """Only what has been in its state for more days is deleted."""
    inbox.replay([4], now=datetime.now(UTC))
    inbox.settle([4], "done", now=datetime.now(UTC) - timedelta(days=2))
    for days, deleted in (("3", 1), ("1", 1)):
        said = desk("webhooks", "purge", "--status", "done", "--older-than", days, "--json")
        assert said.data == {"deleted": deleted}


def test_attempts_are_listed_by_second(desk: Desk, inbox: Inbox) -> None:
    """The audit tells when, from where, with whose key, what, and what came of it."""
    rows = desk("webhooks", "attempts", "--json").data
    assert rows[0] == {
        "time": "2026-01-11T06:00:00Z",
        "source": "192.0.2.1",
        "key_name": "default",
        "event": "INFERENCE_COMPLETE",
        "outcome": "duplicate",
        "attempts": 1,
    }
    assert [row["attempts"] for row in rows] == [1, 4, 1]
    assert len(desk("webhooks", "attempts", "--limit", "1", "--json").data) == 1
