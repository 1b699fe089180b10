"""The writer: answers after the commit, groups what waits, and survives a disk that fails."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asleep_pipeline.asleep.events import INFERENCE_COMPLETE
from asleep_pipeline.webhooks import writer as module
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.storage import connect, transaction
from asleep_pipeline.webhooks.writer import DUPLICATE, NOT_STORED, STORED, Attempt, Writer
from asleep_pipeline_tests.webhooks.mail import NOW, arrival, attempt, post

Outcomes = Sequence[tuple[int, str]]
ENOUGH_S = 60
"""Longer than anything takes; only a failing test waits so long."""


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """An empty inbox."""
    return Inbox.create(tmp_path / "inbox.sqlite")


class Told:
    """What a writer has delivered, by ticket."""

    def __init__(self) -> None:
        self.outcomes: dict[int, str] = {}
        self.batches: list[int] = []
        self._is_news = threading.Condition()

    def __call__(self, outcomes: Outcomes) -> None:
        with self._is_news:
            self.outcomes.update(outcomes)
            self.batches.append(len(outcomes))
            self._is_news.notify_all()

    def of(self, *tickets: int) -> list[str]:
        """The outcomes of these attempts, once they are there."""
        with self._is_news:
            assert self._is_news.wait_for(lambda: {*tickets} <= self.outcomes.keys(), ENOUGH_S)
            return [self.outcomes[ticket] for ticket in tickets]


@contextmanager
def writing(inbox: Inbox, deliver: Callable[[Outcomes], None]) -> Iterator[Writer[int]]:
    """A writer at work."""
    writer = Writer(inbox, deliver)
    writer.start()
    try:
        yield writer
    finally:
        writer.close()


def attempts(inbox: Inbox) -> list[tuple[Any, ...]]:
    """The audit."""
    with inbox.connection() as con:
        return con.execute("SELECT * FROM attempt ORDER BY 1, 2, 3, 4, 5").fetchall()


def test_an_outcome_is_told_when_others_can_read_the_event(inbox: Inbox) -> None:
    """Whoever is told that an event is stored finds it in the file, from any process."""
    seen: list[int] = []

    def look(outcomes: Outcomes) -> None:
        assert {outcome for _, outcome in outcomes} == {STORED}
        seen.append(len(inbox.events()))

    with writing(inbox, look) as writer:
        writer.put(attempt(1, arrival()))
    assert seen == [1]


def test_what_comes_during_a_commit_shares_the_next(inbox: Inbox) -> None:
    """Events that arrive while the disk is busy are committed together, in their order."""
    told, is_first, may_go_on = Told(), threading.Event(), threading.Event()

    def slowly(outcomes: Outcomes) -> None:
        is_first.set()
        assert may_go_on.wait(ENOUGH_S)
        told(outcomes)

    with writing(inbox, slowly) as writer:
        writer.put(attempt(0, arrival(0)))
        assert is_first.wait(ENOUGH_S)
        for number in range(1, 50):
            writer.put(attempt(number, arrival(number)))
        assert writer.queued == 49
        may_go_on.set()
        assert set(told.of(*range(50))) == {STORED}
    assert told.batches == [1, 49]
    bodies = [event.body for event in inbox.events()]
    assert bodies == [arrival(number).body for number in range(50)]


def test_closing_writes_what_is_there(inbox: Inbox) -> None:
    """Everything that was taken is written and told before the writer ends."""
    assert post(inbox, *(arrival(number) for number in range(3_000))) == [STORED] * 3_000
    assert inbox.depth().waiting == 3_000


def test_a_batch_has_an_end(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither very many nor very large events make one commit endless."""
    monkeypatch.setattr(module, "_BATCH", 4)
    monkeypatch.setattr(module, "_BATCH_BYTES", 1_000)
    told = Told()
    writer: Writer[int] = Writer(inbox, told)
    for number in range(9):
        writer.put(attempt(number, arrival(number)))
    for number in range(9, 12):
        writer.put(attempt(number, arrival(number, padding="x" * 600)))
    writer.start()
    writer.close()
    assert told.batches == [4, 4, 3, 1]


