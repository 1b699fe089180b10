"""How long the inbox remembers what it is done with."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.storage import micros, transaction

_CHUNK: Final = 5_000
_BREATH_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What has been deleted.

    Attributes:
        events_forgotten: Processed events; what waits, is dead or in quarantine stays.
        attempts_forgotten: Rows of the audit.
    """

    events_forgotten: int
    attempts_forgotten: int


def keep(path: Path, *, now: datetime, keep_days: int) -> Forgotten:
    """Delete the events that were processed, and the attempts that came, more than some days ago.

    An event that comes once more after that is stored once more; what is in the lake tells it apart.

    Args:
        path: The inbox; receivers may be at work in it. Where none is, nothing is to be forgotten.
        now: The present, UTC.
        keep_days: Days that are kept.

    Raises:
        InboxError: The inbox cannot be written; what was deleted until then stays deleted.
    """
    if not path.exists():
        return Forgotten(0, 0)
    inbox = Inbox(path)
    before = now - timedelta(days=keep_days)
    return Forgotten(inbox.purge("done", before=before), inbox.purge_attempts(before=before))


Over = Mapping[datetime, Sequence[str]]
"""Users, by the instant (UTC) before which their events are over."""

_OVER: Final = "received_at < ?1 AND user_id IN (SELECT value FROM json_each(?2))"


def count_over(path: Path, over: Over) -> int:
    """How many events `delete_over` would delete.

    Raises:
        InboxError: The inbox cannot be read.
    """
    if not path.exists():
        return 0
    with Inbox(path).connection() as con:
        sql = f"SELECT count(*) FROM event WHERE {_OVER}"
        return sum(con.execute(sql, given).fetchone()[0] for given in _given(over))


def delete_over(path: Path, over: Over) -> int:
    """Delete events whatever their state; those that wait have waited for too long.

    Returns:
        How many there were.

    Raises:
        InboxError: The inbox cannot be written; what was deleted until then stays deleted.
    """
    if not path.exists():
        return 0
    deleted = 0
    with Inbox(path).connection() as con:
        for given in _given(over):
            while done := _delete_some(con, given):
                deleted += done
                # Receivers are at work in it.
                time.sleep(_BREATH_S)
    return deleted


def _delete_some(con: sqlite3.Connection, given: tuple[int, str]) -> int:
    some = f"SELECT id FROM event WHERE {_OVER} LIMIT {_CHUNK}"
    with transaction(con):
        return con.execute(f"DELETE FROM event WHERE id IN ({some})", given).rowcount


def _given(over: Over) -> list[tuple[int, str]]:
    return [(micros(before), json.dumps(list(users))) for before, users in over.items() if users]
