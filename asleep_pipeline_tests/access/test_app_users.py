"""An app's user is one user at Asleep, and nobody is created twice unseen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asleep_pipeline.access.app_users import HELD_S, AppUser, AppUsers, Reservation
from asleep_pipeline.access.deleted_sessions import DeletedSessions
from asleep_pipeline.access.records import forget_records
from asleep_pipeline.errors import AccessError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=HELD_S)


@pytest.fixture
def app_users(tmp_path: Path) -> AppUsers:
    """A place for users, where there are none."""
    return AppUsers(tmp_path / "access" / "access.sqlite")


def reserved(
    app_users: AppUsers, app_user_id: str = "a", *, org_id: str = "acme", now: datetime = NOW
) -> Reservation:
    """The right to create a user, which nobody else has."""
    found = app_users.reserve(org_id, app_user_id, now=now)
    assert isinstance(found, Reservation)
    return found


def test_a_user_is_found_by_either_id(app_users: AppUsers) -> None:
    """In its own organisation only."""
    made = app_users.settle(reserved(app_users), "G-1", now=NOW)
    assert made == AppUser("acme", "a", "G-1", NOW, 0)
    assert app_users.find("acme", "G-1") == made
    assert app_users.find_by_app("acme", "a") == made
    assert app_users.among("acme", ["G-1", "G-2"]) == {"G-1": made}
    assert app_users.reserve("acme", "a", now=NOW) == made
    assert app_users.find("duo", "G-1") is app_users.find_by_app("duo", "a") is None


def test_both_ids_are_unique_within_an_organisation(app_users: AppUsers) -> None:
    """Another organisation may use the same ones."""
    app_users.settle(reserved(app_users), "G-1", now=NOW)
    with pytest.raises(AccessError, match="UNIQUE"):
        app_users.settle(reserved(app_users, "b"), "G-1", now=NOW)
    assert app_users.settle(reserved(app_users, org_id="duo"), "G-1", now=NOW) is not None


def test_one_of_many_holds_the_reservation(app_users: AppUsers) -> None:
    """However many ask at once."""
    app_users.find("acme", "G-1")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: app_users.reserve("acme", "a", now=NOW), range(24)))
    assert sum(each is not None for each in found) == 1


def test_what_was_refused_leaves_nothing(app_users: AppUsers) -> None:
    """Nobody was created, so nothing is said of the attempt."""
    app_users.give_back(reserved(app_users))
    user = app_users.settle(reserved(app_users), "G-1", now=NOW)
    assert user is not None
    assert user.lost_attempts == 0


def test_an_attempt_without_an_answer_is_counted(app_users: AppUsers) -> None:
    """The next one may begin at once, and tells of it for ever."""
    app_users.give_up(reserved(app_users))
    app_users.give_up(reserved(app_users))
    app_users.give_back(reserved(app_users))
    app_users.settle(reserved(app_users), "G-1", now=NOW)
    found = app_users.find("acme", "G-1")
    assert found is not None
    assert found.lost_attempts == 2


def test_a_reservation_of_a_dead_process_expires_and_is_counted(app_users: AppUsers) -> None:
    """Whoever stood still for so long may not write any more."""
    slow = reserved(app_users)
    assert app_users.reserve("acme", "a", now=LATER - timedelta(seconds=1)) is None
    next_one = reserved(app_users, now=LATER)
    assert app_users.settle(slow, "G-slow", now=LATER) is None
    app_users.give_back(slow)
    user = app_users.settle(next_one, "G-1", now=LATER)
    assert user == AppUser("acme", "a", "G-1", LATER, 1)


def test_who_is_forgotten_leaves_no_byte(app_users: AppUsers) -> None:
    """Neither in the file nor beside it, and of the deleted sessions neither; and may be created anew."""
    app_users.settle(reserved(app_users, "the-app-s-id"), "G-to-be-forgotten", now=NOW)
    DeletedSessions(app_users.path).add("acme", "G-to-be-forgotten", "20261125_abcde", now=NOW)
    forget_records(app_users.path.parent, "G-to-be-forgotten", except_for=[])
    left = b"".join(file.read_bytes() for file in app_users.path.parent.iterdir())
    for word in (b"G-to-be-forgotten", b"the-app-s-id", b"20261125_abcde"):
        assert word not in left
    assert reserved(app_users, "the-app-s-id").org_id == "acme"


def test_a_deleted_session_is_remembered_as_long_as_it_is_published(app_users: AppUsers) -> None:
    """And a day at least, as a publication may be under way."""
    deleted = DeletedSessions(app_users.path)
    for session_id in ("shown", "gone"):
        deleted.add("acme", "G-1", session_id, now=NOW)
    deleted.keep_only("acme", "G-1", ["shown"], now=NOW + timedelta(hours=23))
    assert deleted.of("acme", "G-1") == {"shown", "gone"}
    deleted.keep_only("acme", "G-1", ["shown"], now=NOW + timedelta(hours=25))
    assert deleted.of("acme", "G-1") == {"shown"}
    assert deleted.of("duo", "G-1") == frozenset()
