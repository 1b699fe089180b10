"""`members`: added, listed, changed and removed at a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.cli.desk import Desk


@pytest.fixture
def nobody(tmp_path: Path) -> Desk:
    """A desk where there is no data at all."""
    return Desk(tmp_path, {"ASLEEP_DATA_DIR": str(tmp_path / "data")})


def test_a_member_from_beginning_to_end(nobody: Desk) -> None:
    """Added, listed, made something else, removed."""
    made = nobody("members", "add", "auth0|7", "--org", "acme", "--role", "admin", "--json")
    assert (made.data["subject"], made.data["role"]) == ("auth0|7", "admin")
    assert nobody("members", "list", "--json").data == [made.data]
    asked = ("members", "set-role", "auth0|7", "--org", "acme", "--json")
    changed = nobody(*asked, "--role", "member", "--user", "u1").data
    assert changed == made.data | {"role": "member", "user_id": "u1"}
    assert nobody("members", "remove", "auth0|7", "--org", "acme", "--json").data == changed
    assert nobody("members", "list", "--json").data == []


def test_what_is_missing_is_remarked(nobody: Desk, loaded: Desk) -> None:
    """A member who cannot ask, or sees nothing, is probably a slip."""
    asked = ("members", "add", "ann", "--role", "admin", "--org")
    said = nobody(*asked, "acme").err
    assert "No user of 'acme'" in said
    assert "jwt_secret" in said
    secret = {"jwt_secret": "secret-of-the-tests-0123456789-abc", "jwt_audience": "us"}
    assert nobody(*asked, "default", data_dir=str(loaded.data_dir), **secret).err == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("set-role", "bob", "--org", "acme", "--role", "admin"), "no member 'bob'"),
        (("remove", "ann", "--org", "duo"), "no member 'ann'"),
        (("remove", "ann", "--org", "acme"), "last owner"),
        (("set-role", "ann", "--org", "acme", "--role", "member"), "--user"),
        (("add", "ann", "--org", "acme", "--role", "admin"), "already"),
        (("add", " ", "--org", "acme", "--role", "admin"), "SUBJECT"),
        (("add", "bob", "--org", "acme", "--role", "boss"), "'boss'"),
    ],
)
def test_what_cannot_be(nobody: Desk, asked: tuple[str, ...], said: str) -> None:
    """Each is said, and nothing changes."""
    before = nobody("members", "add", "ann", "--org", "acme", "--role", "owner", "--json").data
    refused = nobody("members", *asked)
    assert refused.code == ExitCode.USAGE
    assert said in refused.err
    assert nobody("members", "list", "--json").data == [before]
