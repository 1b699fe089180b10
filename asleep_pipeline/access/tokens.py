"""API tokens: each belongs to one organisation, and only its hash is stored.

A token holds 256 random bits, so that a plain SHA-256 of it can be neither guessed nor searched; a
slow hash with a salt is for words that people choose. It is found by that hash and then compared in
constant time: how long the search takes says nothing, as nobody can choose how a hash begins.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from asleep_pipeline.access.database import changing, rows
from asleep_pipeline.access.roles import Role, check_user
from asleep_pipeline.errors import UsageError

PREFIX: Final = "asl_"
"""Tells people, and programs that look for leaked secrets, what such a word is."""

_RANDOM_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token, which is not the token itself; instants are UTC.

    Attributes:
        id: Its number, never given again.
        org_id: The organisation whose it is.
        name: What people call it.
        created_at: When it was made.
        revoked_at: Since when it holds no more; None while it does.
        role: What whoever shows it may do.
        user_id: The user who shows it, of the role `member`; None of the others.
    """

    id: int
    org_id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None
    role: Role = Role.ADMIN
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens in the control database; holds no connection.

    Every method raises `AccessError` when the file cannot be used. Without a file there is no token.
    """

    path: Path

    def create(
        self,
        org_id: str,
        name: str,
        *,
        now: datetime,
        role: Role = Role.ADMIN,
        user_id: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token.

        Args:
            org_id: The organisation that it is of.
            name: What people call it.
            now: The present, UTC.
            role: What it allows.
            user_id: Whose own it is; for the role `member`, and no other.

        Returns:
            What is known of it, and the token, which cannot be had again.

        Raises:
            UsageError: A member without user, or somebody else with one.
        """
        check_user(role, user_id)
        secret = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        with changing(self.path) as con:
            row = con.execute(
                "INSERT INTO token (hash, org_id, name, created_at, role, user_id) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
                [_hash(secret), org_id, name, now.astimezone(UTC).isoformat(), role, user_id],
            ).fetchone()
        return _token(row), secret

    def all(self) -> list[Token]:
        """Every token, the revoked ones too, in the order in which they were made."""
        return [_token(row) for row in rows(self.path, "SELECT * FROM token ORDER BY id")]

    def of(self, org_id: str, *, after: int, limit: int) -> list[Token]:
        """The tokens of an organisation, the revoked ones too, by number; a page of them.

        Args:
            org_id: The organisation.
            after: The number of the last one of the page before; 0 at first.
            limit: How many at most.
        """
        sql = "SELECT * FROM token WHERE org_id = ? AND id > ? ORDER BY id LIMIT ?"
        return [_token(row) for row in rows(self.path, sql, org_id, after, limit)]

    def find(self, secret: str) -> Token | None:
        """The token that somebody shows; None when there is none, or it was revoked."""
        wanted = _hash(secret)
        sql = "SELECT * FROM token WHERE hash = ? AND revoked_at IS NULL"
        for row in rows(self.path, sql, wanted):
            if hmac.compare_digest(row["hash"], wanted):
                return _token(row)
        return None

    def get(self, token_id: int) -> Token | None:
        """What is known of a token; None when there is none, or it was revoked."""
        sql = "SELECT * FROM token WHERE id = ? AND revoked_at IS NULL"
        return next(map(_token, rows(self.path, sql, token_id)), None)

    def revoke(self, token_id: int, *, now: datetime, org_id: str | None = None) -> Token:
        """Let a token hold no more; one that was revoked before stays as it was.

        Args:
            token_id: Its number.
            now: The present, UTC.
            org_id: The organisation that it must be of; any, when None.

        Raises:
            UsageError: There is no such token.
        """
        if not rows(self.path, f"SELECT 1 FROM token WHERE {_ONE}", token_id, org_id):
            raise UsageError(
                f"There is no token {token_id}.", fix="`asleep-pipeline tokens list` shows them."
            )
        with changing(self.path) as con:
            row = con.execute(
                f"UPDATE token SET revoked_at = coalesce(revoked_at, ?3) WHERE {_ONE} RETURNING *",
                [token_id, org_id, now.astimezone(UTC).isoformat()],
            ).fetchone()
        return _token(row)


_ONE: Final = "id = ?1 AND org_id = coalesce(?2, org_id)"


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _token(row: sqlite3.Row) -> Token:
    revoked_at = row["revoked_at"]
    return Token(
        row["id"],
        row["org_id"],
        row["name"],
        datetime.fromisoformat(row["created_at"]),
        datetime.fromisoformat(revoked_at) if revoked_at else None,
        Role(row["role"]),
        row["user_id"],
    )
