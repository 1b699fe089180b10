"""The inbox: which events are the same, how they move on, and what is deleted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.asleep.events import INFERENCE_COMPLETE, SESSION_COMPLETE
from asleep_pipeline.errors import InboxError
from asleep_pipeline.webhooks import inbox as module
from asleep_pipeline.webhooks.inbox import (
    Arrival,
    Depth,
    Inbox,
    Status,
)
from asleep_pipeline.webhooks.storage import connect, from_micros, micros, transaction
from asleep_pipeline_tests.webhooks.mail import NOW, arrival, post

LATER = NOW + timedelta(minutes=1)
STATES: tuple[Status, ...] = ("waiting", "done", "quarantined", "dead")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """An empty inbox."""
    return Inbox.create(tmp_path / "webhooks" / "inbox.sqlite")


def states(inbox: Inbox) -> dict[int, Status]:
    """The state of each event."""
    return {event.id: event.status for event in inbox.events()}


def test_an_event_comes_out_as_it_went_in(inbox: Inbox) -> None:
    """Body, user, session, key and instant of an event are kept to the last byte and microsecond."""
    at = NOW + timedelta(microseconds=1)
    came = replace(
        arrival(3, key_name="acme", at=at), body=b'{"\x00 anything": "\xf0\x9f\x98\xb4"}'
    )
    post(inbox, came)
    (kept,) = inbox.events()
    assert (kept.status, kept.tries, kept.duplicates, kept.settled_at) == ("waiting", 0, 0, None)
    assert (kept.name, kept.version, kept.key_name) == (INFERENCE_COMPLETE, "V3", "acme")
    assert (kept.user_id, kept.session_id) == (came.user_id, came.event.session_id)
    assert (kept.received_at, kept.body) == (at, came.body)
    assert inbox.event(kept.id) == kept
    assert inbox.event(kept.id + 1) is None


@pytest.mark.parametrize(
    "other",
    [
        arrival(1),
        arrival(None),
        arrival(user="bob"),
        arrival(key_name="acme"),
        arrival(session="20260110230000_bbbbb"),
        arrival(name=SESSION_COMPLETE),
        arrival(name="SOMETHING_NEW"),
    ],
)
def test_another_event_is_another(inbox: Inbox, other: Arrival) -> None:
    """Block, user, key, session and name tell events apart, so nobody can take another's place."""
    assert post(inbox, arrival(0), other) == ["stored", "stored"]


def test_a_block_counts_once(inbox: Inbox) -> None:
    """A block of a session that comes again, with other words even, is a duplicate; the first stays."""
    first = arrival(3)
    assert post(inbox, first, first, arrival(3, padding="other")) == [
        "stored",
        "duplicate",
        "duplicate",
    ]
    (kept,) = inbox.events()
    assert (kept.body, kept.duplicates) == (first.body, 2)


@pytest.mark.parametrize("name", [SESSION_COMPLETE, "SOMETHING_NEW", ""])
def test_any_other_event_counts_once_a_body(inbox: Inbox, name: str) -> None:
    """A session that is complete with other numbers is news, with the same ones a duplicate."""
    first, second = arrival(None, name=name), arrival(None, name=name, padding="recomputed")
    assert post(inbox, first, second, first, second) == [
        "stored",
        "stored",
        "duplicate",
        "duplicate",
    ]


def test_an_inference_that_names_no_session_counts_once_a_body(inbox: Inbox) -> None:
    """Without a session, the block does not tell events apart."""
    first, second = arrival(3, session=""), arrival(3, session="", padding="other")
    assert post(inbox, first, second, first) == ["stored", "stored", "duplicate"]


part = st.text("ab:0", max_size=3)
names = st.tuples(part, part, part)


