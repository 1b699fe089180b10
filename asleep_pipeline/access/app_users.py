"""Which user at Asleep stands for which user of an app, organisation by organisation.

Asleep issues the ids of users and has no call that lists them, so whoever is created and not written
down is lost. So an app's user is reserved before Asleep is asked, and the id is written down after it:

- Two who ask for the same app's user at once: one holds the reservation, the other waits for what comes of it.
- Asleep refuses, so that nobody was created: the reservation is given back.
- Nobody knows whether somebody was created, as the answer was lost or the process died: the attempt counts
  as lost, after `HELD_S` at the latest, and the next one asks again. How many were lost is told with the
  user from then on: so many users without a session may be left at Asleep.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from asleep_pipeline.access.database import changing, rows

HELD_S: Final = 120
"""So long is a reservation held by a process that says nothing more; longer than Asleep is waited for."""


@dataclass(frozen=True, slots=True)
class AppUser:
    """A user of an app, and who it is at Asleep.

    Attributes:
        created_at: When Asleep issued the id, UTC.
        lost_attempts: Earlier attempts of which nobody knows whether they created another user.
    """

    org_id: str
    app_user_id: str
    user_id: str
    created_at: datetime
    lost_attempts: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """The right to create one app's user at Asleep."""

    org_id: str
    app_user_id: str
    by: str


@dataclass(frozen=True, slots=True)
class AppUsers:
    """The app's users in the control database; holds no connection.

    Every method raises `AccessError` when the file cannot be used.
    """

    path: Path

    def reserve(
        self, org_id: str, app_user_id: str, *, now: datetime
    ) -> AppUser | Reservation | None:
        """The user if there is one, else the right to create it; None while another has that right."""
        with changing(self.path) as con:
            row = _by_app(con, org_id, app_user_id)
            if row is not None and row["user_id"] is not None:
                return _app_user(row)
            if row is not None and _is_held(row, now):
                return None
            reservation = Reservation(org_id, app_user_id, secrets.token_hex(16))
            # Whoever held it and said nothing may have created somebody.
            lost = 0 if row is None else row["lost_attempts"] + (row["reserved_by"] is not None)
            con.execute(
                "INSERT OR REPLACE INTO app_user VALUES (?, ?, NULL, NULL, ?, ?, ?)",
                [org_id, app_user_id, reservation.by, _text(now), lost],
            )
            return reservation

    def settle(self, held: Reservation, user_id: str, *, now: datetime) -> AppUser | None:
        """Write down whom Asleep has created; None when the reservation is another's by now."""
        with changing(self.path) as con:
            row = con.execute(
                "UPDATE app_user SET user_id = ?, created_at = ?, reserved_by = NULL "
                "WHERE org_id = ? AND app_user_id = ? AND reserved_by = ? RETURNING *",
                [user_id, _text(now), held.org_id, held.app_user_id, held.by],
            ).fetchone()
            return None if row is None else _app_user(row)

    def give_back(self, held: Reservation) -> None:
        """Note that nobody was created: the next one may try at once."""
        self._end(held, lost=0)

    def give_up(self, held: Reservation) -> None:
        """Note that nobody knows whether somebody was created: the next one may try at once."""
        self._end(held, lost=1)

    def find(self, org_id: str, user_id: str) -> AppUser | None:
        """Who a user at Asleep is in the organisation's app."""
        found = self.among(org_id, [user_id])
        return found.get(user_id)

    def find_by_app(self, org_id: str, app_user_id: str) -> AppUser | None:
        """Who an app's user is at Asleep."""
        sql = "SELECT * FROM app_user WHERE org_id = ? AND app_user_id = ? AND user_id IS NOT NULL"
        found = rows(self.path, sql, org_id, app_user_id)
        return _app_user(found[0]) if found else None

    def among(self, org_id: str, user_ids: Sequence[str]) -> dict[str, AppUser]:
        """Those of some users whom the organisation's app knows, by the id at Asleep."""
        places = ", ".join("?" * len(user_ids))
        sql = f"SELECT * FROM app_user WHERE org_id = ? AND user_id IN ({places})"
        found = rows(self.path, sql, org_id, *user_ids)
        return {row["user_id"]: _app_user(row) for row in found}

    def forget(self, org_id: str, user_id: str) -> None:
        """Let the app's user be created anew, as when the one that it was is erased."""
        with changing(self.path) as con:
            con.execute("DELETE FROM app_user WHERE org_id = ? AND user_id = ?", [org_id, user_id])

    def _end(self, held: Reservation, *, lost: int) -> None:
        mine = [held.org_id, held.app_user_id, held.by]
        with changing(self.path) as con:
            con.execute(
                "UPDATE app_user SET reserved_by = NULL, lost_attempts = lost_attempts + ? "
                "WHERE org_id = ? AND app_user_id = ? AND reserved_by = ?",
                [lost, *mine],
            )
            con.execute(
                "DELETE FROM app_user WHERE org_id = ? AND app_user_id = ? AND user_id IS NULL "
                "AND reserved_by IS NULL AND lost_attempts = 0",
                mine[:2],
            )


def _by_app(con: sqlite3.Connection, org_id: str, app_user_id: str) -> sqlite3.Row | None:
    sql = "SELECT * FROM app_user WHERE org_id = ? AND app_user_id = ?"
    row: sqlite3.Row | None = con.execute(sql, [org_id, app_user_id]).fetchone()
    return row


def _is_held(row: sqlite3.Row, now: datetime) -> bool:
    if row["reserved_by"] is None:
        return False
    return now - datetime.fromisoformat(row["reserved_at"]) < timedelta(seconds=HELD_S)


def _app_user(row: Any) -> AppUser:
    return AppUser(
        row["org_id"],
        row["app_user_id"],
        row["user_id"],
        datetime.fromisoformat(row["created_at"]),
        row["lost_attempts"],
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
