"""Sessions that were deleted over the API, until the published file does not hold them any more.

A session that is deleted vanishes from the lake with the next reading of answers, and from the
published file with the publication after it. Until then the API answers as if that had happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from asleep_pipeline.access.database import changing, rows

_KEPT: Final = timedelta(days=1)
"""Longer than a publication takes that may have begun before the deletion."""


@dataclass(frozen=True, slots=True)
class DeletedSessions:
    """The deleted sessions in the control database; holds no connection.

    Every method raises `AccessError` when the file cannot be used.
    """

    path: Path

    def add(self, org_id: str, user_id: str, session_id: str, *, now: datetime) -> None:
        """Show a session no more."""
        with changing(self.path) as con:
            con.execute(
                "INSERT OR REPLACE INTO deleted_session VALUES (?, ?, ?, ?)",
                [org_id, user_id, session_id, now.astimezone(UTC).isoformat()],
            )

    def of(self, org_id: str, user_id: str) -> frozenset[str]:
        """Ids of the user's sessions that are not to be shown."""
        sql = "SELECT session_id FROM deleted_session WHERE org_id = ? AND user_id = ?"
        return frozenset(row["session_id"] for row in rows(self.path, sql, org_id, user_id))

    def keep_only(
        self, org_id: str, user_id: str, published: Iterable[str], *, now: datetime
    ) -> None:
        """Forget the user's sessions that were deleted long ago and are not published any more."""
        long_ago = (now - _KEPT).astimezone(UTC).isoformat()
        gone = self.of(org_id, user_id) - frozenset(published)
        with changing(self.path) as con:
            con.executemany(
                "DELETE FROM deleted_session WHERE org_id = ? AND user_id = ? "
                "AND session_id = ? AND deleted_at < ?",
                [(org_id, user_id, session_id, long_ago) for session_id in gone],
            )
