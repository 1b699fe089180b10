"""The inbox: one SQLite file that holds every webhook event from its arrival until it has aged.

An event is in one of four states:

```
            +------------- adopted ------------+
            v                                  |
waiting ----+--> done                    quarantined (its user is not on the roster)
            +--> quarantined
            +--> dead (it failed as often as it may)  -- replay --> waiting
```

The receiver adds (`asleep_pipeline.webhooks.writer`), everybody else reads and moves events on, in
short transactions of their own. Commits are synced to the disk before they are reported.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from asleep_pipeline.asleep.events import INFERENCE_COMPLETE, Event
from asleep_pipeline.disk import sync_path_to
from asleep_pipeline.errors import InboxError
from asleep_pipeline.privacy.keys import Keys, keys_of
from asleep_pipeline.privacy.sealed import FORMATS, UserKey
from asleep_pipeline.webhooks.envelopes import (
    Addressed,
    idempotency_secret,
    keys_of_senders,
    opened_bodies,
    sealed_body,
)
from asleep_pipeline.webhooks.storage import connect, from_micros, micros, transaction

Status: TypeAlias = Literal["waiting", "done", "quarantined", "dead"]

_CHUNK: Final = 250
"""Events that are moved on in one transaction: the receiver waits for its end, a few ms."""
_BREATH_S: Final = 0.003
"""Between two transactions; longer than the receiver's poll, so that the receiver finds its turn."""

