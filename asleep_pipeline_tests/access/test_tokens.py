"""API tokens: what is stored of them, whom they stand for, and for how long."""

from __future__ import annotations

import re
import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asleep_pipeline.access.callers import Caller, NotAuthenticated, authenticate, is_still_known
from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.members import Members
from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.errors import AccessError, UsageError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """A place for tokens, where there are none."""
    return Tokens(tmp_path / "access" / "access.sqlite")


def known(tokens: Tokens) -> Credentials:
    """Those tokens, and nothing else, by which somebody is known."""
    return Credentials(tokens, Members(tokens.path), None)


def test_a_token_stands_for_its_organisation(tokens: Tokens) -> None:
    """Whoever shows it may see that organisation."""
    made, secret = tokens.create("acme", "a dashboard", now=NOW)
    tokens.create("duo", "another", now=NOW)
    assert (made.org_id, made.name, made.created_at, made.revoked_at) == (
        "acme",
        "a dashboard",
        NOW,
        None,
    )
    assert tokens.find(secret) == made
    assert authenticate(f"Bearer {secret}", known(tokens)) == Caller(
        "acme", Role.ADMIN, f"token:{made.id}", None, made.id
    )
    assert authenticate(f"bearer  {secret}", known(tokens)) == Caller(
        "acme", Role.ADMIN, f"token:{made.id}", None, made.id
    )


def test_tokens_look_like_tokens_and_are_never_the_same(tokens: Tokens) -> None:
    """They begin with asl_ and have 256 random bits, in letters that a header may hold."""
    secrets = {tokens.create("acme", "x", now=NOW)[1] for _ in range(20)}
    assert len(secrets) == 20
    assert all(re.fullmatch(r"asl_[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_only_a_hash_is_stored(tokens: Tokens) -> None:
    """Nobody who reads the file, or a listing, can use what stands there."""
    made, secret = tokens.create("acme", "x", now=NOW)
    stored = b"".join(file.read_bytes() for file in tokens.path.parent.iterdir())
    assert secret.encode() not in stored
    assert secret.removeprefix("asl_").encode() not in stored
    assert secret not in repr((made, tokens.all()))


def test_the_file_is_for_its_owner_alone(tokens: Tokens) -> None:
    """0600 in a folder of 0700, also after somebody has opened them to others."""
    tokens.create("acme", "x", now=NOW)
    assert modes(tokens.path) == (0o600, 0o700)
    tokens.path.chmod(0o644)
    tokens.path.parent.chmod(0o755)
    tokens.create("acme", "y", now=NOW)
    assert modes(tokens.path) == (0o600, 0o700)


def modes(path: Path) -> tuple[int, int]:
    """Who may do what with a file, and with its folder."""
    return stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)


def test_a_revoked_token_holds_no_more(tokens: Tokens) -> None:
    """At once, for new requests and for what goes on; the other tokens stay."""
    made, secret = tokens.create("acme", "x", now=NOW)
    other, other_secret = tokens.create("acme", "y", now=NOW)
    caller = authenticate(f"Bearer {secret}", known(tokens))
    assert is_still_known(caller, known(tokens))
    tokens.revoke(made.id, now=NOW)
    assert not is_still_known(caller, known(tokens))
    with pytest.raises(NotAuthenticated):
        authenticate(f"Bearer {secret}", known(tokens))
    assert tokens.find(other_secret) == other


def test_a_token_is_revoked_once(tokens: Tokens) -> None:
    """The first time counts; one that there is not is named."""
    made, _ = tokens.create("acme", "x", now=NOW)
    assert tokens.revoke(made.id, now=NOW).revoked_at == NOW
    assert tokens.revoke(made.id, now=NOW + timedelta(days=1)).revoked_at == NOW
    assert [token.revoked_at for token in tokens.all()] == [NOW]
    with pytest.raises(UsageError, match="There is no token 7"):
        tokens.revoke(7, now=NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer asl_",
        "Bearer asl_" + "x" * 43,
        "Bearer SECRETx",
        "Bearer SECRET more",
        "Bearer\tSECRET",
        "Bearer SECRET\n",
        "SECRET",
        "Basic SECRET",
        "Bearer secret",
        "Bearer \udcff",
        "Bearer " + "x" * 100_000,
    ],
)
def test_whoever_shows_no_token_is_nobody(tokens: Tokens, header: str | None) -> None:
    """Nothing but the whole token in the documented form is one."""
    _, secret = tokens.create("acme", "x", now=NOW)
    with pytest.raises(NotAuthenticated):
        authenticate(header and header.replace("SECRET", secret), known(tokens))


def test_without_a_file_there_are_no_tokens(tokens: Tokens) -> None:
    """Asking makes no file."""
    assert tokens.all() == []
    assert tokens.find("asl_x") is None
    with pytest.raises(UsageError):
        tokens.revoke(1, now=NOW)
    assert not tokens.path.exists()


def test_a_file_that_is_none(tokens: Tokens) -> None:
    """Whoever cannot be checked is not let in, and the error says which file it is."""
    tokens.path.parent.mkdir()
    tokens.path.write_bytes(b"no database" * 1000)
    with pytest.raises(AccessError, match=r"access\.sqlite"):
        authenticate("Bearer asl_" + "x" * 43, known(tokens))


def test_ids_are_never_used_again(tokens: Tokens) -> None:
    """An id that was revoked, or deleted by hand, does not become somebody else's."""
    made, _ = tokens.create("acme", "x", now=NOW)
    with sqlite3.connect(tokens.path) as con:
        con.execute("DELETE FROM token")
    con.close()
    assert tokens.create("duo", "y", now=NOW)[0].id == made.id + 1


def test_a_token_has_a_role(tokens: Tokens) -> None:
    """Whoever shows it is what it was made for; a member is one of the users."""
    made, secret = tokens.create("acme", "x", now=NOW, role=Role.MEMBER, user_id="ann")
    caller = authenticate(f"Bearer {secret}", known(tokens))
    assert caller == Caller("acme", Role.MEMBER, f"token:{made.id}", "ann", made.id)
    assert caller.may_see("ann")
    assert not caller.may_see("bob")
    for role in (Role.OWNER, Role.ADMIN, Role.ANALYST):
        _, secret = tokens.create("acme", "x", now=NOW, role=role)
        assert authenticate(f"Bearer {secret}", known(tokens)).role is role


@pytest.mark.parametrize(("role", "user_id"), [(Role.MEMBER, None), (Role.ADMIN, "ann")])
def test_only_members_are_users(tokens: Tokens, role: Role, user_id: str | None) -> None:
    """A member without user would see nothing, and an admin of a user is a slip."""
    with pytest.raises(UsageError, match="one of the users"):
        tokens.create("acme", "x", now=NOW, role=role, user_id=user_id)
    assert tokens.all() == []


def test_pages_of_one_organisation(tokens: Tokens) -> None:
    """Others are not counted, nor named, nor can they be revoked from there."""
    made = [tokens.create(org_id, "x", now=NOW)[0] for org_id in ("acme", "duo") * 3]
    ours = made[::2]
    assert tokens.of("acme", after=0, limit=2) == ours[:2]
    assert tokens.of("acme", after=ours[1].id, limit=2) == ours[2:]
    with pytest.raises(UsageError):
        tokens.revoke(made[1].id, now=NOW, org_id="acme")
    assert tokens.get(made[1].id) == made[1]
    assert tokens.revoke(ours[0].id, now=NOW, org_id="acme").revoked_at == NOW
