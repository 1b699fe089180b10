"""How the inbox's SQLite file is opened, written and kept in order: connections, transactions, instants."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_BUSY_S: Final = 30
_POLL_S: Final = 0.001
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@contextmanager
def transaction(con: sqlite3.Connection, patience_s: float = _BUSY_S) -> Iterator[None]:
    """Commit what the block writes; of one that fails, nothing is left.

    Args:
        con: A connection without an open transaction.
        patience_s: How long others may keep it waiting.

    Raises:
        sqlite3.Error: It cannot be written, or others took longer.
    """
    _insist(con, "BEGIN IMMEDIATE", patience_s)
    try:
        yield
        con.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            con.execute("ROLLBACK")
        raise


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the inbox's file, in the mode in which a commit that returned stays.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    con = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _insist(con, "PRAGMA journal_mode = WAL", _BUSY_S)
        # NORMAL would lose the last commits in a power cut.
        con.execute("PRAGMA synchronous = FULL")
        # Deleted events leave no bytes in free pages.
        con.execute("PRAGMA secure_delete = ON")
    except sqlite3.Error:
        con.close()
        raise
    return con


def _insist(con: sqlite3.Connection, sql: str, patience_s: float) -> None:
    """Run a statement that others may have to make room for.

    SQLite waits by itself, but up to 100 ms at a time, and not at all for a new file's journal mode.
    """
    con.execute("PRAGMA busy_timeout = 0")
    until = time.monotonic() + patience_s
    while True:
        try:
            con.execute(sql)
            break
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > until:
                raise
            time.sleep(_POLL_S)
    con.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")


def micros(moment: datetime) -> int:
    """An instant as the inbox keeps it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_micros(value: int) -> datetime:
    """The instant that `micros` gave, in UTC."""
    return _EPOCH + timedelta(microseconds=value)
