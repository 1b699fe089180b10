"""What the lake already holds of a few users, read before they are asked about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb

from asleep_pipeline.extract.plan import KnownDetail
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.users import LakeUser

DetailsBySession = dict[str, KnownDetail]
ListHashes = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Known:
    """Details and list rows of some users within a window of start dates.

    Attributes:
        details: The newest detail in `raw`, by user and session.
        listed: Hash of each session's list row in `sessions`, by user and session; None while
            `raw` holds answers that `sessions` has not read yet.
    """

    details: dict[str, DetailsBySession] = field(default_factory=dict)
    listed: dict[str, ListHashes] | None = None

    def listed_hash(self, user_id: str, session_id: str) -> str | None:
        """The hash of the list row that `sessions` holds; None where that is not known."""
        return (self.listed or {}).get(user_id, {}).get(session_id)

    def says_the_same(self, user_id: str, hashes: Mapping[str, str]) -> bool:
        """Whether a complete listing of the window holds no news."""
        return self.listed is not None and self.listed.get(user_id, {}) == hashes


def read_known(lake: Lake, users: Sequence[LakeUser], shard: int, start: date, end: date) -> Known:
    """Read what is known of users of one shard about sessions that start from `start` to `end`."""
    params = {"shard": shard, "users": [u.user_id for u in users], "start": start, "end": end}
    with lake.read() as con:
        return Known(
            details=_details(con, params),
            listed=None if _has_unread(con, shard) else _listed(con, params),
        )


def _details(
    con: duckdb.DuckDBPyConnection, params: dict[str, object]
) -> dict[str, DetailsBySession]:
    rows = con.execute(
        """
        SELECT user_id, session_id,
               max_by(struct_pack(list_hash, body_sha256, session_state, status, fetched_at),
                      fetched_at)
        FROM lake.raw
        WHERE endpoint = 'get_session' AND shard = $shard AND list_contains($users, user_id)
          AND partition_date BETWEEN $start AND $end
        GROUP BY user_id, session_id
        """,
        params,
    ).fetchall()
    details: dict[str, DetailsBySession] = defaultdict(dict)
    for user_id, session_id, newest in rows:
        details[user_id][session_id] = KnownDetail(**newest)
    return details


def _listed(con: duckdb.DuckDBPyConnection, params: dict[str, object]) -> dict[str, ListHashes]:
    rows = con.execute(
        """
        SELECT user_id, session_id, list_hash FROM lake.sessions
        WHERE shard = $shard AND list_contains($users, user_id)
          AND start_date BETWEEN $start AND $end
        """,
        params,
    ).fetchall()
    listed: dict[str, ListHashes] = defaultdict(dict)
    for user_id, session_id, digest in rows:
        listed[user_id][session_id] = digest
    return listed


def _has_unread(con: duckdb.DuckDBPyConnection, shard: int) -> bool:
    row = con.execute(
        """
        SELECT coalesce(max(r.rowid), -1) >
               coalesce((SELECT max(raw_rowid) FROM lake.progress
                         WHERE stream = 'sessions' AND shard = $shard), -1)
        FROM lake.raw AS r
        WHERE r.shard = $shard AND r.endpoint IN ('list_sessions', 'get_session')
        """,
        {"shard": shard},
    ).fetchone()
    return row is not None and bool(row[0])
