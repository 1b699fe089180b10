"""`orgs`: made, shown, changed and removed at a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.cli.desk import Desk


@pytest.fixture
def nobody(tmp_path: Path) -> Desk:
    """A desk where there is no data at all."""
    return Desk(tmp_path, {"ASLEEP_DATA_DIR": str(tmp_path / "data")})


def test_an_organisation_from_beginning_to_end(nobody: Desk) -> None:
    """Made with settings, changed, shown, and removed with whoever could ask."""
    own = ("--timezone", "Asia/Seoul", "--keep", "raw=30", "--keep", "audit=400")
    made = nobody("orgs", "create", "acme", *own, "--json").data
    assert (made["timezone"], made["free_days"], made["min_group_size"]) == (
        "Asia/Seoul",
        [6, 7],
        5,
    )
    assert made["retention"] == {"raw": 30, "sessions": "ever", "inbox": "ever", "audit": 400}
    assert (made["api_key"], made["api_key_file"]) == ("none", None)
    changes = ("--free-days", "fri,sat", "--min-group-size", "9", "--keep", "raw=ever")
    changed = nobody("orgs", "set", "acme", *changes, "--unset", "timezone", "--json")
    assert changed.data["retention"]["raw"] == "ever"
    assert (changed.data["timezone"], changed.data["free_days"]) == ("UTC", [5, 6])
    assert "rebuild" in changed.err
    assert nobody("orgs", "show", "acme", "--json").data == changed.data
    assert nobody("orgs", "list", "--json").data == [changed.data]
    nobody("members", "add", "ann", "--org", "acme", "--role", "owner")
    nobody("tokens", "create", "--org", "acme", "--name", "x")
    removed = nobody("orgs", "remove", "acme", "--json")
    assert removed.data == {"organisation": "acme", "members_removed": 1, "tokens_revoked": 1}
    assert "erase" in removed.err
    assert nobody("orgs", "list", "--json").data == []


def test_whose_key_it_is(nobody: Desk) -> None:
    """The file is told, the key is not."""
    (nobody.folder / "acme.key").write_text("a-secret-key")
    said = nobody(
        "orgs", "create", "acme", "--api-key-file", "acme.key", "--json", api_key="other-key"
    )
    assert said.data["api_key"] == "own"
    assert said.data["api_key_file"] == str(nobody.folder / "acme.key")
    assert "a-secret-key" not in said.out
    nobody("orgs", "create", "duo")
    assert (
        nobody("orgs", "show", "duo", "--json", api_key="other-key").data["api_key"]
        == "the deployment's"
    )


def test_the_settings_file_stays_above(nobody: Desk) -> None:
    """What it has decided is said to stay as it is."""
    (nobody.folder / "asleep-pipeline.toml").write_text(
        "[organisations.acme]\nmin_group_size = 8\n"
    )
    said = nobody("orgs", "set", "acme", "--min-group-size", "2", "--json")
    assert said.data["min_group_size"] == 8
    assert "min_group_size stays" in said.err


def test_organisations_of_the_roster_are_there(loaded: Desk) -> None:
    """Also without settings of their own."""
    assert [row["organisation"] for row in loaded("orgs", "list", "--json").data] == ["default"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("create", " "), "ORG"),
        (("create", "acme", "--timezone", "Mars"), "IANA"),
        (("create", "acme", "--keep", "raw=soon"), "retention.raw"),
        (("create", "acme", "--keep", "raw"), "retention.raw"),
        (("create", "acme", "--keep", "nights=3"), "retention.nights"),
        (("set", "acme", "--unset", "zone"), "no setting 'zone'"),
        (("show", "acme"), "no organisation 'acme'"),
        (("remove", "acme"), "no organisation 'acme'"),
    ],
)
def test_what_cannot_be(nobody: Desk, asked: tuple[str, ...], said: str) -> None:
    """Each is said, and nothing is kept."""
    refused = nobody("orgs", *asked)
    assert refused.code == ExitCode.USAGE
    assert said in refused.err
    assert nobody("orgs", "list", "--json").data == []
