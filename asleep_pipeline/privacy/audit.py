"""The audit log: who saw and who changed what is personal. Append-only and chained; see `chain`.

One SQLite file that only its owner may read. An entry names the user whom it is about by a keyed hash, so
that an erased user stays erased here too; it holds no id, no body and no SQL. An entry that was
appended is on the disk: whoever answers a request appends first. Of several that wait, one thread writes all
in one commit.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from asleep_pipeline.errors import AccessError
from asleep_pipeline.privacy.chain import Anchor, Chain, Content, Link, Verdict, verdict_of
from asleep_pipeline.privacy.secret import derived_key, pseudonym
from asleep_pipeline.webhooks.storage import connect, from_micros, micros, transaction

DETAILS: Final = frozenset({"what", "status", "rows", "number", "sql", "phase", "days", "table"})
"""The names that details may have: none has room for an id or a body."""

_LONGEST_WORD: Final = 200
_PATIENCE_S: Final = 5
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY,
    at INTEGER,
    org_id TEXT,
    actor TEXT,
    action TEXT,
    about TEXT,
    details TEXT,
    hash BLOB NOT NULL,
    digest BLOB,
    seal BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS entry_about ON entry (about) WHERE about IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_org ON entry (org_id, number);
CREATE TABLE IF NOT EXISTS checkpoint (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    seal BLOB NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS entries_stay BEFORE UPDATE ON entry WHEN NEW.seal IS NULL
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_are_kept BEFORE DELETE ON entry
WHEN NOT EXISTS (SELECT 1 FROM checkpoint WHERE number >= OLD.number)
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
"""


class Action(StrEnum):
    """What was done, or asked for and refused: `status` in the details tells."""

    READ = "read"
    QUERY = "query"
    EXPORT = "export"
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    ERASE = "erase"
    FORWARD = "forward"
    EXPIRE = "expire"

    @property
    def changes_something(self) -> bool:
        """Whether it is noted before it begins too, so that a crash on the way leaves its trace."""
        return self not in {Action.READ, Action.QUERY}