@given(names, names)
def test_no_names_run_together(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Keys, users and sessions whose names only together look alike are different events."""
    keys = {
        replace(arrival(None, key_name=key_name, user=user, session=session), body=b"{}").key
        for key_name, user, session in (one, other)
    }
    assert len(keys) == len({one, other})


def test_instants_are_exact() -> None:
    """Every microsecond comes back as it was."""
    for moment in (NOW, NOW + timedelta(microseconds=1), NOW.replace(year=1969), NOW.max):
        aware = moment.replace(tzinfo=NOW.tzinfo)
        assert from_micros(micros(aware)) == aware


def test_settled_events_do_not_wait(inbox: Inbox) -> None:
    """An event is in one state at a time, since the instant that it was told to be."""
    post(inbox, *(arrival(block) for block in range(4)))
    for number, status in enumerate(STATES[1:], start=2):
        inbox.settle([number], status, now=LATER)
    assert states(inbox) == {1: "waiting", 2: "done", 3: "quarantined", 4: "dead"}
    for number, status in enumerate(STATES, start=1):
        (event,) = inbox.events(status)
        assert event.id == number
        assert event.settled_at == (None if status == "waiting" else LATER)
    assert inbox.depth() == Depth(1, 1, 1, NOW)


def test_settling_twice_changes_nothing(inbox: Inbox) -> None:
    """What is in a state already has been there since the first time."""
    post(inbox, arrival())
    inbox.settle([1], "done", now=LATER)
    before = inbox.event(1)
    inbox.settle([1, 2], "done", now=LATER + timedelta(hours=1))
    assert inbox.event(1) == before


def test_the_oldest_that_waits_is_told(inbox: Inbox) -> None:
    """How long events have waited is seen from the oldest; an empty inbox has none."""
    assert inbox.depth() == Depth(0, 0, 0, None)
    post(inbox, *(arrival(n, at=NOW + timedelta(minutes=n)) for n in range(3)))
    inbox.settle([1], "done", now=LATER)
    assert inbox.depth().oldest_waiting_at == NOW + timedelta(minutes=1)


def test_an_event_that_fails_too_often_is_dead(inbox: Inbox) -> None:
    """An event waits until it has failed as often as it may; each failure leaves its reason."""
    post(inbox, arrival(), arrival(1))
    for tries in (1, 2):
        inbox.fail([(1, f"try {tries}")], tries=3, now=LATER)
        failed = inbox.event(1)
        assert failed is not None
        assert (failed.status, failed.tries, failed.problem) == ("waiting", tries, f"try {tries}")
    inbox.fail([(1, "try 3")], tries=3, now=LATER)
    (dead,) = inbox.events("dead")
    assert (dead.id, dead.tries, dead.problem, dead.settled_at) == (1, 3, "try 3", LATER)
    assert [event.id for event in inbox.events("waiting")] == [2]


@pytest.mark.parametrize("status", STATES)
def test_a_replayed_event_has_all_its_tries(inbox: Inbox, status: Status) -> None:
    """Whatever its state, a replayed event waits as if it had just come; ids that are none are not counted."""
    post(inbox, arrival(), arrival(1))
    inbox.fail([(1, "bad")], tries=9, now=NOW)
    inbox.settle([1], status, now=NOW)
    assert inbox.replay([1, 77], now=LATER) == 1
    replayed = inbox.event(1)
    assert replayed is not None
    assert (replayed.status, replayed.tries, replayed.problem) == ("waiting", 0, None)


def test_a_duplicate_of_a_processed_event_is_no_news(inbox: Inbox) -> None:
    """What comes again after it was processed is not processed again."""
    post(inbox, arrival())
    inbox.settle([1], "done", now=LATER)
    assert post(inbox, arrival()) == ["duplicate"]
    assert states(inbox) == {1: "done"}


def test_events_are_found_by_what_they_are(inbox: Inbox) -> None:
    """State, name, user and place in the order narrow what is listed, alone and together."""
    people = ("ann", "bob", "ann", "bob")
    kinds = (INFERENCE_COMPLETE, INFERENCE_COMPLETE, SESSION_COMPLETE, SESSION_COMPLETE)
    post(
        inbox,
        *(arrival(n, user=u, name=k) for n, (u, k) in enumerate(zip(people, kinds, strict=True))),
    )
    inbox.settle([4], "quarantined", now=LATER)

    def ids(status: Status | None = None, **wanted: int | str) -> list[int]:
        return [event.id for event in inbox.events(status, **wanted)]  # type: ignore[arg-type]

    assert ids() == [1, 2, 3, 4]
    assert ids(after=2) == [3, 4]
    assert ids(limit=2) == [1, 2]
    assert ids("waiting", user_id="bob") == [2]
    assert ids(name=SESSION_COMPLETE) == [3, 4]
    assert ids("quarantined", user_id="ann") == []
    assert inbox.users_in_quarantine() == ["bob"]


def test_ids_are_never_given_twice(inbox: Inbox) -> None:
    """After the newest event is deleted, the next one has a number of its own: who follows sees it."""
    post(inbox, arrival())
    inbox.settle([1], "done", now=NOW)
    inbox.purge("done", before=LATER)
    post(inbox, arrival())
    assert states(inbox) == {2: "waiting"}


@pytest.mark.parametrize("status", STATES)
def test_purging_takes_only_what_is_old_and_in_that_state(inbox: Inbox, status: Status) -> None:
    """Deleted is what came into the state before the instant; younger and other events stay."""
    post(inbox, *(arrival(n) for n in range(8)))
    for number, other in enumerate(STATES):
        inbox.settle([2 * number + 1], other, now=NOW)
        inbox.settle([2 * number + 2], other, now=LATER)
    # What has always waited does so since its arrival.
    gone = {2 * STATES.index(status) + n for n in ((1, 2) if status == "waiting" else (1,))}
    assert inbox.purge(status, before=LATER) == len(gone)
    assert set(states(inbox)) == set(range(1, 9)) - gone


def test_purging_events_leaves_the_attempts(inbox: Inbox) -> None:
    """The audit of attempts has an age of its own."""
    post(inbox, arrival(), arrival(1, at=LATER))
    inbox.purge("waiting", before=LATER + timedelta(days=1))
    assert attempt_rows(inbox) == 2
    assert inbox.purge_attempts(before=LATER) == 1
    assert attempt_rows(inbox) == 1
    assert inbox.purge_attempts(before=LATER) == 0


def attempt_rows(inbox: Inbox) -> int:
    """How many rows the audit has."""
    with inbox.connection() as con:
        (rows,) = con.execute("SELECT count(*) FROM attempt").fetchone()
    return int(rows)


def test_many_are_moved_and_deleted_in_pieces(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than fit into one transaction are moved, replayed and deleted, to the last one."""
    monkeypatch.setattr(module, "_CHUNK", 3)
    post(inbox, *(arrival(n, at=NOW + timedelta(seconds=n // 4)) for n in range(11)))
    ids = range(1, 12)
    inbox.fail([(n, "bad") for n in ids], tries=1, now=NOW)
    assert inbox.depth().dead == 11
    assert inbox.replay(ids, now=NOW) == 11
    inbox.settle(ids, "done", now=NOW)
    assert inbox.purge("done", before=LATER) == 11
    assert inbox.purge_attempts(before=NOW + timedelta(seconds=2)) == 2
    assert attempt_rows(inbox) == 1


@pytest.mark.parametrize(
    "question",
    [f"SELECT id FROM event WHERE {module.IS[status]}" for status in STATES]
    + [f"SELECT id FROM event WHERE {module.IS['done']} AND settled_at < 5"],
)
def test_no_state_is_searched_for_in_all_events(inbox: Inbox, question: str) -> None:
    """Finding the events of a state needs no look at the others, of which there may be millions."""
    with inbox.connection() as con:
        (plan,) = con.execute(f"EXPLAIN QUERY PLAN {question}").fetchall()
    assert "INDEX" in plan[-1]


def test_a_writer_finds_its_turn_between_the_pieces_of_others(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While thousands of events are moved on, a transaction of another connection gets in between."""
    monkeypatch.setattr(module, "_CHUNK", 1)
    post(inbox, *(arrival(n) for n in range(100)))
    is_settled = threading.Event()

    def settle() -> None:
        inbox.settle(range(1, 101), "done", now=NOW)
        is_settled.set()

    mover = threading.Thread(target=settle)
    mover.start()
    turns = 0
    while not is_settled.is_set():
        assert post(inbox, arrival(1_000 + turns)) == ["stored"]
        turns += 1
    mover.join()
    assert turns > 1
    assert set(states(inbox).values()) == {"done", "waiting"}


def test_others_may_hold_the_lock_for_so_long_only(inbox: Inbox) -> None:
    """A transaction that others do not let begin fails as busy, and leaves the connection usable."""
    with inbox.connection() as holder, inbox.connection() as other:
        blocked = transaction(other, patience_s=0.01)
        with transaction(holder), pytest.raises(sqlite3.OperationalError, match="locked"):
            blocked.__enter__()
        with transaction(other):
            other.execute("DELETE FROM event")


def test_a_transaction_that_fails_leaves_nothing(inbox: Inbox) -> None:
    """What a block wrote before it raised is taken back."""
    post(inbox, arrival())
    with inbox.connection() as con:
        with suppress(ZeroDivisionError), transaction(con):
            con.execute("DELETE FROM event")
            raise ZeroDivisionError
        assert con.execute("SELECT count(*) FROM event").fetchone() == (1,)


def test_making_an_inbox_that_is_there_keeps_it(inbox: Inbox) -> None:
    """Who starts again finds what was there."""
    post(inbox, arrival())
    assert Inbox.create(inbox.path) == inbox
    assert len(inbox.events()) == 1


def test_several_processes_may_make_it_at_once(tmp_path: Path) -> None:
    """Receiver, follower and drain may start together on an empty folder."""
    code = f"""
import sys
from pathlib import Path
from asleep_pipeline.webhooks.inbox import Inbox
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.read()
for number in range(20):
    Inbox.create(Path({str(tmp_path)!r}) / str(number) / "inbox.sqlite")
"""
    pipe = subprocess.PIPE
    makers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) for _ in range(3)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.close()
        maker.stdin = None
    outputs: Sequence[bytes] = [maker.communicate()[0] for maker in makers]
    assert ([maker.returncode for maker in makers], outputs) == ([0, 0, 0], [b"", b"", b""])


def test_every_commit_is_synced_to_the_disk(inbox: Inbox) -> None:
    """Connections write ahead, and wait for the disk at each commit."""
    con = connect(inbox.path)
    assert con.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert con.execute("PRAGMA synchronous").fetchone() == (2,)
    con.close()


def test_an_inbox_that_is_not_there_is_not_made_by_opening(tmp_path: Path) -> None:
    """Who only looks is told that there is nothing, and nothing is made."""
    path = tmp_path / "inbox.sqlite"
    with pytest.raises(InboxError, match="There is no inbox"):
        Inbox.open(path)
    assert not path.exists()


def test_a_file_that_is_no_inbox_is_named(tmp_path: Path) -> None:
    """A file that SQLite cannot read is refused by its name, with what to do."""
    path = tmp_path / "inbox.sqlite"
    path.write_bytes(b"no database, but long enough to look like one" * 30)
    for ask in (Inbox.create, lambda path: Inbox.open(path).depth()):
        with pytest.raises(InboxError, match=r"inbox\.sqlite cannot be used") as caught:
            ask(path)
        assert caught.value.fix


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """An inbox below a file is refused by its name."""
    (tmp_path / "file").touch()
    with pytest.raises(InboxError, match=r"file/inbox\.sqlite cannot be used"):
        Inbox.create(tmp_path / "file" / "inbox.sqlite")


def test_the_columns_are_the_fields() -> None:
    """What is read from the file is what an event is said to hold."""
    assert module._COLUMNS.split(", ") == [field.name for field in fields(module.StoredEvent)]
