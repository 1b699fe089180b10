"""The journal of erasures: what was asked for, how far each has come, and the tombstones.

It holds the id of a person, and the ids of their sessions, only while the erasure is under way: what is
needed to go on after a crash. Deleted bytes are overwritten, and nothing is kept in a write-ahead log.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from asleep_pipeline.access.database import transaction
from asleep_pipeline.disk import sync_path_to
from asleep_pipeline.errors import ErasureError
from asleep_pipeline.privacy.tombstones import BUSY_S

_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS erasure (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL,        -- keyed hash of the user
    org_id TEXT NOT NULL,
    is_upstream INTEGER NOT NULL,
    asked_by TEXT NOT NULL,
    requested_at TEXT NOT NULL,  -- ISO 8601 in UTC, as all instants here
    finished_at TEXT,
    problem TEXT NOT NULL DEFAULT '',
    user_id TEXT,                -- NULL once it is finished
    session_ids TEXT,            -- a JSON array; NULL until they are looked up, and once it is finished
    receipt TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS step (
    erasure_id TEXT NOT NULL REFERENCES erasure,
    name TEXT NOT NULL,
    done_at TEXT NOT NULL,
    counts TEXT NOT NULL,        -- a JSON object of numbers
    PRIMARY KEY (erasure_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tombstone (
    person TEXT PRIMARY KEY,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step of an erasure: when it was done (UTC), and what it found to do."""

    name: str
    done_at: datetime
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure.

    Attributes:
        id: Names it; tells nothing of the person.
        person: Keyed hash of the user's id.
        org_id: Organisation of the user.
        is_upstream: Whether the user is to be deleted at Asleep as well.
        asked_by: Who asked for it.
        requested_at: When, UTC.
        finished_at: When it was finished, UTC; None while it is under way.
        problem: What hindered it last; "" when nothing did.
        steps: What is done, in order.
        receipt: The signed receipt, a JSON document; None while it is under way.
    """

    id: str
    person: str
    org_id: str
    is_upstream: bool
    asked_by: str
    requested_at: datetime
    finished_at: datetime | None
    problem: str
    steps: tuple[StepDone, ...]
    receipt: str | None

    @property
    def state(self) -> str:
        """`done`, or `open` while it is under way."""
        return "done" if self.finished_at else "open"

    def has_done(self, step: str) -> bool:
        """Whether a step is done."""
        return any(done.name == step for done in self.steps)


@dataclass(frozen=True, slots=True)
class Subject:
    """The person of an erasure that is under way.

    Attributes:
        session_ids: Of the sessions, as far as they name the person; None before they are looked up.
    """

    erasure_id: str
    user_id: str
    person: str
    org_id: str
    session_ids: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal at a path. Every method raises `ErasureError` when it cannot be read or written."""

    path: Path

    def add(
        self, user_id: str, person: str, org_id: str, *, upstream: bool, by: str, now: datetime
    ) -> str:
        """Put up the tombstone and open an erasure, or find the one that is open already; its id."""
        with self._changing() as con:
            said = "INSERT INTO tombstone VALUES (?, ?) ON CONFLICT DO NOTHING"
            con.execute(said, [person, _text(now)])
            found = con.execute(
                "SELECT id FROM erasure WHERE person = ? AND finished_at IS NULL", [person]
            ).fetchone()
            if found:
                con.execute(
                    "UPDATE erasure SET is_upstream = max(is_upstream, ?) WHERE id = ?",
                    [upstream, found[0]],
                )
                return str(found[0])
            erasure_id = secrets.token_hex(8)
            con.execute(
                "INSERT INTO erasure "
                "(id, person, org_id, is_upstream, asked_by, requested_at, user_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [erasure_id, person, org_id, upstream, by, _text(now), user_id],
            )
            con.execute(
                "INSERT INTO step VALUES (?, 'tombstone', ?, '{}')", [erasure_id, _text(now)]
            )
            return erasure_id

    def all(self, org_id: str | None = None) -> list[Erasure]:
        """The erasures, the newest first; of one organisation, or of all."""
        return self._erasures("? IS NULL OR org_id = ?", [org_id, org_id])

    def one(self, erasure_id: str) -> Erasure | None:
        """One erasure, or None."""
        return next(iter(self._erasures("id = ?", [erasure_id])), None)

    def of_person(self, person: str) -> Erasure | None:
        """The newest erasure of a person, or None."""
        return next(iter(self._erasures("person = ?", [person])), None)

    def subjects(self) -> list[Subject]:
        """Whose erasures are under way, in the order in which they were asked for."""
        rows = self._rows(
            "SELECT id, user_id, person, org_id, session_ids FROM erasure "
            "WHERE finished_at IS NULL ORDER BY requested_at, id"
        )
        return [
            Subject(erasure_id, user_id, person, org_id, tuple(json.loads(ids)) if ids else None)
            for erasure_id, user_id, person, org_id, ids in rows
        ]

    def keep_sessions(self, erasure_id: str, session_ids: Sequence[str]) -> None:
        """Remember the ids of the sessions, which the lake will not know any more."""
        with self._changing() as con:
            con.execute(
                "UPDATE erasure SET session_ids = ? WHERE id = ?",
                [json.dumps(session_ids), erasure_id],
            )

    def mark(self, erasure_id: str, step: str, counts: Mapping[str, int], now: datetime) -> None:
        """A step is done."""
        with self._changing() as con:
            con.execute(
                "INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?)",
                [erasure_id, step, _text(now), json.dumps(counts)],
            )

    def unmark(self, erasure_id: str, steps: Sequence[str], problem: str) -> None:
        """Some steps must be done once more, or one could not be done: say why."""
        with self._changing() as con:
            con.executemany(
                "DELETE FROM step WHERE erasure_id = ? AND name = ?",
                [(erasure_id, step) for step in steps],
            )
            con.execute("UPDATE erasure SET problem = ? WHERE id = ?", [problem, erasure_id])

    def finish(self, erasure_id: str, receipt: str, now: datetime) -> None:
        """The erasure is done: forget whom it was about."""
        with self._changing() as con:
            con.execute(
                "UPDATE erasure SET finished_at = ?, receipt = ?, problem = '', user_id = NULL, "
                "session_ids = NULL WHERE id = ?",
                [_text(now), receipt, erasure_id],
            )

    def _erasures(self, condition: str, values: Sequence[object]) -> list[Erasure]:
        rows = self._rows(
            "SELECT id, person, org_id, is_upstream, asked_by, requested_at, finished_at, problem, "
            "(SELECT json_group_array(json_array(done_at, name, json(counts))) "
            f" FROM step WHERE erasure_id = erasure.id), receipt FROM erasure WHERE {condition} "
            "ORDER BY requested_at DESC, id",
            values,
        )
        return [_erasure(row) for row in rows]

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with self._connection() as con:
            return con.execute(sql, values).fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk when the block has ended."""
        with self._errors_explained():
            if not self.path.exists():
                _make(self.path)
        with self._connection() as con, transaction(con):
            yield con

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._errors_explained(), closing(_connect(self.path)) as con:
            con.execute("PRAGMA synchronous = FULL")
            con.execute("PRAGMA secure_delete = ON")
            yield con

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ErasureError(
                f"The journal of erasures {self.path} cannot be used: {error}.",
                fix="Check the folder's rights and the free space.",
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)


def _make(path: Path) -> None:
    """Put the file in place with its tables, or let that of whoever was quicker stand."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    # SQLite would make the file readable for everybody.
    os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(_connect(aside)) as con:
            con.executescript(_SCHEMA)
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()
    sync_path_to(path.parent)


def _erasure(row: tuple[Any, ...]) -> Erasure:
    (number, person, org_id, upstream, by, requested_at, finished_at, problem, steps, receipt) = row
    return Erasure(
        number,
        person,
        org_id,
        bool(upstream),
        by,
        datetime.fromisoformat(requested_at),
        datetime.fromisoformat(finished_at) if finished_at else None,
        problem,
        tuple(
            StepDone(name, datetime.fromisoformat(at), counts)
            for at, name, counts in sorted(json.loads(steps), key=itemgetter(0))
        ),
        receipt,
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
