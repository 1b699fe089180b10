"""`tokens`: made, listed and revoked at a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.cli.desk import Desk


@pytest.fixture
def nobody(tmp_path: Path) -> Desk:
    """A desk where there is no data at all."""
    return Desk(tmp_path, {"ASLEEP_DATA_DIR": str(tmp_path / "data")})


def test_a_token_from_beginning_to_end(nobody: Desk) -> None:
    """It is shown when it is made and never again, and listed after it was revoked."""
    made = nobody("tokens", "create", "--org", "acme", "--name", "wall", "--json")
    assert made.data["token"].startswith("asl_")
    assert made.data["organisation"] == "acme"
    assert "only its hash" in made.err
    (listed,) = nobody("tokens", "list", "--json").data
    assert listed == {name: value for name, value in made.data.items() if name != "token"}
    revoked = nobody("tokens", "revoke", str(listed["id"]), "--json").data
    assert revoked["revoked_at"]
    assert nobody("tokens", "list", "--json").data == [revoked]
    assert made.data["token"] not in nobody("tokens", "list").out


def test_an_organisation_without_users_is_remarked(nobody: Desk, loaded: Desk) -> None:
    """A slip in its name would be a token that sees nothing."""
    asked = ("tokens", "create", "--name", "x", "--org")
    assert "No user of 'acme' is on the roster" in nobody(*asked, "acme").err
    assert "No user of" not in nobody(*asked, "default", data_dir=str(loaded.data_dir)).err


@pytest.mark.parametrize("option", ["--org", "--name"])
def test_blank_words_are_refused(nobody: Desk, option: str) -> None:
    """Each token can be told from the others."""
    given = {"--org": "acme", "--name": "x"} | {option: " "}
    said = nobody("tokens", "create", *(word for pair in given.items() for word in pair))
    assert said.code == ExitCode.USAGE
    assert option in said.err


def test_revoking_nothing(nobody: Desk) -> None:
    """An id that there is not is named, with how to find the right one."""
    said = nobody("tokens", "revoke", "5")
    assert said.code == ExitCode.USAGE
    assert "There is no token 5" in said.err
    assert "tokens list" in said.err


def test_a_token_of_a_member(nobody: Desk, loaded: Desk) -> None:
    """It names the user whose own it is; one who is not on the roster is remarked."""
    asked = ("tokens", "create", "--org", "default", "--name", "x", "--role", "member", "--json")
    made = nobody(*asked, "--user", "ann")
    assert (made.data["role"], made.data["user_id"]) == ("member", "ann")
    assert "No such user" in made.err
    (known, *_) = loaded("users", "list", "--json").data
    at_home = nobody(*asked, "--user", known["user_id"], data_dir=str(loaded.data_dir))
    assert "No such user" not in at_home.err
    refused = nobody(*asked)
    assert refused.code == ExitCode.USAGE
    assert "--user" in refused.err
