"""Members: whom an identity provider knows by a subject, and what they are in an organisation."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from asleep_pipeline.access.database import changing, rows
from asleep_pipeline.access.roles import Role, check_user
from asleep_pipeline.errors import ConflictError, UsageError


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in an organisation.

    Attributes:
        id: Their number there, never given again.
        org_id: The organisation; a subject may be a member of several.
        subject: How the identity provider names them: the claim `sub` of their JWTs.
        role: What they are.
        user_id: The user that they are, of the role `member`; None of the others.
        created_at: Since when, UTC.
    """

    id: int
    org_id: str
    subject: str
    role: Role
    user_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Members:
    """The members in the control database; holds no connection.

    Every method raises `AccessError` when the file cannot be used. Without a file there is no member.
    """

    path: Path

    def add(
        self, org_id: str, subject: str, role: Role, *, now: datetime, user_id: str | None = None
    ) -> Member:
        """Make somebody a member.

        Args:
            org_id: Of which organisation.
            subject: How the identity provider names them.
            role: What they are to be.
            now: The present, UTC.
            user_id: The user that they are; for the role `member`, and no other.

        Raises:
            UsageError: A member without user, or somebody else with one.
            ConflictError: They are a member already.
        """
        check_user(role, user_id)
        with changing(self.path) as con:
            row = con.execute(
                "INSERT INTO member (org_id, subject, role, user_id, created_at) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING *",
                [org_id, subject, role, user_id, now.astimezone(UTC).isoformat()],
            ).fetchone()
        if row is None:
            raise ConflictError(
                "That subject is a member of the organisation already.", fix="Change their role."
            )
        return _member(row)

    def all(self) -> list[Member]:
        """Every member of every organisation, by organisation."""
        return [_member(row) for row in rows(self.path, "SELECT * FROM member ORDER BY org_id, id")]

    def of(self, org_id: str, *, after: int, limit: int) -> list[Member]:
        """The members of an organisation by number, a page of them.

        Args:
            org_id: The organisation.
            after: The number of the last one of the page before; 0 at first.
            limit: How many at most.
        """
        sql = "SELECT * FROM member WHERE org_id = ? AND id > ? ORDER BY id LIMIT ?"
        return [_member(row) for row in rows(self.path, sql, org_id, after, limit)]

    def known_as(self, subject: str) -> list[Member]:
        """Everything that a subject is, by organisation."""
        sql = "SELECT * FROM member WHERE subject = ? ORDER BY org_id"
        return [_member(row) for row in rows(self.path, sql, subject)]

    def with_id(self, member_id: int | None) -> list[Member]:
        """The member of a number, of whichever organisation; nobody when there is none."""
        sql = "SELECT * FROM member WHERE id = ?"
        return [_member(row) for row in rows(self.path, sql, member_id)]

    def get(self, org_id: str, member_id: int) -> Member:
        """One member of an organisation.

        Raises:
            UsageError: It has none of that number.
        """
        sql = "SELECT * FROM member WHERE org_id = ? AND id = ?"
        for row in rows(self.path, sql, org_id, member_id):
            return _member(row)
        raise _unknown(org_id)

    def set_role(
        self, org_id: str, member_id: int, role: Role, *, user_id: str | None = None
    ) -> Member:
        """Make a member something else, from the next question on.

        Raises:
            UsageError: The organisation has no such member; or a member without user, or somebody
                else with one.
            ConflictError: It is the last owner, who would be none any more.
        """
        check_user(role, user_id)
        with changing(self.path) as con:
            if role is not Role.OWNER:
                _keep_an_owner(con, org_id, member_id)
            row = con.execute(
                "UPDATE member SET role = ?, user_id = ? WHERE org_id = ? AND id = ? RETURNING *",
                [role, user_id, org_id, member_id],
            ).fetchone()
        if row is None:
            raise _unknown(org_id)
        return _member(row)

    def remove(self, org_id: str, member_id: int) -> Member:
        """Let somebody be a member no more, from the next question on.

        Raises:
            UsageError: The organisation has no such member.
            ConflictError: It is the last owner.
        """
        with changing(self.path) as con:
            _keep_an_owner(con, org_id, member_id)
            row = con.execute(
                "DELETE FROM member WHERE org_id = ? AND id = ? RETURNING *", [org_id, member_id]
            ).fetchone()
        if row is None:
            raise _unknown(org_id)
        return _member(row)


def _keep_an_owner(con: sqlite3.Connection, org_id: str, member_id: int) -> None:
    sql = "SELECT id FROM member WHERE org_id = ? AND role = 'owner'"
    if [row["id"] for row in con.execute(sql, [org_id])] == [member_id]:
        raise ConflictError(
            "Without its last owner, nobody could manage the organisation.",
            fix="Make somebody else an owner first.",
        )


def _unknown(org_id: str) -> UsageError:
    return UsageError(
        f"The organisation {org_id!r} has no such member.",
        fix="`asleep-pipeline members list` shows them.",
    )


def _member(row: sqlite3.Row) -> Member:
    return Member(
        row["id"],
        row["org_id"],
        row["subject"],
        Role(row["role"]),
        row["user_id"],
        datetime.fromisoformat(row["created_at"]),
    )
