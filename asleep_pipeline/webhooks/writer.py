"""Writes what the receiver takes in: one thread, one transaction for all that came meanwhile.

The receiver answers an event only after its commit. A commit waits for the disk, so everything that
arrives during one goes into the next: the busier, the cheaper.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

import structlog

from asleep_pipeline.webhooks.inbox import Arrival, Inbox, connect, micros

log = structlog.get_logger(__name__)

T = TypeVar("T")

STORED: Final = "stored"
DUPLICATE: Final = "duplicate"
NOT_STORED: Final = "not stored"
"""Outcomes of an event; refusals have outcomes of their own."""

_BATCH: Final = 2_000
_BATCH_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """One request, with what must outlive it.

    Attributes:
        ticket: Comes back with the outcome.
        at: When it came, UTC.
        source: The address it came from.
        key_name: Organisation of its key; "" when the key is unknown.
        outcome: Why it was refused; "" when it was not.
        arrival: What is to be stored; None when it was refused.
    """

    ticket: T
    at: datetime
    source: str
    key_name: str = ""
    outcome: str = ""
    arrival: Arrival | None = None


class Writer(Generic[T]):
    """The one thread that adds to an inbox.

    Args:
        inbox: Where to.
        deliver: Told the outcomes of a commit in the writer's thread, when they are on the disk; or
            NOT_STORED, when the disk refused.
    """

    def __init__(self, inbox: Inbox, deliver: Callable[[Sequence[tuple[T, str]]], None]) -> None:
        self._inbox = inbox
        self._deliver = deliver
        self._queue: deque[Attempt[T]] = deque()
        self._is_filled = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what is there, then end."""
        with self._is_filled:
            self._is_closing = True
            self._is_filled.notify()
        self._thread.join()

    @property
    def queued(self) -> int:
        """Attempts that wait for a commit to begin."""
        return len(self._queue)

    def put(self, attempt: Attempt[T]) -> None:
        """Take an attempt; its outcome is delivered."""
        with self._is_filled:
            self._queue.append(attempt)
            self._is_filled.notify()

    def _run(self) -> None:
        con: sqlite3.Connection | None = None
        while batch := self._next():
            try:
                con = con or connect(self._inbox.path)
                outcomes = _write(con, batch)
            except sqlite3.Error as error:
                log.warning("webhooks_not_stored", events=len(batch), problem=str(error))
                _give_up(con)
                con = None
                outcomes = [(attempt.ticket, NOT_STORED) for attempt in batch]
            self._deliver(outcomes)
        _give_up(con)

    def _next(self) -> list[Attempt[T]]:
        """What has come, in order; empty at the end."""
        with self._is_filled:
            self._is_filled.wait_for(lambda: self._queue or self._is_closing)
            batch: list[Attempt[T]] = []
            size = 0
            while self._queue and len(batch) < _BATCH and size < _BATCH_BYTES:
                attempt = self._queue.popleft()
                size += len(attempt.arrival.body) if attempt.arrival else 0
                batch.append(attempt)
            return batch


def _write(con: sqlite3.Connection, batch: Sequence[Attempt[T]]) -> list[tuple[T, str]]:
    con.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [(a.ticket, _add(con, a.arrival) if a.arrival else a.outcome) for a in batch]
        _audit(con, batch, [outcome for _, outcome in outcomes])
        con.execute("COMMIT")
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            con.execute("ROLLBACK")
        raise
    return outcomes


def _add(con: sqlite3.Connection, arrival: Arrival) -> str:
    key, event = arrival.key, arrival.event
    added = con.execute(
        "INSERT OR IGNORE INTO event "
        "(key, status, name, version, key_name, user_id, session_id, received_at, body) "
        "VALUES (?, 'waiting', ?, ?, ?, ?, ?, ?, ?)",
        (
            key,
            event.name,
            event.version,
            arrival.key_name,
            arrival.user_id,
            event.session_id,
            micros(arrival.received_at),
            arrival.body,
        ),
    )
    if added.rowcount:
        return STORED
    con.execute("UPDATE event SET duplicates = duplicates + 1 WHERE key = ?", (key,))
    return DUPLICATE


def _audit(con: sqlite3.Connection, batch: Sequence[Attempt[T]], outcomes: Sequence[str]) -> None:
    """Attempts of a second that are alike are one row, so that a flood cannot fill the disk."""
    counts = Counter(
        (
            micros(attempt.at) // 1_000_000,
            attempt.source,
            attempt.key_name,
            attempt.arrival.event.name if attempt.arrival else "",
            outcome,
        )
        for attempt, outcome in zip(batch, outcomes, strict=True)
    )
    con.executemany(
        "INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts",
        [(*what, number) for what, number in counts.items()],
    )


def _give_up(con: sqlite3.Connection | None) -> None:
    """Close a connection: one that failed may be in any state."""
    if con is not None:
        with suppress(sqlite3.Error):
            con.close()
