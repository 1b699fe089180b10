"""Members: who is what, and who must stay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from asleep_pipeline.access.members import Member, Members
from asleep_pipeline.access.roles import Role
from asleep_pipeline.errors import ConflictError, UsageError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def members(tmp_path: Path) -> Members:
    """A place for members, where there are none."""
    return Members(tmp_path / "access" / "access.sqlite")


def test_members_are_kept(members: Members) -> None:
    """Each with what they are, in each organisation."""
    assert members.all() == members.known_as("ann") == []
    ann = members.add("acme", "ann", Role.OWNER, now=NOW)
    assert ann == Member(1, "acme", "ann", Role.OWNER, None, NOW)
    there = members.add("duo", "ann", Role.MEMBER, user_id="u1", now=NOW)
    assert members.known_as("ann") == members.all() == [ann, there]
    assert members.get("acme", ann.id) == ann
    with pytest.raises(UsageError, match="no such member"):
        members.get("duo", ann.id)


def test_pages(members: Members) -> None:
    """By number, of one organisation."""
    made = [members.add(org, str(n), Role.ADMIN, now=NOW) for n in range(3) for org in ("a", "b")]
    assert members.of("a", after=0, limit=2) == [made[0], made[2]]
    assert members.of("a", after=made[2].id, limit=2) == [made[4]]


def test_nobody_is_a_member_twice(members: Members) -> None:
    """Which of the two would hold?"""
    members.add("acme", "ann", Role.ADMIN, now=NOW)
    with pytest.raises(ConflictError, match="already"):
        members.add("acme", "ann", Role.OWNER, now=NOW)


@pytest.mark.parametrize(("role", "user_id"), [(Role.MEMBER, None), (Role.OWNER, "u1")])
def test_only_members_are_users(members: Members, role: Role, user_id: str | None) -> None:
    """When they are made, and when they are made something else."""
    with pytest.raises(UsageError, match="one of the users"):
        members.add("acme", "ann", role, user_id=user_id, now=NOW)
    ann = members.add("acme", "ann", Role.ADMIN, now=NOW)
    with pytest.raises(UsageError, match="one of the users"):
        members.set_role("acme", ann.id, role, user_id=user_id)


def test_the_last_owner_stays(members: Members) -> None:
    """Unless there is another one of the same organisation."""
    ann = members.add("acme", "ann", Role.OWNER, now=NOW)
    members.add("duo", "bob", Role.OWNER, now=NOW)
    with pytest.raises(ConflictError, match="last owner"):
        members.remove("acme", ann.id)
    with pytest.raises(ConflictError, match="last owner"):
        members.set_role("acme", ann.id, Role.ADMIN)
    assert members.set_role("acme", ann.id, Role.OWNER) == ann
    eve = members.add("acme", "eve", Role.OWNER, now=NOW)
    assert members.set_role("acme", ann.id, Role.ADMIN).role is Role.ADMIN
    with pytest.raises(ConflictError):
        members.remove("acme", eve.id)
    assert members.remove("acme", ann.id).subject == "ann"


def test_two_owners_who_remove_each_other(members: Members) -> None:
    """At the same time: one of them stays."""
    pair = [members.add("acme", name, Role.OWNER, now=NOW) for name in ("ann", "bob")]
    barrier = Barrier(2)

    def remove(member: Member) -> bool:
        barrier.wait()
        try:
            members.remove("acme", member.id)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(remove, pair)) == [False, True]


def test_members_of_others_are_not_there(members: Members) -> None:
    """A number of another organisation is one that there is not."""
    members.add("acme", "eve", Role.OWNER, now=NOW)
    ann = members.add("acme", "ann", Role.ADMIN, now=NOW)
    with pytest.raises(UsageError, match="no such member"):
        members.set_role("duo", ann.id, Role.OWNER)
    with pytest.raises(UsageError, match="no such member"):
        members.remove("duo", ann.id)
    assert members.get("acme", ann.id) == ann


def test_numbers_are_never_used_again(members: Members) -> None:
    """The audit names members by them."""
    ann = members.add("acme", "ann", Role.ADMIN, now=NOW)
    members.remove("acme", ann.id)
    assert members.add("acme", "ann", Role.ADMIN, now=NOW).id == ann.id + 1


def test_who_was_removed_leaves_no_trace(members: Members) -> None:
    """Neither the subject nor the user stays in a free page of the file."""
    member = members.add("acme", "a-subject", Role.MEMBER, user_id="a-user", now=NOW)
    members.remove("acme", member.id)
    stored = b"".join(file.read_bytes() for file in members.path.parent.iterdir())
    assert b"a-subject" not in stored
    assert b"a-user" not in stored