_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival
    key BLOB NOT NULL UNIQUE,             -- idempotency key
    status TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    key_name TEXT NOT NULL,               -- organisation whose API key it came with
    user_id TEXT NOT NULL,
    session_id TEXT,
    received_at INTEGER NOT NULL,         -- microseconds since 1970 in UTC, as all instants here
    body BLOB NOT NULL,
    duplicates INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    problem TEXT,
    settled_at INTEGER                    -- when it came into its present state
) STRICT;
CREATE INDEX IF NOT EXISTS unsettled ON event (status, id) WHERE status <> 'done';
CREATE INDEX IF NOT EXISTS quarantined ON event (user_id, key_name) WHERE status = 'quarantined';
CREATE INDEX IF NOT EXISTS done ON event (settled_at) WHERE status = 'done';
CREATE TABLE IF NOT EXISTS attempt (
    second INTEGER NOT NULL,              -- seconds since 1970 in UTC
    source TEXT NOT NULL,                 -- address that it came from
    key_name TEXT NOT NULL,               -- organisation of the key, '' when the key is unknown
    name TEXT NOT NULL,                   -- event, '' when it was refused unread
    outcome TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (second, source, key_name, name, outcome)
) STRICT, WITHOUT ROWID;
COMMIT;
"""
IS: Final[dict[Status, str]] = {
    "done": "status = 'done'",
    # In the words of the index, which holds no others.
    "waiting": "status = 'waiting' AND status <> 'done'",
    "quarantined": "status = 'quarantined' AND status <> 'done'",
    "dead": "status = 'dead' AND status <> 'done'",
}
"""Conditions that find the events of a state by an index."""
_COLUMNS: Final = (
    "id, status, name, version, key_name, user_id, session_id, received_at, body, duplicates, "
    "tries, problem, settled_at"
)


_BODY: Final = "SELECT id, key_name, user_id, session_id, name, body FROM event"

_CLEAR: Final = f"""
    SELECT id, key_name, user_id, session_id, name, body, key FROM event
    WHERE id > ? AND substr(body, 1, 1) NOT IN ({", ".join(f"x'{f.hex()}'" for f in FORMATS)})
    ORDER BY id LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event that has passed every check.

    Attributes:
        event: What it is about.
        key_name: The organisation whose API key it came with; `default` for the default key.
        user_id: The user; of the header when the body names none.
        received_at: When its last byte came, UTC.
        body: The body as it came.
    """

    event: Event
    key_name: str
    user_id: str
    received_at: datetime
    body: bytes

    @property
    def key(self) -> bytes:
        """The idempotency key (contract section 5), within one user of one key.

        See `key_with`, here without a secret.
        """
        return self.key_with(b"")

    def key_with(self, secret: bytes) -> bytes:
        """The idempotency key, which tells nothing of the body to whom the secret is unknown.

        A 5-minute block of a session counts once, whatever it says; of anything else the same body
        counts once.
        """
        event = self.event
        block = event.block if event.name == INFERENCE_COMPLETE and event.session_id else None
        what = self.body if block is None else b"%d" % block
        names = (self.key_name, self.user_id, event.session_id or "", event.name)
        digest = hashlib.blake2b(digest_size=16, key=secret)
        for part in (*(name.encode() for name in names), what):
            digest.update(b"%d:" % len(part))
            digest.update(part)
        return digest.digest()


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of the inbox; instants are UTC."""

    id: int
    status: Status
    name: str
    version: str
    key_name: str
    user_id: str
    session_id: str | None
    received_at: datetime
    body: bytes
    duplicates: int
    tries: int
    problem: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Head:
    """What one event is about, without what it says; instants are UTC.

    Attributes:
        size: Bytes of its body.
        tries: How often it has failed.
    """

    id: int
    name: str
    key_name: str
    user_id: str
    session_id: str | None
    received_at: datetime
    size: int
    tries: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How full the inbox is.

    Attributes:
        waiting: Events to be processed.
        quarantined: Events of users who are not on the roster.
        dead: Events that failed as often as they may.
        oldest_waiting_at: Arrival of the oldest that waits; None when none does.
    """

    waiting: int
    quarantined: int
    dead: int
    oldest_waiting_at: datetime | None


@dataclass(frozen=True, slots=True)
class Inbox:
    """The inbox at a path; holds no connection. Every method raises `InboxError` when it cannot."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Inbox:
        """Make the inbox, or open it where it is already made."""
        inbox = cls(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with inbox.connection() as con:
                con.executescript(_SCHEMA)
            # Also where it is made: whoever made it may have been killed before this.
            sync_path_to(path.parent)
        except OSError as error:
            raise _unusable(path, error) from error
        return inbox

    @classmethod
    def open(cls, path: Path) -> Inbox:
        """Open the inbox, which must be there.

        Raises:
            InboxError: There is none.
        """
        if not path.exists():
            raise InboxError(
                f"There is no inbox {path}.",
                fix="`asleep-pipeline webhooks serve` makes it; name its data folder by --data-dir.",
            )
        return cls(path)

    @property
    def keys(self) -> Keys | None:
        """By which bodies are sealed; None without encryption."""
        return keys_of(self.path.absolute().parent.parent)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection whose commits are on the disk when they return, without an open transaction."""
        con = None
        try:
            con = connect(self.path)
            yield con
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error
        finally:
            if con is not None:
                con.close()

    def depth(self) -> Depth:
        """How many events wait, and for how long."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT status, count(*), min(id) FROM event WHERE status <> 'done' GROUP BY status"
            ).fetchall()
            counts = {status: number for status, number, _ in rows}
            first = next((row[2] for row in rows if row[0] == "waiting"), None)
            oldest = con.execute("SELECT received_at FROM event WHERE id = ?", [first]).fetchone()
        return Depth(
            counts.get("waiting", 0),
            counts.get("quarantined", 0),
            counts.get("dead", 0),
            from_micros(oldest[0]) if oldest else None,
        )

    def events(
        self,
        status: Status | None = None,
        *,
        after: int = 0,
        limit: int = 1_000,
        name: str | None = None,
        user_id: str | None = None,
    ) -> list[StoredEvent]:
        """Events in the order of arrival.

        Args:
            status: Only these.
            after: Only events with a larger id.
            limit: So many at most.
            name: Only events of this name.
            user_id: Only events of this user.
        """
        wanted = {"name": name, "user_id": user_id}
        given = {column: value for column, value in wanted.items() if value is not None}
        conditions = ["id > :after", *(f"{column} = :{column}" for column in given)]
        if status:
            conditions.append(IS[status])
        with self.connection() as con:
            rows = con.execute(
                f"SELECT {_COLUMNS} FROM event WHERE {' AND '.join(conditions)} "
                "ORDER BY id LIMIT :limit",
                given | {"after": after, "limit": limit},
            ).fetchall()
        return self._stored(rows)

    def heads(self, status: Status, *, after: int = 0, limit: int = 2_000) -> list[Head]:
        """Events in the order of arrival, without their bodies, which are most of them.

        Args:
            status: Only these.
            after: Only events with a larger id.
            limit: So many at most.
        """
        with self.connection() as con:
            rows = con.execute(
                "SELECT id, name, key_name, user_id, session_id, received_at, length(body), tries "
                f"FROM event WHERE {IS[status]} AND id > ? ORDER BY id LIMIT ?",
                [after, limit],
            ).fetchall()
        return [
            Head(number, name, key_name, user_id, session_id, from_micros(at), size, tries)
            for number, name, key_name, user_id, session_id, at, size, tries in rows
        ]

    def bodies(self, ids: Collection[int]) -> dict[int, bytes]:
        """The bodies of some events, by id."""
        with self.connection() as con:
            rows = [con.execute(f"{_BODY} WHERE id = ?", [event_id]).fetchone() for event_id in ids]
        found = [row for row in rows if row]
        bodies = opened_bodies(self.keys, (Addressed(*row[1:]) for row in found))
        return {row[0]: body for row, body in zip(found, bodies, strict=True) if body is not None}

    def event(self, event_id: int) -> StoredEvent | None:
        """One event, or None."""
        with self.connection() as con:
            row = con.execute(f"SELECT {_COLUMNS} FROM event WHERE id = ?", [event_id]).fetchone()
        return next(iter(self._stored([row] if row else [])), None)

    def settle(self, ids: Collection[int], status: Status, *, now: datetime) -> None:
        """Move events on to a state; one that is there already stays as it is."""
        self._move(
            "UPDATE event SET status = ?1, settled_at = ?2, problem = NULL WHERE id = ?3 "
            "AND status <> ?1",
            [(status, micros(now), event_id) for event_id in ids],
        )

    def quarantine(self, reasons: Sequence[tuple[int, str]], *, now: datetime) -> None:
        """Lay events aside until their user is on the roster.

        Args:
            reasons: Event ids, and why they cannot be taken; no secret.
            now: The present, UTC.
        """
        self._move(
            "UPDATE event SET status = 'quarantined', settled_at = ?1, problem = ?2 WHERE id = ?3",
            [(micros(now), reason, event_id) for event_id, reason in reasons],
        )

    def release(self, user_id: str, key_name: str, *, now: datetime) -> int:
        """Let a user's events that came with a key out of quarantine.

        Returns:
            How many there were.
        """
        with self.connection() as con:
            rows = con.execute(
                "SELECT id FROM event WHERE status = 'quarantined' AND user_id = ? AND key_name = ?",
                [user_id, key_name],
            ).fetchall()
        self.settle([event_id for (event_id,) in rows], "waiting", now=now)
        return len(rows)

    def fail(self, problems: Sequence[tuple[int, str]], *, tries: int, now: datetime) -> None:
        """Count a failed try of each event; with `tries` of them it is dead.

        Args:
            problems: Event ids, and what went wrong; no secret.
            tries: Tries that an event has.
            now: The present, UTC.
        """
        self._move(
            """
            UPDATE event SET tries = tries + 1, problem = ?2,
                status = CASE WHEN tries + 1 >= ?3 THEN 'dead' ELSE status END,
                settled_at = CASE WHEN tries + 1 >= ?3 THEN ?4 ELSE settled_at END
            WHERE id = ?1
            """,
            [(event_id, problem, tries, micros(now)) for event_id, problem in problems],
        )

    def users_in_quarantine(self) -> list[str]:
        """The users whose events are in quarantine."""
        with self.connection() as con:
            rows = con.execute(
                f"SELECT DISTINCT user_id FROM event WHERE {IS['quarantined']} ORDER BY 1"
            ).fetchall()
        return [user_id for (user_id,) in rows]

    def replay(self, ids: Iterable[int], *, now: datetime) -> int:
        """Let events be processed again with all their tries, whatever their state.

        Returns:
            How many there were.
        """
        return self._move(
            "UPDATE event SET status = 'waiting', tries = 0, problem = NULL, settled_at = ? "
            "WHERE id = ?",
            [(micros(now), event_id) for event_id in ids],
        )

    def purge(self, status: Status, *, before: datetime) -> int:
        """Delete the events that came into a state before an instant.

        Returns:
            How many there were.
        """
        since = "settled_at" if status == "done" else "coalesce(settled_at, received_at)"
        return self._remove(
            f"DELETE FROM event WHERE id IN (SELECT id FROM event WHERE {IS[status]} "
            f"AND {since} < ?1 LIMIT {_CHUNK})",
            micros(before),
        )

    def forget(self, user_id: str) -> int:
        """Delete every event of a user, whatever its state.

        Returns:
            How many there were.
        """
        return self._remove(
            "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE user_id = ?1 "
            f"LIMIT {_CHUNK})",
            user_id,
        )

    def purge_attempts(self, *, before: datetime) -> int:
        """Delete what is known of attempts before an instant.

        Returns:
            How many rows there were.
        """
        second = micros(before) // 1_000_000
        return self._remove(
            "DELETE FROM attempt WHERE second <= (SELECT max(second) FROM "
            f"(SELECT second FROM attempt WHERE second < ?1 ORDER BY second LIMIT {_CHUNK}))",
            second,
        )

    def encrypt(self) -> int:
        """Seal the bodies that are not sealed yet; goes on where it was stopped.

        Returns:
            How many there were.
        """
        done = after = 0
        with self.connection() as con:
            while rows := con.execute(_CLEAR, [after, _CHUNK]).fetchall():
                of = keys_of_senders(self.keys, [row[2] for row in rows])
                with transaction(con):
                    con.executemany(
                        "UPDATE event SET key = ?, body = ? WHERE id = ?",
                        [_sealed(of[row[2]], *row) for row in rows],
                    )
                done, after = done + len(rows), rows[-1][0]
                time.sleep(_BREATH_S)
            # What was there before must not linger in free pages.
            con.execute("VACUUM")
            con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return done

    def _stored(self, rows: Sequence[tuple[Any, ...]]) -> list[StoredEvent]:
        """The events as they came, without those of users whose key is gone."""
        events = [_stored(row) for row in rows]
        bodies = opened_bodies(
            self.keys,
            (Addressed(e.key_name, e.user_id, e.session_id, e.name, e.body) for e in events),
        )
        return [
            replace(event, body=body)
            for event, body in zip(events, bodies, strict=True)
            if body is not None
        ]

    def _move(self, sql: str, parameters: Sequence[tuple[int | str, ...]]) -> int:
        """Run a statement for each, in short transactions; how many rows it changed."""
        moved = 0
        with self.connection() as con:
            for first in range(0, len(parameters), _CHUNK):
                if first:
                    time.sleep(_BREATH_S)
                with transaction(con):
                    moved += con.executemany(sql, parameters[first : first + _CHUNK]).rowcount
        return moved

    def _remove(self, sql: str, value: int | str) -> int:
        """Run a statement that deletes at most a chunk until nothing is left; how many rows."""
        removed = 0
        with self.connection() as con:
            while True:
                with transaction(con):
                    done = con.execute(sql, [value]).rowcount
                removed += done
                if done < _CHUNK:
                    return removed
                time.sleep(_BREATH_S)


def _stored(row: tuple[object, ...]) -> StoredEvent:
    values = dict(zip(StoredEvent.__slots__, row, strict=True))
    for name in ("received_at", "settled_at"):
        moment = values[name]
        values[name] = from_micros(moment) if isinstance(moment, int) else None
    return StoredEvent(**values)  # type: ignore[arg-type]  # STRICT tables hold what they declare


def _sealed(
    key: UserKey | None, event_id: int, key_name: str, user_id: str, *rest: Any
) -> tuple[bytes, bytes, int]:
    session_id, name, body, old = rest
    event = Addressed(key_name, user_id, session_id, name, body)
    # Of the body nothing is known any more but this, which tells of it only with the secret.
    kept = hashlib.blake2b(old, digest_size=16, key=idempotency_secret(key)).digest()
    return kept, sealed_body(key, event), event_id


def _unusable(path: Path, error: Exception) -> InboxError:
    return InboxError(
        f"The inbox {path} cannot be used: {error}.",
        fix="Check the free space and the folder's rights; what was acknowledged is on the disk.",
    )