@pytest.mark.parametrize(
    ("limit", "most"), [("MOST_QUEUED", 3), ("MOST_QUEUED_BYTES", 3 * len(arrival().body))]
)
def test_what_waits_has_an_end(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    """When too much waits, the next event is told at once that it is not stored, and memory stays."""
    monkeypatch.setattr(module, limit, most)
    told = Told()
    writer: Writer[int] = Writer(inbox, told)
    for number in range(5):
        writer.put(attempt(number, arrival(number)))
    assert told.outcomes == {3: NOT_STORED, 4: NOT_STORED}
    writer.start()
    assert told.of(0, 1, 2) == [STORED] * 3
    writer.put(attempt(5, arrival(5)))
    assert told.of(5) == [STORED]
    writer.close()
    assert inbox.depth().waiting == 4


def test_every_attempt_is_audited_by_second(inbox: Inbox) -> None:
    """Attempts are counted by second, source, key, event and outcome; refused ones too."""
    late = NOW + timedelta(seconds=1)
    refused = Attempt(7, NOW, "192.0.2.66", outcome="unknown key")
    told = Told()
    with writing(inbox, told) as writer:
        for number, block in enumerate((0, 0, 1)):
            writer.put(attempt(number, arrival(block)))
        writer.put(attempt(3, arrival(2, at=late, key_name="acme"), source="192.0.2.2"))
        for _ in range(4):
            writer.put(refused)
    assert told.outcomes[7] == "unknown key"
    second = int(NOW.timestamp())
    assert attempts(inbox) == [
        (second, "192.0.2.1", "default", INFERENCE_COMPLETE, DUPLICATE, 1),
        (second, "192.0.2.1", "default", INFERENCE_COMPLETE, STORED, 2),
        (second, "192.0.2.66", "", "", "unknown key", 4),
        (second + 1, "192.0.2.2", "acme", INFERENCE_COMPLETE, STORED, 1),
    ]


def test_a_flood_takes_no_room(inbox: Inbox) -> None:
    """A thousand attempts of a second that are alike are one row, whatever commits they came in."""
    with writing(inbox, Told()) as writer:
        for number in range(1_000):
            writer.put(Attempt(number, NOW, "192.0.2.66", outcome="unknown key"))
    (row,) = attempts(inbox)
    assert row[-1] == 1_000


def test_an_endless_name_is_cut_in_the_audit(inbox: Inbox) -> None:
    """The name of an event comes from outside; the audit keeps as much as a person reads."""
    post(inbox, arrival(name="N" * 10_000))
    (row,) = attempts(inbox)
    assert row[3] == "N" * 64


@contextmanager
def full_disk(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No page can be added to the file: SQLite fails as it does on a full disk."""

    def connect_full(path: Path) -> sqlite3.Connection:
        con = connect(path)
        con.execute("PRAGMA max_page_count = 1")
        return con

    with monkeypatch.context() as patch:
        patch.setattr(module, "connect", connect_full)
        yield


def test_a_full_disk_stores_nothing_and_is_told(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is told to be not stored; afterwards everything goes on by itself."""
    told = Told()
    large = [arrival(number, padding="x" * 5_000) for number in range(40)]
    with full_disk(inbox, monkeypatch), writing(inbox, told) as writer:
        for number, one in enumerate(large):
            writer.put(attempt(number, one))
            told.of(number)
    kept = [ticket for ticket, outcome in told.outcomes.items() if outcome == STORED]
    assert NOT_STORED in told.outcomes.values()
    assert [event.body for event in inbox.events()] == [large[ticket].body for ticket in kept]


def test_a_disk_that_recovers_is_used_again(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same writer stores again when the disk has room again, what failed before too."""
    told = Told()
    first, second = (arrival(number, padding="x" * 20_000) for number in range(2))
    with capture_logs() as logs, writing(inbox, told) as writer:
        with full_disk(inbox, monkeypatch):
            writer.put(attempt(1, first))
            writer.put(Attempt(2, NOW, "192.0.2.66", outcome="unknown key"))
            assert told.of(1) == [NOT_STORED]
            assert told.of(2) == ["unknown key"]
            writer.put(attempt(3, second))
            assert told.of(3) == [NOT_STORED]
        writer.put(attempt(4, first))
        assert told.of(4) == [STORED]
    assert [event.body for event in inbox.events()] == [first.body]
    assert [log["event"] for log in logs] == ["webhooks_not_stored", "webhooks_stored_again"]


def test_who_holds_the_lock_for_too_long_costs_a_503(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events wait a few seconds for others to finish, not endlessly; afterwards they are taken."""
    monkeypatch.setattr(module, "_PATIENCE_S", 0.01)
    told = Told()
    with writing(inbox, told) as writer:
        with inbox.connection() as holder, transaction(holder):
            writer.put(attempt(1, arrival()))
            assert told.of(1) == [NOT_STORED]
        writer.put(attempt(2, arrival()))
        assert told.of(2) == [STORED]


def test_an_event_that_cannot_be_kept_stops_nobody(inbox: Inbox) -> None:
    """Even an event that nothing should let through is refused, and those after it are stored."""
    told = Told()
    poison = replace(arrival(), user_id="\ud800")
    with writing(inbox, told) as writer:
        writer.put(attempt(1, poison))
        assert told.of(1) == [NOT_STORED]
        writer.put(attempt(2, arrival()))
        assert told.of(2) == [STORED]


def test_an_event_that_lacks_something_is_no_duplicate(inbox: Inbox) -> None:
    """A value that the file refuses is told to be not stored, not taken for one that was there."""
    nobody: Any = None
    told = Told()
    with writing(inbox, told) as writer:
        event = replace(arrival().event, version=nobody)
        writer.put(attempt(1, replace(arrival(), event=event)))
        assert told.of(1) == [NOT_STORED]


def test_who_cannot_be_told_stops_nobody(inbox: Inbox) -> None:
    """When an answer cannot be given, because its loop has ended, later events are stored all the same."""

    def gone(_outcomes: Outcomes) -> None:
        raise RuntimeError("Event loop is closed")

    with writing(inbox, gone) as writer:
        writer.put(attempt(1, arrival(1)))
        writer.put(attempt(2, arrival(2)))
    assert inbox.depth().waiting == 2


def test_many_threads_may_put(inbox: Inbox) -> None:
    """Attempts from several threads at once are all answered once."""
    told = Told()
    with writing(inbox, told) as writer:

        def put(first: int) -> None:
            for number in range(first, first + 200):
                writer.put(attempt(number, arrival(number)))

        threads = [threading.Thread(target=put, args=[first]) for first in (0, 200, 400)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(told.batches) == 600
    assert inbox.depth().waiting == 600
