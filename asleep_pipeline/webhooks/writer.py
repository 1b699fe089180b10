"""Writes what the receiver takes in: one thread, one transaction for all that came meanwhile.

The receiver answers an event only after its commit. A commit waits for the disk, so everything that
arrives during one goes into the next: the busier, the cheaper.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeAlias, TypeVar

import structlog

from asleep_pipeline.privacy.keys import Keys
from asleep_pipeline.privacy.sealed import UserKey
from asleep_pipeline.privacy.tombstones import Tombstones
from asleep_pipeline.webhooks.envelopes import (
    Addressed,
    idempotency_secret,
    keys_of_senders,
    sealed_body,
)
from asleep_pipeline.webhooks.inbox import Arrival, Inbox
from asleep_pipeline.webhooks.storage import connect, micros, transaction

log = structlog.get_logger(__name__)

T = TypeVar("T")

STORED: Final = "stored"
DUPLICATE: Final = "duplicate"
ERASED: Final = "erased"
NOT_STORED: Final = "not stored"
"""Outcomes of an event; refusals have outcomes of their own. Of whoever was erased nothing is kept."""

MOST_QUEUED: Final = 20_000
MOST_QUEUED_BYTES: Final = 64 * 1024 * 1024
"""More waits for no commit: memory has an end, and so has the patience of who sent it."""

_BATCH: Final = 2_000
_BATCH_BYTES: Final = 32 * 1024 * 1024
_PATIENCE_S: Final = 3.0
"""Senders wait some seconds for an answer; then they are better told to come again."""
_LONGEST_NAME: Final = 64


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
        deliver: Told the outcomes of a commit when they are on the disk: STORED, DUPLICATE, ERASED,
            or that of the attempt itself; NOT_STORED of what the disk refused. Called in the writer's
            thread; in that of `put` when too much waits already.
    """

    def __init__(self, inbox: Inbox, deliver: Callable[[Sequence[tuple[T, str]]], None]) -> None:
        self._inbox = inbox
        self._tombstones = Tombstones.beside(inbox.path.parent)
        self._deliver = deliver
        self._queue: deque[Attempt[T]] = deque()
        self._queued_bytes = 0
        self._is_filled = threading.Condition()
        self._is_closing = False
        self._con: sqlite3.Connection | None = None
        self._is_in_trouble = False
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
        """Take an attempt; its outcome is delivered, NOT_STORED at once when too much waits."""
        with self._is_filled:
            is_full = len(self._queue) >= MOST_QUEUED or self._queued_bytes >= MOST_QUEUED_BYTES
            if not is_full:
                self._queue.append(attempt)
                self._queued_bytes += _size(attempt)
                self._is_filled.notify()
        if is_full:
            self._deliver(_not_stored([attempt]))

    def _run(self) -> None:
        while batch := self._next():
            outcomes = self._stored(batch)
            try:
                self._deliver(outcomes)
            except Exception as error:  # noqa: BLE001 -- a writer that ended would store nothing more
                log.warning("webhooks_not_answered", events=len(batch), problem=str(error))
        self._disconnect()

    def _next(self) -> list[Attempt[T]]:
        """What has come, in order; empty at the end."""
        with self._is_filled:
            self._is_filled.wait_for(lambda: self._queue or self._is_closing)
            batch: list[Attempt[T]] = []
            size = 0
            while self._queue and len(batch) < _BATCH and size < _BATCH_BYTES:
                batch.append(self._queue.popleft())
                size += _size(batch[-1])
            self._queued_bytes -= size
            return batch

    def _stored(self, batch: Sequence[Attempt[T]]) -> list[tuple[T, str]]:
        try:
            self._con = self._con or connect(self._inbox.path)
            stored = _sealed(self._inbox.keys, batch, self._tombstones)
            outcomes = _write(self._con, stored, batch, self._tombstones)
        except Exception as error:  # noqa: BLE001 -- a writer that ended would store nothing more
            self._tell(error)
            # A connection that failed may be in any state.
            self._disconnect()
            return _not_stored(batch)
        self._tell(None)
        return outcomes

    def _tell(self, error: Exception | None) -> None:
        """Log that trouble begins or ends: a line for each commit could fill the disk once more."""
        if error and not self._is_in_trouble:
            log.warning("webhooks_not_stored", problem=str(error), kind=type(error).__name__)
        elif self._is_in_trouble and not error:
            log.info("webhooks_stored_again")
        self._is_in_trouble = error is not None

    def _disconnect(self) -> None:
        if self._con:
            with suppress(sqlite3.Error):
                self._con.close()
        self._con = None


def _size(attempt: Attempt[T]) -> int:
    return len(attempt.arrival.body) if attempt.arrival else 0


def _not_stored(batch: Sequence[Attempt[T]]) -> list[tuple[T, str]]:
    """What was refused stays refused."""
    return [(a.ticket, NOT_STORED if a.arrival else a.outcome) for a in batch]


_Stored: TypeAlias = tuple[bytes, bytes]
"""The idempotency key and the body of an event, as they are stored."""


def _sealed(
    keys: Keys | None, batch: Sequence[Attempt[T]], tombstones: Tombstones
) -> list[_Stored | None]:
    """Each arrival as it is stored."""
    arrivals = [attempt.arrival for attempt in batch]
    users = {a.user_id for a in arrivals if a}
    # Whoever is erased must not get a key again.
    of = keys_of_senders(keys, users - tombstones.among(users)) if keys else {}
    return [_in_envelope(of.get(a.user_id), a) if a else None for a in arrivals]


def _in_envelope(key: UserKey | None, arrival: Arrival) -> _Stored:
    event = arrival.event
    addressed = Addressed(
        arrival.key_name, arrival.user_id, event.session_id, event.name, arrival.body
    )
    return arrival.key_with(idempotency_secret(key)), sealed_body(key, addressed)


def _write(
    con: sqlite3.Connection,
    stored: Sequence[_Stored | None],
    batch: Sequence[Attempt[T]],
    tombstones: Tombstones,
) -> list[tuple[T, str]]:
    with transaction(con, _PATIENCE_S):
        # Within the transaction: an erasure deletes what came before it in one of its own.
        erased = tombstones.among(a.arrival.user_id for a in batch if a.arrival)
        outcomes = [
            (a.ticket, _outcome(con, a, s, erased)) for a, s in zip(batch, stored, strict=True)
        ]
        _audit(con, batch, [outcome for _, outcome in outcomes])
    return outcomes


def _outcome(
    con: sqlite3.Connection, attempt: Attempt[T], stored: _Stored | None, erased: Collection[str]
) -> str:
    if not (attempt.arrival and stored):
        return attempt.outcome
    return ERASED if attempt.arrival.user_id in erased else _add(con, attempt.arrival, *stored)


# One statement of many rows that returns the new keys was tried: it takes longer.
def _add(con: sqlite3.Connection, arrival: Arrival, key: bytes, body: bytes) -> str:
    event = arrival.event
    added = con.execute(
        "INSERT INTO event "
        "(key, status, name, version, key_name, user_id, session_id, received_at, body) "
        "VALUES (?, 'waiting', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        (
            key,
            event.name,
            event.version,
            arrival.key_name,
            arrival.user_id,
            event.session_id,
            micros(arrival.received_at),
            body,
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
            attempt.arrival.event.name[:_LONGEST_NAME] if attempt.arrival else "",
            outcome,
        )
        for attempt, outcome in zip(batch, outcomes, strict=True)
    )
    con.executemany(
        "INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts",
        [(*what, number) for what, number in counts.items()],
    )
