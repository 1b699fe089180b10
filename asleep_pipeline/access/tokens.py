"""API tokens: each belongs to one organisation, and only its hash is stored.

A token holds 256 random bits, so that a plain SHA-256 of it can be neither guessed nor searched; a
slow hash with a salt is for words that people choose. It is found by that hash and then compared in
constant time: how long the search takes says nothing, as nobody can choose how a hash begins.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from asleep_pipeline.errors import AccessError, UsageError

PREFIX: Final = "asl_"
"""Tells people, and programs that look for leaked secrets, what such a word is."""

_RANDOM_BYTES: Final = 32
_BUSY_S: Final = 5
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    org_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token, which is not the token itself; instants are UTC."""

    id: int
    org_id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens in a SQLite file that only its owner may read; holds no connection.

    Every method raises `AccessError` when the file cannot be used. Without a file there is no token.
    """

    path: Path

    def create(self, org_id: str, name: str, *, now: datetime) -> tuple[Token, str]:
        """Make a token.

        Args:
            org_id: The organisation whose users it may see.
            name: What people call it.
            now: The present, UTC.

        Returns:
            What is known of it, and the token, which cannot be had again.
        """
        secret = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        with self._connection() as con:
            _make_private(self.path)
            con.execute(_SCHEMA)
            row = con.execute(
                "INSERT INTO token (hash, org_id, name, created_at) VALUES (?, ?, ?, ?) RETURNING *",
                [_hash(secret), org_id, name, now.astimezone(UTC).isoformat()],
            ).fetchone()
            con.commit()
        return _token(row), secret

    def all(self) -> list[Token]:
        """Every token, the revoked ones too, in the order in which they were made."""
        return [_token(row) for row in self._rows("SELECT * FROM token ORDER BY id")]

    def find(self, secret: str) -> Token | None:
        """The token that somebody shows; None when there is none, or it was revoked."""
        wanted = _hash(secret)
        for row in self._rows("SELECT * FROM token WHERE hash = ? AND revoked_at IS NULL", wanted):
            if hmac.compare_digest(row["hash"], wanted):
                return _token(row)
        return None

    def is_valid(self, token_id: int) -> bool:
        """Whether there is a token that was not revoked."""
        found = self._rows("SELECT * FROM token WHERE id = ? AND revoked_at IS NULL", token_id)
        return bool(found)

    def revoke(self, token_id: int, *, now: datetime) -> Token:
        """Let a token hold no more; one that was revoked before stays as it was.

        Raises:
            UsageError: There is no such token.
        """
        if not self._rows("SELECT * FROM token WHERE id = ?", token_id):
            raise UsageError(
                f"There is no token {token_id}.", fix="`asleep-pipeline tokens list` shows them."
            )
        with self._connection() as con:
            row = con.execute(
                "UPDATE token SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? RETURNING *",
                [now.astimezone(UTC).isoformat(), token_id],
            ).fetchone()
            con.commit()
        return _token(row)

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        if not self.path.exists():
            return []
        with self._connection() as con:
            rows: list[sqlite3.Row] = con.execute(sql, values).fetchall()
            return rows

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite would make the file readable for everybody.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as con:
                con.row_factory = sqlite3.Row
                yield con
        except (sqlite3.Error, OSError) as error:
            raise AccessError(
                f"The API tokens in {self.path} cannot be used: {error}.",
                fix="Check the folder's rights and the free space.",
            ) from error


def _make_private(path: Path) -> None:
    """Take back what somebody may have granted to others, say by copying the folder."""
    path.chmod(0o600)
    path.parent.chmod(0o700)


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
    )
