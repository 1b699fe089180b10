"""`audit`: what commands leave in it, and what it says of itself."""

from __future__ import annotations

import os
import pwd
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.cli.desk import Desk

ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
AUDIT = "data/access/audit.sqlite"


def newest(desk: Desk) -> dict[str, Any]:
    """The newest entry."""
    entry = desk("audit", "show", "--limit", "1", "--json").data[0]
    assert isinstance(entry, dict)
    return entry


def someone(desk: Desk) -> str:
    """A user id."""
    return str(desk("users", "list", "--json").data[0]["user_id"])


def test_commands_about_people_are_noted(own: Desk) -> None:
    """Who looks at users, adds one, reports on one, asks a query or takes everything out."""
    user_id = someone(own)
    assert (newest(own)["action"], newest(own)["actor"]) == ("read", ME)
    for command, action in [
        (("users", "add", "new-user", "--org", "acme"), "create"),
        (("users", "import", "roster.csv"), "change"),
        (("query", "SELECT 1"), "query"),
        (("query", "last-night", "--user", user_id), "query"),
        (("report", "user", user_id), "read"),
        (("status",), "read"),
        (("export", "out"), "export"),
    ]:
        before = newest(own)["number"]
        said = own(*command)
        assert said.code == ExitCode.OK, said.err
        entry = newest(own)
        assert (entry["number"], entry["action"], entry["actor"]) == (before + 1, action, ME)


def test_grants_are_noted(desk: Desk) -> None:
    """Whoever lets somebody in, or shuts them out, is remembered; which token or member, by its number."""
    for command, action, what in [
        (("orgs", "create", "acme"), "create", "orgs create"),
        (("orgs", "set", "acme", "--timezone", "Asia/Seoul"), "change", "orgs set"),
        (("tokens", "create", "--org", "acme", "--name", "x"), "create", "tokens create"),
        (("tokens", "revoke", "1"), "delete", "tokens revoke"),
        (("members", "add", "ada", "--org", "acme", "--role", "owner"), "create", "members add"),
        (("orgs", "remove", "acme"), "delete", "orgs remove"),
    ]:
        said = desk(*command)
        assert said.code == ExitCode.OK, said.err
        entry = newest(desk)
        assert (entry["action"], entry["details"]["what"]) == (action, what)


def test_a_query_stands_there_as_a_hash(own: Desk) -> None:
    """SQL may name a person; the same query has the same hash."""
    for sql in ("SELECT 'a secret'", "SELECT 'a secret'", "SELECT 'another'"):
        assert own("query", sql).code == ExitCode.OK
    third, second, first = (e["details"]["sql"] for e in own("audit", "show", "--json").data[:3])
    assert first == second != third
    assert b"secret" not in (own.folder / AUDIT).read_bytes()


def test_entries_about_a_user_are_found(own: Desk) -> None:
    """By the id, though it stands in no entry."""
    own("users", "add", "new-user", "--org", "acme")
    asked = ("audit", "show", "--user", "new-user", "--org", "acme", "--since", "2020-01-01")
    (entry,) = own(*asked, "--json").data
    assert entry["about"] not in (None, "new-user")
    assert own("audit", "show", "--user", "nobody", "--json").data == []


def test_verify_and_an_anchor(own: Desk) -> None:
    """What is intact says so; cut off at its end, only the anchor noted before tells."""
    someone(own)
    anchor = own("audit", "anchor", "--json").data["anchor"]
    assert own("audit", "verify", "--anchor", anchor, "--json").data["intact"] is True
    with closing(sqlite3.connect(own.folder / AUDIT)) as con:
        con.execute("DROP TRIGGER entries_are_kept")
        con.execute("DELETE FROM entry WHERE number = (SELECT max(number) FROM entry)")
        con.commit()
    assert own("audit", "verify").code == ExitCode.OK
    said = own("audit", "verify", "--anchor", anchor)
    assert said.code == ExitCode.FAILED
    assert "was there once" in said.err


def test_verify_names_the_first_bad_entry(own: Desk) -> None:
    """With an exit code that a scheduled job can tell."""
    someone(own)
    with closing(sqlite3.connect(own.folder / AUDIT)) as con:
        con.execute("DROP TRIGGER entries_stay")
        con.execute("UPDATE entry SET actor = 'cli:eve' WHERE number = 1")
        con.commit()
    said = own("audit", "verify")
    assert said.code == ExitCode.FAILED
    assert "Entry 1 is not as it was written" in said.err


@pytest.mark.parametrize("anchor", ["7", "7:", "x:00", f"7:{'g' * 64}", f"-1:{'0' * 64}"])
def test_no_anchor(desk: Desk, anchor: str) -> None:
    """A slip is told from a log that was cut."""
    said = desk("audit", "verify", "--anchor", anchor)
    assert said.code == ExitCode.USAGE
    assert "anchor" in said.err


def test_a_log_that_nothing_was_noted_in(desk: Desk) -> None:
    """Is intact, and looking into it leaves no folder."""
    assert desk("audit", "verify", "--json").data == {"entries": 0, "last": 0, "intact": True}
    assert desk("audit", "anchor", "--json").data == {"anchor": "0:"}
    assert desk("audit", "show", "--json").data == []
    assert not desk.data_dir.exists()
