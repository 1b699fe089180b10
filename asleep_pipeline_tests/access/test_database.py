"""The control database: files of earlier and later releases, and who does what at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Barrier

import pytest

from asleep_pipeline.access import database
from asleep_pipeline.access.callers import Caller, authenticate
from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.database import changing, rows
from asleep_pipeline.access.members import Members
from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.errors import AccessError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECRET = "asl_" + "x" * 43
EARLIER = """
CREATE TABLE token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    org_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT
"""
"""As the release before made it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is to be; there is none."""
    return tmp_path / "access" / "access.sqlite"


@pytest.fixture
def earlier(path: Path) -> Path:
    """A file of the release before, with one token that holds and one that was revoked."""
    path.parent.mkdir()
    file = path.with_name("tokens.sqlite")
    con = sqlite3.connect(file)
    con.execute(EARLIER)
    for secret, revoked_at in ((SECRET, None), ("asl_other", NOW.isoformat())):
        values = [sha256(secret.encode()).digest(), "acme", "x", NOW.isoformat(), revoked_at]
        con.execute(
            "INSERT INTO token (hash, org_id, name, created_at, revoked_at) VALUES (?,?,?,?,?)",
            values,
        )
    con.commit()
    con.close()
    return file


def test_tokens_of_the_release_before_hold(path: Path, earlier: Path) -> None:
    """They may what they might: all that an admin may; who was revoked stays so."""
    caller = authenticate(f"Bearer {SECRET}", Credentials(Tokens(path), Members(path), None))
    assert caller == Caller("acme", Role.ADMIN, "token:1", None, 1)
    assert [token.revoked_at for token in Tokens(path).all()] == [None, NOW]
    assert not earlier.exists()
    assert Tokens(path).create("duo", "y", now=NOW)[0].id == 3


def test_many_open_a_file_of_the_release_before_at_once(path: Path, earlier: Path) -> None:
    """Each finds all tokens, and it has its new name once."""
    barrier = Barrier(8)

    def find(_: int) -> bool:
        barrier.wait()
        return Tokens(path).find(SECRET) is not None

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(find, range(8)))
    assert not earlier.exists()


def test_what_was_half_written_by_the_release_before_is_undone(path: Path, earlier: Path) -> None:
    """Its journal belongs to its name; so it is rolled back before the file gets another."""
    con = sqlite3.connect(earlier)
    con.execute("PRAGMA cache_size = 1")
    con.execute("BEGIN")
    con.execute("CREATE TABLE half AS SELECT randomblob(100000)")
    journal = earlier.with_name("tokens.sqlite-journal")
    left = earlier.read_bytes(), journal.read_bytes()
    con.close()
    # As after a crash: the file and its journal stand as they stood in the middle of it.
    earlier.write_bytes(left[0])
    journal.write_bytes(left[1])
    assert Tokens(path).find(SECRET) is not None
    assert rows(path, "SELECT 1 FROM sqlite_schema WHERE name = 'half'") == []
    assert not journal.exists()


def test_a_file_of_a_later_release_is_refused(path: Path) -> None:
    """What it means is unknown, so nobody is let in by it."""
    Tokens(path).create("acme", "x", now=NOW)
    con = sqlite3.connect(path)
    con.execute("PRAGMA user_version = 99")
    con.close()
    with pytest.raises(AccessError, match="later release"):
        Tokens(path).find(SECRET)


def test_all_of_a_change_holds_or_nothing(path: Path) -> None:
    """What fails in the middle leaves everything as it was."""
    Tokens(path).create("acme", "x", now=NOW)
    with pytest.raises(AccessError):
        delete_from(path, "token", "nothing")
    assert len(Tokens(path).all()) == 1


def delete_from(path: Path, *tables: str) -> None:
    """Empty tables in one change."""
    with changing(path) as con:
        for table in tables:
            con.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize("table", ["token", "member"])
@pytest.mark.parametrize(("role", "user_id"), [("boss", None), ("member", None), ("owner", "ann")])
def test_the_file_itself_refuses_roles_that_make_no_sense(
    path: Path, table: str, role: str, user_id: str | None
) -> None:
    """Whatever writes it, nobody is a member who is no user."""
    values: dict[str, object] = {
        "org_id": "acme",
        "created_at": NOW.isoformat(),
        "role": role,
        "user_id": user_id,
    }
    values |= {"hash": b"x", "name": "x"} if table == "token" else {"subject": "x"}
    places = ", ".join(f":{name}" for name in values)
    with pytest.raises(AccessError, match="CHECK"), changing(path) as con:
        con.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", values)


def test_a_busy_file_of_the_release_before_is_not_passed_over(
    path: Path, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it cannot be taken over, nothing new is begun in its place."""
    monkeypatch.setattr(database, "_BUSY_S", 0)
    con = sqlite3.connect(earlier)
    con.execute("BEGIN IMMEDIATE")
    with pytest.raises(AccessError, match="locked"):
        Tokens(path).find(SECRET)
    con.close()
    assert Tokens(path).find(SECRET) is not None


def test_a_change_keeps_other_processes_out_whoever_reads_meanwhile(path: Path) -> None:
    """A lock is the process's, and is lost when any thread of it closes the file that was opened beside."""
    Tokens(path).create("acme", "x", now=NOW)
    other = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    with changing(path), ThreadPoolExecutor(1) as threads:
        assert len(threads.submit(Tokens(path).all).result()) == 1
        tried = subprocess.run(
            [sys.executable, "-c", other], capture_output=True, text=True, check=False
        )
    assert "database is locked" in tried.stderr
    assert subprocess.run([sys.executable, "-c", other], check=False).returncode == 0
