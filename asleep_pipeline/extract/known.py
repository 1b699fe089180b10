"""What the lake already holds of a few users, read before they are asked about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import duckdb

from asleep_pipeline.asleep import SessionItem, UnreadableAnswer, decode_session_page
from asleep_pipeline.extract.plan import KnownDetail, list_hash
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import RAW, SESSIONS
from asleep_pipeline.lake.users import LakeUser

DetailsBySession = dict[str, KnownDetail]
ListHashes = dict[str | None, datetime | None]
"""When each list row of a session was listed, by its hash; both None where no list row is known."""

_OF_USERS = "shard = $shard AND user_id IN (SELECT unnest($users))"
_STORED = f"lake.sessions WHERE {_OF_USERS} AND start_date BETWEEN $start AND $end"
_ANSWERED = f"""
    lake.raw WHERE endpoint IN ('get_session', 'session_complete') AND {_OF_USERS}
        AND partition_date BETWEEN $start AND $end
"""
_NOT_READ = f"""
    lake.raw WHERE {_OF_USERS}
        AND endpoint IN ('list_sessions', 'get_session', 'session_complete')
        AND partition_date BETWEEN $start AND $end
        AND rowid > coalesce((SELECT max(raw_rowid) FROM lake.progress
                              WHERE stream = 'sessions' AND shard = $shard), -1)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """Details and list rows of some users within a window of start dates.

    Attributes:
        details: The newest detail in `raw`, by user and session.
        listed: Each session's list row in `sessions`, and those in listings that `sessions` has not
            read yet, by user and session.
        unread: Users of whom `raw` holds answers that `sessions` has not read yet.
    """

    details: dict[str, DetailsBySession] = field(default_factory=dict)
    listed: dict[str, dict[str, ListHashes]] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()

    def list_hashes(self, user_id: str, session_id: str) -> ListHashes:
        """The session's list rows that are known."""
        return self.listed.get(user_id, {}).get(session_id, {})

    def says_the_same(self, user_id: str, hashes: Mapping[str, str]) -> bool:
        """Whether a complete listing of the window holds no news."""
        present = {session_id: {digest} for session_id, digest in hashes.items()}
        known = self.listed.get(user_id, {})
        return user_id not in self.unread and present == {
            session_id: set(rows) for session_id, rows in known.items()
        }


def read_known(lake: Lake, users: Sequence[LakeUser], shard: int, start: date, end: date) -> Known:
    """Read what is known of users of one shard about sessions that start from `start` to `end`."""
    params = {"shard": shard, "users": [u.user_id for u in users], "start": start, "end": end}
    with lake.read() as con:
        listed = _listed(con, params)
        unread = _unread(con, params)
        for user_id, listed_at, body in unread:
            for item in _items(body):
                listed[user_id][item.session_id][list_hash(item)] = listed_at
        return Known(_details(con, params), listed, frozenset(user_id for user_id, *_ in unread))


def _details(
    con: duckdb.DuckDBPyConnection, params: dict[str, object]
) -> dict[str, DetailsBySession]:
    rows = con.execute(
        f"""
        SELECT user_id, session_id,
               max_by(struct_pack(list_hash, body_sha256, session_state, status, fetched_at),
                      fetched_at) FILTER (endpoint = 'get_session'),
               max(fetched_at) FILTER (endpoint = 'session_complete')
        FROM {opened(con, RAW, _ANSWERED)}
        GROUP BY user_id, session_id
        """,
        params,
    ).fetchall()
    details: dict[str, DetailsBySession] = defaultdict(dict)
    for user_id, session_id, newest, pushed_at in rows:
        if newest is not None:
            details[user_id][session_id] = KnownDetail(**newest, pushed_at=pushed_at)
    return details


def _listed(
    con: duckdb.DuckDBPyConnection, params: dict[str, object]
) -> dict[str, dict[str, ListHashes]]:
    sessions = opened(con, SESSIONS, _STORED)
    rows = con.execute(
        f"SELECT user_id, session_id, list_hash, listed_at FROM {sessions}", params
    ).fetchall()
    listed: dict[str, dict[str, ListHashes]] = defaultdict(lambda: defaultdict(dict))
    for user_id, session_id, digest, listed_at in rows:
        listed[user_id][session_id][digest] = listed_at
    return listed


def _unread(
    con: duckdb.DuckDBPyConnection, params: dict[str, object]
) -> list[tuple[str, datetime | None, bytes | None]]:
    """User, instant and body of the listings that `sessions` has not read yet; others without."""
    return con.execute(
        f"""
        SELECT user_id, listed_at, CASE endpoint WHEN 'list_sessions' THEN body END
        FROM {opened(con, RAW, _NOT_READ)}
        """,
        params,
    ).fetchall()


def _items(body: bytes | None) -> list[SessionItem]:
    try:
        return decode_session_page(body).sleep_session_list if body is not None else []
    except UnreadableAnswer:
        return []
