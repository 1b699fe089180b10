"""Questions that people ask of an inbox: what came, what is laid aside, who tried."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from asleep_pipeline.webhooks.inbox import IS, Inbox, Status
from asleep_pipeline.webhooks.storage import from_micros, micros

_COLUMNS: Final = (
    "id, status, name AS event, version, key_name, user_id, session_id, received_at, "
    "length(body) AS bytes, duplicates, tries, problem, settled_at"
)

Row = dict[str, Any]


def newest_events(
    inbox: Inbox,
    status: Status | None = None,
    *,
    user_id: str | None = None,
    name: str | None = None,
    limit: int = 50,
) -> list[Row]:
    """What is known of events, the newest first; not what they say.

    Args:
        inbox: Where.
        status: Only these.
        user_id: Only those of this user.
        name: Only those of this name.
        limit: So many at most.

    Raises:
        InboxError: The inbox cannot be read.
    """
    condition, given = _wanted(status, user_id=user_id, name=name)
    rows = _rows(
        inbox,
        f"SELECT {_COLUMNS} FROM event WHERE {condition} ORDER BY id DESC LIMIT :limit",
        given | {"limit": limit},
    )
    return [
        row | {name: _instant(row[name]) for name in ("received_at", "settled_at")} for row in rows
    ]


def ids_of(inbox: Inbox, status: Status, *, user_id: str | None = None) -> list[int]:
    """The ids of the events in a state, of one user or of all.

    Raises:
        InboxError: The inbox cannot be read.
    """
    condition, given = _wanted(status, user_id=user_id)
    return [row["id"] for row in _rows(inbox, f"SELECT id FROM event WHERE {condition}", given)]


def missing_among(inbox: Inbox, ids: list[int]) -> list[int]:
    """Those ids that no event has.

    Raises:
        InboxError: The inbox cannot be read.
    """
    with inbox.connection() as con:
        return [
            i for i in ids if not con.execute("SELECT 1 FROM event WHERE id = ?", [i]).fetchone()
        ]


def count_before(inbox: Inbox, status: Status, before: datetime) -> int:
    """How many events `purge` would delete.

    Raises:
        InboxError: The inbox cannot be read.
    """
    (row,) = _rows(
        inbox,
        f"SELECT count(*) AS events FROM event WHERE {IS[status]} "
        "AND coalesce(settled_at, received_at) < :before",
        {"before": micros(before)},
    )
    return int(row["events"])


def newest_attempts(inbox: Inbox, *, limit: int = 50) -> list[Row]:
    """The audit, the newest second first: time (UTC), source, key_name, event, outcome, attempts.

    Raises:
        InboxError: The inbox cannot be read.
    """
    rows = _rows(
        inbox,
        "SELECT second AS time, source, key_name, name AS event, outcome, attempts FROM attempt "
        "ORDER BY second DESC, source, key_name, name, outcome LIMIT :limit",
        {"limit": limit},
    )
    return [row | {"time": datetime.fromtimestamp(row["time"], UTC)} for row in rows]


def _wanted(status: Status | None, **wanted: str | None) -> tuple[str, Row]:
    given = {column: value for column, value in wanted.items() if value is not None}
    conditions = [IS[status]] if status else []
    return " AND ".join([*conditions, *(f"{column} = :{column}" for column in given)]) or "1", given


def _rows(inbox: Inbox, sql: str, parameters: Row) -> list[Row]:
    with inbox.connection() as con:
        answer = con.execute(sql, parameters)
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer]


def _instant(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
