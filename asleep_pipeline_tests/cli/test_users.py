"""`users`: a roster is taken over whole or not at all."""

from __future__ import annotations

import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.cli.desk import Desk


def test_import_makes_the_lake_and_counts(desk: Desk) -> None:
    """The first import makes the lake; a second one of the same file changes nobody."""
    assert desk("users", "import", "roster.csv", "--json").data["added"] == 3
    assert desk("users", "import", "roster.csv", "--json").data == {
        "added": 0,
        "updated": 3,
        "without_key": [],
    }
    assert len(desk("users", "list", "--json").data) == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name,timezone\nx,UTC\n", "user_id"),
        ("user_id,timezone\na,UTC\nb,Nowhere\n", "'Nowhere'"),
        ("user_id,time_zone\na,UTC\n", "'time_zone'"),
    ],
)
def test_bad_roster_changes_nothing(desk: Desk, text: str, named: str) -> None:
    """A roster with any row or column that cannot be used is refused whole, and named."""
    desk.roster.write_text(text, encoding="utf-8")
    said = desk("users", "import", "roster.csv")
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert named in said.err
    assert not desk.data_dir.exists()


def test_missing_file_is_named(desk: Desk) -> None:
    """A file that does not exist is refused by name."""
    said = desk("users", "import", "nowhere.csv")
    assert said.code == ExitCode.USAGE
    assert "nowhere.csv" in said.err


def test_organisation_without_key_is_told(desk: Desk) -> None:
    """A user of an organisation that has no key is taken over, with a warning that names it."""
    said = desk("users", "add", "someone", "--org", "acme", "--json", api_key=None)
    assert said.code == ExitCode.OK
    assert said.data["without_key"] == ["acme"]
    assert "[organisations.acme]" in said.err


def test_added_user_is_listed_with_what_is_known(desk: Desk) -> None:
    """What is said of a user on the command line is on the roster."""
    options = ["--timezone", "Asia/Seoul", "--free-days", "sat,sun", "--birth-year", "1990"]
    assert desk("users", "add", "someone", *options).code == ExitCode.OK
    (user,) = desk("users", "list", "--json").data
    assert (user["user_id"], user["timezone"]) == ("someone", "Asia/Seoul")
    assert (user["free_days"], user["birth_year"]) == ([6, 7], 1990)


def test_known_user_cannot_be_added_again(desk: Desk) -> None:
    """Adding a user twice is refused, so that nothing that is known gets lost."""
    desk("users", "add", "someone", "--timezone", "Asia/Seoul")
    said = desk("users", "add", "someone")
    assert said.code == ExitCode.USAGE
    assert "'someone' is on the roster already" in said.err
    assert desk("users", "list", "--json").data[0]["timezone"] == "Asia/Seoul"


def test_bad_value_of_a_user_is_named(desk: Desk) -> None:
    """A value that no user can have is refused, and no lake is made."""
    said = desk("users", "add", "someone", "--timezone", "Asia/Soul")
    assert said.code == ExitCode.USAGE
    assert "'Asia/Soul'" in said.err
    assert "Asia/Seoul" in said.err
    assert not desk.data_dir.exists()


def test_import_keeps_what_the_file_does_not_say(desk: Desk) -> None:
    """A column that a later file lacks keeps its values."""
    desk("users", "add", "someone", "--timezone", "Asia/Seoul")
    desk.roster.write_text("user_id,birth_year\nsomeone,1990\n", encoding="utf-8")
    assert desk("users", "import", "roster.csv").code == ExitCode.OK
    (user,) = desk("users", "list", "--json").data
    assert (user["timezone"], user["birth_year"]) == ("Asia/Seoul", 1990)
