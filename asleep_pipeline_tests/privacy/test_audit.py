"""The audit log: what it keeps, and what it shows of who meddled with it."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asleep_pipeline.errors import AccessError
from asleep_pipeline.privacy.audit import Action, Asked, AuditLog, Deed
from asleep_pipeline.privacy.chain import Anchor

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
WHO = "canary-user-4711"


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """A log with ten entries, an hour apart, of two organisations in turn."""
    log = AuditLog(tmp_path / "access" / "audit.sqlite", tmp_path / "access" / "secret")
    for hour in range(10):
        deed = Deed("token:7", Action.READ, "acme" if hour % 2 else "duo", WHO, {"status": 200})
        log.append(deed, now=NOW + timedelta(hours=hour))
    log.close()
    return log


def meddle(log: AuditLog, *statements: str) -> None:
    """Do to the file what its owner could do without the secret."""
    with closing(sqlite3.connect(log.path)) as con:
        for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            con.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            con.execute(statement)
        con.commit()


def test_entries_say_who_did_what(log: AuditLog) -> None:
    """Newest first, by organisation, user and time; a user stands there as a keyed hash."""
    (entry, *_) = log.entries(Asked(org_id="acme", user_id=WHO, since=NOW + timedelta(hours=8)))
    assert (entry.number, entry.actor, entry.action, entry.details) == (
        10,
        "token:7",
        "read",
        {"status": 200},
    )
    assert entry.about == log.about(WHO)
    assert log.entries(Asked(user_id="somebody else")) == []
    assert [e.number for e in log.entries(Asked(before=4, limit=2))] == [3, 2]


def test_no_user_id_is_in_the_file(log: AuditLog) -> None:
    """So that an erased user is erased from the log of their erasure too; only the owner may read it."""
    files = [file for file in log.path.parent.iterdir() if file.is_file()]
    assert not any(WHO.encode() in file.read_bytes() for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_details_have_no_room_for_anything_else() -> None:
    """A body or an id would have no name to stand under."""
    with pytest.raises(ValueError, match="body"):
        Deed("token:7", Action.READ, details={"body": "..."})


def test_a_log_as_it_was_written_is_intact(log: AuditLog) -> None:
    """Whatever is appended later, an anchor holds."""
    anchor = log.anchor()
    log.append(Deed("cli:ada", Action.CHANGE), now=NOW)
    assert log.verify(anchor).problem is None
    assert log.verify().entries == 11


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE entry SET actor = 'token:8' WHERE number = 4", "Entry 4 is not"),
        ("UPDATE entry SET at = at + 1 WHERE number = 4", "Entry 4 is not"),
        ("UPDATE entry SET about = NULL WHERE number = 4", "Entry 4 is not"),
        ("DELETE FROM entry WHERE number = 4", "Entry 4 is missing"),
        ("DELETE FROM entry WHERE number <= 4", "Entry 1 is missing"),
        (
            "UPDATE entry SET number = -1 * number WHERE number IN (4, 5)",
            "Entry 1 is missing",
        ),
        (
            "UPDATE entry SET digest = hash, seal = x'00', actor = NULL WHERE number = 4",
            "Entry 4 was emptied",
        ),
        (
            "INSERT INTO checkpoint SELECT number, hash, hash FROM entry WHERE number = 4",
            "The checkpoint at entry 4",
        ),
        (
            (
                "INSERT INTO entry SELECT 11, at, org_id, actor, action, about, details, hash, NULL, NULL"
                " FROM entry WHERE number = 10"
            ),
            "Entry 11 is not",
        ),
    ],
)
def test_meddling_is_named(log: AuditLog, statement: str, problem: str) -> None:
    """Whoever changes, leaves out or adds an entry lacks the secret to make it fit."""
    meddle(log, statement)
    verdict = log.verify()
    assert verdict.problem
    assert verdict.problem.startswith(problem)


def test_an_anchor_shows_what_was_cut_off_at_the_end(log: AuditLog) -> None:
    """The newest entries could go unseen, were their number and hash not noted elsewhere."""
    anchor = log.anchor()
    meddle(log, "DELETE FROM entry WHERE number > 8")
    assert log.verify().problem is None
    assert log.verify(anchor).problem == "The log ends with entry 8; entry 10 was there once."
    log.append(Deed("cli:ada", Action.READ), now=NOW)
    log.append(Deed("cli:ada", Action.READ), now=NOW)
    assert log.verify(anchor).problem == "Entry 10 is another one than the anchor tells of."


def test_the_file_refuses_what_is_no_entry(log: AuditLog) -> None:
    """A slip of the own program cannot change the log either."""
    with closing(sqlite3.connect(log.path)) as con:
        for statement in ("UPDATE entry SET at = 0", "DELETE FROM entry"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                con.execute(statement)


def test_organisations_may_keep_entries_for_different_times(log: AuditLog) -> None:
    """What has expired has no content any more; the chain holds, and its front is cut off."""
    before, noon = log.anchor(), NOW + timedelta(days=1)
    at_six = NOW + timedelta(hours=6)
    assert log.expire({"acme": at_six}, now=noon, actor="cli:ada") == 3
    assert [e.number for e in log.entries(Asked(org_id="acme"))] == [10, 8]
    assert log.verify(before).problem is None
    assert log.expire({"duo": at_six}, now=noon, actor="cli:ada") == 3
    verdict = log.verify(before)
    assert (verdict.problem, verdict.entries) == (None, 6), "7 to 10, and one for each expiry"
    assert log.verify(Anchor(3, "00")).problem == (
        "Entry 3 of the anchor has expired; compare with a newer anchor."
    )
    meddle(log, "DELETE FROM entry WHERE number = 7")
    assert log.verify().problem == "Entry 7 is missing."


def test_everything_may_expire(log: AuditLog) -> None:
    """The entry that tells of it goes on where the chain was."""
    late = NOW + timedelta(days=9)
    assert log.expire({"acme": late, "duo": late, None: late}, now=late, actor="cli:ada") == 10
    assert [e.number for e in log.entries(Asked())] == [11]
    assert log.verify().problem is None


def _append_many(log: AuditLog, times: int) -> None:
    for _ in range(times):
        log.append(Deed("token:1", Action.READ, "acme"), now=NOW)


def test_threads_and_processes_write_one_chain(log: AuditLog) -> None:
    """Each entry follows another one, whoever wrote it."""
    spawn = multiprocessing.get_context("spawn")
    other = AuditLog(log.path, log._secret)
    processes = [
        spawn.Process(target=_write_as_process, args=(log.path, log._secret)) for _ in range(2)
    ]
    threads = [threading.Thread(target=_append_many, args=(other, 25)) for _ in range(8)]
    workers: list[Any] = [*processes, *threads]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    other.close()
    assert log.verify().entries == 10 + 2 * 50 + 8 * 25
    assert log.verify().problem is None


def _write_as_process(path: Path, secret: Path) -> None:
    _append_many(AuditLog(path, secret), 50)


def test_what_cannot_be_noted_is_told(tmp_path: Path) -> None:
    """Each of those who wait learns of it."""
    (tmp_path / "audit.sqlite").mkdir()
    with pytest.raises(AccessError, match="audit log"):
        AuditLog(tmp_path / "audit.sqlite", tmp_path / "secret").append(
            Deed("cli:ada", Action.READ), now=NOW
        )