@dataclass(frozen=True, slots=True)
class Deed:
    """What is to be noted.

    Attributes:
        actor: Who did it, such as `token:7` or `cli:ada`.
        action: What they did.
        org_id: The organisation whose rows it concerns; None for several or none.
        user_id: The user whom it is about, who is noted by a keyed hash; None for several or none.
        details: More of it, by the names in `DETAILS`.
    """

    actor: str
    action: Action
    org_id: str | None = None
    user_id: str | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := self.details.keys() - DETAILS:
            raise ValueError(f"details of the audit have no {', '.join(sorted(unknown))}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What was noted; `at` in UTC, `about` is the keyed hash of a user id."""

    number: int
    at: datetime
    org_id: str | None
    actor: str
    action: str
    about: str | None
    details: dict[str, str | int]
    hash: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries somebody wants to see: all, unless told.

    Attributes:
        org_id: Of one organisation.
        user_id: About one user.
        since: Noted at this instant or later, UTC.
        before: With smaller numbers.
        limit: The newest, so many.
    """

    org_id: str | None = None
    user_id: str | None = None
    since: datetime | None = None
    before: int | None = None
    limit: int = 100


class AuditLog:
    """The log of one deployment, for use by many threads and processes; ordered by the database.

    Args:
        path: The SQLite file; made with the first entry.
        secret: File of the deployment's secret, without which nobody can forge an entry.

    Every method raises `AccessError` when the file or the secret cannot be used.
    """

    def __init__(self, path: Path, secret: Path) -> None:
        self.path = path
        self._secret = secret
        self._keys: tuple[bytes, Chain] | None = None
        self._con: sqlite3.Connection | None = None
        self._waiting: list[_Waiting] = []
        self._queueing = threading.Lock()
        self._writing = threading.Lock()

    def append(self, deed: Deed, *, now: datetime) -> None:
        """Note it; when this returns, it is on the disk."""
        mine = _Waiting(deed, micros(now))
        with self._queueing:
            self._waiting.append(mine)
        with self._writing:
            if not mine.is_done:
                self._write_all()
        if mine.error:
            raise mine.error

    def close(self) -> None:
        """Close the file; a later entry opens it again."""
        with self._writing:
            if self._con:
                self._con.close()
            self._con = None

    def about(self, user_id: str) -> str:
        """The keyed hash that entries name a user by."""
        return pseudonym(self._opened_keys()[0], user_id)

    def fingerprint(self, text: str) -> str:
        """A keyed hash of what must not stand in the log itself, such as SQL."""
        return pseudonym(self._opened_keys()[0], sha256(text.encode()).hexdigest())

    def entries(self, asked: Asked) -> list[Entry]:
        """The entries that were asked for, the newest first; those whose time is over are not there."""
        about = self.about(asked.user_id) if asked.user_id is not None else None
        given = {
            "org_id": asked.org_id,
            "about": about,
            "since": micros(asked.since) if asked.since else None,
            "before": asked.before,
            "limit": asked.limit,
        }
        rows = self._rows(
            """
            SELECT * FROM entry WHERE seal IS NULL
            AND (:org_id IS NULL OR org_id = :org_id) AND (:about IS NULL OR about = :about)
            AND (:since IS NULL OR at >= :since) AND (:before IS NULL OR number < :before)
            ORDER BY number DESC LIMIT :limit
            """,
            given,
        )
        return [_entry(row) for row in rows]

    def anchor(self) -> Anchor:
        """The newest entry's: who notes it elsewhere can tell later whether entries were cut off."""
        with self._reading() as con:
            number, last = _last(con) if con else (0, b"")
        return Anchor(number, last.hex())

    def verify(self, anchor: Anchor | None = None) -> Verdict:
        """Check every entry against the one before it, and the log against an anchor noted earlier."""
        with self._reading() as con:
            if con is None:
                return verdict_of(Chain(b""), None, (), anchor)
            chain = self._opened_keys()[1]
            # One transaction: what is appended or cut meanwhile does not show.
            con.execute("BEGIN")
            start = con.execute("SELECT * FROM checkpoint ORDER BY number DESC LIMIT 1").fetchone()
            rows = con.execute("SELECT * FROM entry ORDER BY number")
            checkpoint = (start["number"], start["hash"], start["seal"]) if start else None
            return verdict_of(chain, checkpoint, map(_link, rows), anchor)

    def count_before(self, before: Mapping[str | None, datetime]) -> int:
        """How many entries `expire` would empty."""
        sql = "SELECT count(*) FROM entry WHERE seal IS NULL AND org_id IS ? AND at < ?"
        with self._reading() as con:
            if con is None:
                return 0
            given = [(org_id, micros(at)) for org_id, at in before.items()]
            return sum(con.execute(sql, each).fetchone()[0] for each in given)

    def expire(self, before: Mapping[str | None, datetime], *, now: datetime, actor: str) -> int:
        """Take the content out of entries whose time is over; what is left proves the chain still.

        The front of the log, where nothing has content any more, is cut off by a signed checkpoint.

        Args:
            before: By organisation, the instant (UTC) before which its entries go; None as a key for
                those of no organisation. An organisation that is not named keeps everything.
            now: The present, UTC.
            actor: Who does it, for the entry that tells of it.

        Returns:
            How many entries lost their content.
        """
        if not self.path.exists():
            return 0
        chain = self._opened_keys()[1]
        with self._writing, self._transaction() as con:
            gone = sum(_expire(con, chain, org_id, micros(at)) for org_id, at in before.items())
            _cut_front(con, chain)
        if gone:
            details: dict[str, str | int] = {"what": "audit", "rows": gone}
            self.append(Deed(actor, Action.EXPIRE, details=details), now=now)
        return gone

    def _write_all(self) -> None:
        """Write whatever waits, for every thread that waits for it."""
        with self._queueing:
            batch, self._waiting = self._waiting, []
        try:
            self._insert(batch)
        except AccessError as error:
            for each in batch:
                each.error = error
        finally:
            for each in batch:
                each.is_done = True

    def _insert(self, batch: Sequence[_Waiting]) -> None:
        about_key, chain = self._opened_keys()
        with self._transaction() as con:
            number, last = _last(con)
            for each in batch:
                number += 1
                content = _content(each.deed, each.at, about_key)
                last = chain.next(last, chain.digest(number, content))
                con.execute(
                    "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                    [number, *content, last],
                )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            if self._con is None:
                self._con = _open(self.path)
            with transaction(self._con, _PATIENCE_S):
                yield self._con

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection of its own; None when nothing has ever been noted."""
        if not self.path.exists():
            yield None
            return
        with self._explained(), closing(_open(self.path)) as con:
            yield con

    def _rows(self, sql: str, given: Mapping[str, object]) -> list[sqlite3.Row]:
        with self._reading() as con:
            rows: list[sqlite3.Row] = con.execute(sql, given).fetchall() if con else []
            return rows

    def _opened_keys(self) -> tuple[bytes, Chain]:
        if self._keys is None:
            chain = Chain(derived_key(self._secret, "audit chain"))
            self._keys = derived_key(self._secret, "audit"), chain
        return self._keys

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise AccessError(
                f"The audit log {self.path} cannot be used: {error}.",
                fix="Check the folder's rights and the free space; nothing personal is shown without it.",
            ) from error


@dataclass(slots=True)
class _Waiting:
    """A deed on its way to the disk."""

    deed: Deed
    at: int
    is_done: bool = False
    error: AccessError | None = None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    is_new = not path.exists()
    # SQLite would make the file readable for everybody.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    con = connect(path)
    con.row_factory = sqlite3.Row
    # What has expired is overwritten, not only forgotten.
    con.execute("PRAGMA secure_delete = ON")
    if is_new or not con.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        path.chmod(0o600)
        con.executescript(_SCHEMA)
    return con


def _content(deed: Deed, at: int, about_key: bytes) -> Content:
    about = None if deed.user_id is None else pseudonym(about_key, deed.user_id)
    kept = {k: v[:_LONGEST_WORD] if isinstance(v, str) else v for k, v in deed.details.items()}
    details = msgspec.json.encode(kept, order="deterministic").decode()
    return Content(at, deed.org_id, deed.actor[:_LONGEST_WORD], deed.action.value, about, details)


def _last(con: sqlite3.Connection) -> tuple[int, bytes]:
    """The newest entry's number and hash; where there is none, those of the checkpoint."""
    for table in ("entry", "checkpoint"):
        sql = f"SELECT number, hash FROM {table} ORDER BY number DESC LIMIT 1"
        if row := con.execute(sql).fetchone():
            return row["number"], row["hash"]
    return 0, b""


def _expire(con: sqlite3.Connection, chain: Chain, org_id: str | None, before: int) -> int:
    rows = con.execute(
        "SELECT * FROM entry WHERE seal IS NULL AND org_id IS ? AND at < ?", [org_id, before]
    ).fetchall()
    for row in rows:
        digest = chain.digest(row["number"], _link(row).content)
        con.execute(
            """
            UPDATE entry SET at = NULL, org_id = NULL, actor = NULL, action = NULL, about = NULL,
                details = NULL, digest = ?, seal = ? WHERE number = ?
            """,
            [digest, chain.seal(row["number"], digest), row["number"]],
        )
    return len(rows)


def _cut_front(con: sqlite3.Connection, chain: Chain) -> None:
    """Replace the entries before the first one that has content by a checkpoint."""
    (first,) = con.execute("SELECT min(number) FROM entry WHERE seal IS NULL").fetchone()
    row = con.execute(
        "SELECT number, hash FROM entry WHERE seal IS NOT NULL AND (?1 IS NULL OR number < ?1) "
        "ORDER BY number DESC LIMIT 1",
        [first],
    ).fetchone()
    if row is None:
        return
    number, last = row
    con.execute(
        "INSERT INTO checkpoint VALUES (?, ?, ?)",
        [number, last, chain.checkpoint_seal(number, last)],
    )
    con.execute("DELETE FROM entry WHERE number <= ?", [number])
    con.execute("DELETE FROM checkpoint WHERE number < ?", [number])


def _link(row: sqlite3.Row) -> Link:
    content = Content(*(row[name] for name in Content._fields))
    return Link(row["number"], content, row["hash"], row["digest"], row["seal"])


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        row["number"],
        from_micros(row["at"]).astimezone(UTC),
        row["org_id"],
        row["actor"],
        row["action"],
        row["about"],
        msgspec.json.decode(row["details"]),
        row["hash"].hex(),
    )
