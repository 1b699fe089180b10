"""The control database: who may ask, and of which organisation. One SQLite file, for its owner alone.

Nothing that it says is kept in memory, so that what changes in it holds from the next question on.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from asleep_pipeline.errors import AccessError

_BUSY_S: Final = 5
_EARLIER_NAME: Final = "tokens.sqlite"
"""The file's name as long as it held tokens only."""

_STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE IF NOT EXISTS token (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            hash BLOB NOT NULL UNIQUE,
            org_id TEXT NOT NULL,
            name TEXT NOT NULL,
            created_at TEXT NOT NULL,
            revoked_at TEXT
        ) STRICT
        """,
    ),
    (
        """
        ALTER TABLE token ADD COLUMN role TEXT NOT NULL DEFAULT 'admin'
        CHECK (role IN ('owner', 'admin', 'analyst', 'member'))
        """,
        """
        ALTER TABLE token ADD COLUMN user_id TEXT
        CHECK ((role = 'member') = (user_id IS NOT NULL))
        """,
        """
        CREATE TABLE member (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            org_id TEXT NOT NULL,
            subject TEXT NOT NULL,
            role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'analyst', 'member')),
            user_id TEXT CHECK ((role = 'member') = (user_id IS NOT NULL)),
            created_at TEXT NOT NULL,
            UNIQUE (subject, org_id)
        ) STRICT
        """,
        """
        CREATE TABLE organisation (
            org_id TEXT PRIMARY KEY,
            settings TEXT NOT NULL,
            created_at TEXT NOT NULL
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE app_user (
            org_id TEXT NOT NULL,
            app_user_id TEXT NOT NULL,
            user_id TEXT,
            created_at TEXT,
            reserved_by TEXT,
            reserved_at TEXT NOT NULL,
            lost_attempts INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (org_id, app_user_id),
            UNIQUE (org_id, user_id)
        ) STRICT
        """,
        """
        CREATE TABLE deleted_session (
            org_id TEXT NOT NULL,
            user_id TEXT NOT NULL,
            session_id TEXT NOT NULL,
            deleted_at TEXT NOT NULL,
            PRIMARY KEY (org_id, user_id, session_id)
        ) STRICT
        """,
    ),
)
"""What made the file what it is; a file knows by `user_version` how many of the steps it has taken."""


def rows(path: Path, sql: str, *values: Any) -> list[sqlite3.Row]:
    """What a SELECT finds; nothing as long as there is no file.

    Raises:
        AccessError: The file cannot be used.
    """
    # In this order: whoever takes the earlier file over gives it its new name before it loses its own.
    if not path.with_name(_EARLIER_NAME).exists() and not path.exists():
        return []
    with _opened(path) as con:
        found: list[sqlite3.Row] = con.execute(sql, values).fetchall()
        return found


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that keeps other writers out; all of it holds, or nothing.

    Raises:
        AccessError: The file cannot be used.
    """
    with _opened(path) as con:
        _make_private(path)
        with transaction(con):
            yield con


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _take_over(path.with_name(_EARLIER_NAME), path)
        # SQLite would make the file readable for everybody. One that is there must not even be opened:
        # closing it again would drop the locks that other threads of this process hold on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(_connect(path)) as con:
            _bring_up_to_date(con, path)
            yield con
    except (sqlite3.Error, OSError) as error:
        raise AccessError(
            f"The control database {path} cannot be used: {error}.",
            fix="Check the folder's rights and the free space.",
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    con = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    con.row_factory = sqlite3.Row
    # What is deleted is overwritten: an id of somebody who was erased must not stay in a free page.
    con.execute("PRAGMA secure_delete = ON")
    return con


def _take_over(earlier: Path, path: Path) -> None:
    """Give a file of an earlier release its new name, once; of two processes, one does it."""
    if path.exists() or not earlier.exists():
        return
    try:
        # By `mode=rw` none is made. Under the lock nobody writes to it, and no journal is left beside.
        with closing(sqlite3.connect(f"{earlier.as_uri()}?mode=rw", _BUSY_S, uri=True)) as con:
            con.execute("BEGIN EXCLUSIVE")
            os.link(earlier, path)
            earlier.unlink()
    except (sqlite3.OperationalError, OSError):
        if not path.exists():
            raise


def _bring_up_to_date(con: sqlite3.Connection, path: Path) -> None:
    if _steps_taken(con) == len(_STEPS):
        return
    with transaction(con):
        taken = _steps_taken(con)
        if taken > len(_STEPS):
            raise AccessError(
                f"The control database {path} was written by a later release.",
                fix="Install that release, or restore a copy from before.",
            )
        for statement in (each for step in _STEPS[taken:] for each in step):
            con.execute(statement)
        con.execute(f"PRAGMA user_version = {len(_STEPS)}")


def _steps_taken(con: sqlite3.Connection) -> int:
    return int(con.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def transaction(con: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes; of one that fails, nothing is left.

    Args:
        con: A connection that begins no transaction by itself.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    con.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")


def _make_private(path: Path) -> None:
    """Take back what somebody may have granted to others, say by copying the folder."""
    path.chmod(0o600)
    path.parent.chmod(0o700)
