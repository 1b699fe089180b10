"""The roster in the lake."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.lake.users import LakeUser, mark_gone, pullable_users, put_users, update_users
from asleep_pipeline_tests.lake.conftest import NOW, SHARDS, roster

LATER = NOW + timedelta(days=1)


def pullable(lake: Lake, **which: object) -> list[str]:
    """Ids of users to pull."""
    with lake.read() as con:
        return [user.user_id for user in pullable_users(con, **which)]  # type: ignore[arg-type] # passed on


def test_new_and_known_users_are_counted_apart(lake: Lake) -> None:
    """The first import brings new ones, the second knows them."""
    assert put_users(lake, roster("u1", "u2"), now=NOW) == (2, 0)
    assert put_users(lake, roster("u2", "u3"), now=LATER) == (1, 1)


def test_importing_again_updates_and_keeps_the_rest(lake: Lake) -> None:
    """Columns of the file win; those it lacks, and when the user was first seen, stay."""
    put_users(lake, roster("u1", timezone="Asia/Seoul", birth_year=1980), now=NOW)
    put_users(lake, roster("u1", timezone="Europe/Paris"), now=LATER)
    row = lake.frame("FROM lake.users").row(0, named=True)
    assert (row["timezone"], row["birth_year"], row["first_seen_at"]) == ("Europe/Paris", 1980, NOW)


def test_users_outside_an_import_stay(lake: Lake) -> None:
    """A roster file adds and updates; it never removes."""
    put_users(lake, roster("u1"), now=NOW)
    put_users(lake, roster("u2"), now=NOW)
    assert pullable(lake) == ["u1", "u2"]


def test_users_are_pulled_by_shard_and_by_name(lake: Lake) -> None:
    """Every user is in one shard; naming users narrows within it."""
    everyone = [f"u{n}" for n in range(20)]
    put_users(lake, roster(*everyone), now=NOW)
    shards = [pullable(lake, shard=shard) for shard in range(SHARDS)]
    assert sorted(sum(shards, [])) == sorted(everyone)  # noqa: RUF017 - two short lists
    assert all(shards)
    assert pullable(lake, user_ids=("u7", "u9", "nobody")) == ["u7", "u9"]
    assert pullable(lake, shard=shard_of("u7", SHARDS), user_ids=("u7",)) == ["u7"]
    assert pullable(lake, shard=1 - shard_of("u7", SHARDS), user_ids=("u7",)) == []


def test_users_who_are_gone_are_not_pulled(lake: Lake) -> None:
    """They stay on the roster, with the instant of the first time they were missed."""
    put_users(lake, roster("u1", "u2", timezone="Asia/Seoul"), now=NOW)
    mark_gone(lake, [LakeUser("u1", "default", None)], NOW)
    put_users(lake, roster("u2", timezone="Asia/Seoul"), now=LATER)
    assert pullable(lake) == ["u2"]
    gone = lake.frame("SELECT user_id, timezone, deleted_at FROM lake.users ORDER BY 1").rows()
    assert gone == [("u1", "Asia/Seoul", NOW), ("u2", "Asia/Seoul", None)]


def test_a_roster_that_names_a_gone_user_brings_it_back(lake: Lake) -> None:
    """A wrong key can make users look deleted; the next import is the way back."""
    put_users(lake, roster("u1"), now=NOW)
    mark_gone(lake, [LakeUser("u1", "default", None)], NOW)
    put_users(lake, roster("u1"), now=LATER)
    assert pullable(lake) == ["u1"]


def test_what_a_roster_leaves_blank_stays_as_it_is(lake: Lake) -> None:
    """The organisation decides the key, so silence must not change it; new users get the default."""
    put_users(lake, pl.DataFrame({"user_id": ["u1"], "org_id": ["acme"]}), now=NOW)
    put_users(lake, pl.DataFrame({"user_id": ["u1", "u2"], "birth_year": [1980, None]}), now=LATER)
    blank = pl.DataFrame(
        {"user_id": ["u1", "u2"], "org_id": [None, "beta"], "birth_year": [None, 1990]}
    )
    put_users(lake, blank, now=LATER)
    rows = lake.frame("SELECT user_id, org_id, birth_year FROM lake.users ORDER BY 1").rows()
    assert rows == [("u1", "acme", 1980), ("u2", "beta", 1990)]


def test_nobody_gone_is_no_commit(lake: Lake) -> None:
    """The lake's history holds changes only."""
    before = lake.snapshot_id()
    mark_gone(lake, [], NOW)
    assert lake.snapshot_id() == before


def test_an_update_overwrites_what_it_names(lake: Lake) -> None:
    """Other columns, NULLs and other users stay; strangers are not added."""
    put_users(lake, roster("u1", "u2", birth_year=1980, gender="female"), now=NOW)
    with lake.write("update") as con:
        update_users(
            con,
            [
                {"user_id": "u1", "birth_year": 1981, "gender": None},
                {"user_id": "u2", "height_cm": 170},
                {"user_id": "stranger", "birth_year": 1990},
            ],
        )
        update_users(con, [])
    rows = lake.frame("SELECT user_id, birth_year, gender, height_cm FROM lake.users ORDER BY 1")
    assert rows.rows() == [("u1", 1981, "female", None), ("u2", 1980, "female", 170.0)]


@pytest.mark.parametrize(
    "user_id", ["", "u'; DROP TABLE lake.users; --", "Ünïcode/\n\t", "a" * 256]
)
def test_ids_are_values_and_nothing_else(lake: Lake, user_id: str) -> None:
    """Whatever an id looks like, it comes back as it was."""
    put_users(lake, roster(user_id), now=NOW)
    assert pullable(lake, user_ids=(user_id,)) == [user_id]


def test_the_shard_of_a_user_never_changes() -> None:
    """Pinned: another answer would orphan every lake that exists."""
    pinned = {
        "G-20230101000000-abcdefghijklmnopqrst": 42,
        "u1": 21,
        "u2": 46,
        "Ünïcode": 40,
        "": 52,
    }
    assert {user_id: shard_of(user_id, 64) for user_id in pinned} == pinned


@given(st.text(), st.integers(1, 1024))
def test_a_shard_is_within_its_number(user_id: str, shards: int) -> None:
    """Every id has one, from 0 on."""
    assert 0 <= shard_of(user_id, shards) < shards


def test_doubling_the_shards_splits_each_in_two() -> None:
    """Number n becomes n or n + K, so that a lake could be split without mixing users."""
    ids = pl.Series([f"u{n}" for n in range(200)])
    assert all(shard_of(u, 8) % 4 == shard_of(u, 4) for u in ids)
