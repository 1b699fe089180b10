"""`cohort`: groups of users are defined, published, compared and forgotten."""

from __future__ import annotations

import polars as pl
import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.cli.desk import Desk

FIRST_USER = "user_id = (SELECT min(user_id) FROM dim_user)"
REGULAR = """
SELECT user_id, count(*) AS nights FROM fct_night
WHERE is_night AND night_date <= '2025-05-25' GROUP BY user_id ORDER BY nights DESC, user_id
"""
MEMBERS = "SELECT cohort, count(*) AS users FROM cohort_member GROUP BY cohort ORDER BY cohort"
WEEKS = "SELECT DISTINCT cohort FROM mart_cohort_week"


def test_condition_becomes_a_published_cohort(own: Desk) -> None:
    """Members and weeks are in the file at once, without the network; defined anew, it changes."""
    offline = {"api_key": None, "base_url": "http://127.0.0.1:9"}
    said = own("cohort", "define", "all", "--where", "true", "--json", **offline)
    assert said.code == ExitCode.OK, said.err
    assert said.data == {"cohort": "all", "users": 3}
    assert own("query", MEMBERS, "--json").data == [{"cohort": "all", "users": 3}]
    assert own("query", WEEKS, "--json").data == [{"cohort": "all"}]
    own("cohort", "define", "all", "--where", "false", "--json")
    assert own("cohort", "list", "--json").data == [
        {"cohort": "all", "users": 0, "condition": "false"}
    ]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_list_becomes_a_cohort(own: Desk, suffix: str) -> None:
    """Its column user_id counts, each user once; the others do not matter."""
    users = pl.read_csv(own.roster)["user_id"].head(2)
    frame = pl.DataFrame({"note": "x", "user_id": [*users, users[0]]})
    file = own.folder / f"some.{suffix}"
    frame.write_parquet(file) if suffix == "parquet" else frame.write_csv(file)
    said = own("cohort", "define", "some", "--from", str(file), "--json")
    assert said.code == ExitCode.OK, said.err
    assert said.data == {"cohort": "some", "users": 2}
    assert own("cohort", "list", "--json").data == [
        {"cohort": "some", "users": 2, "condition": None}
    ]


def test_dropped_cohort_is_gone_from_the_file(own: Desk) -> None:
    """From the list, its members and its weeks."""
    own("cohort", "define", "one", "--where", "true")
    assert own("cohort", "drop", "one", "--json").data == {"dropped": "one"}
    assert own("cohort", "list", "--json").data == []
    assert own("query", MEMBERS, "--json").data == own("query", WEEKS, "--json").data == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("define", "a b", "--where", "true"), "'a b'"),
        (("define", "one"), "--where or --from"),
        (("define", "one", "--where", "true", "--from", "roster.csv"), "--where or --from"),
        (("define", "one", "--where", "birthyear > 1990"), "birth_year"),
        (("define", "one", "--where", "true) OR (SELECT true"), "condition"),
        (("define", "one", "--from", "nowhere.csv"), "nowhere.csv"),
        (("define", "one", "--from", "strangers.csv"), "1 of the 2 users"),
        (("define", "one", "--from", "nobody.csv"), "no user"),
        (("define", "one", "--from", "names.csv"), "user_id"),
        (("drop", "one"), "no cohort 'one'"),
        (("compare", "one", "two"), "no cohort 'one'"),
    ],
)
def test_cohort_that_cannot_be(loaded: Desk, arguments: tuple[str, ...], named: str) -> None:
    """What is wrong is told with its fix, and nothing is kept."""
    known = pl.read_csv(loaded.roster)["user_id"][0]
    for name, text in {
        "strangers": f"user_id\n{known}\nstranger\n",
        "nobody": "user_id\n",
        "names": "name\nAda\n",
    }.items():
        (loaded.folder / f"{name}.csv").write_text(text, encoding="utf-8")
    said = loaded("cohort", *arguments)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert named in said.err
    assert "stranger\n" not in said.err
    assert len(said.err.splitlines()) == 2
    assert loaded("cohort", "list", "--json").data == []


def test_cohorts_are_compared(own: Desk) -> None:
    """As tables for people and as JSON; the parts of the answer are those of both cohorts."""
    regular = own("query", REGULAR, "--json").data[0]
    assert regular["nights"] >= 4
    one = f"user_id = '{regular['user_id']}'"
    own("cohort", "define", "all", "--where", "true", min_group_size="1")
    own("cohort", "define", "first", "--where", one, min_group_size="1")
    options = ("--metric", "efficiency", "--from-week", "2025-05-20", "--weeks", "1")
    said = own("cohort", "compare", "all", "first", *options, "--json")
    assert said.code == ExitCode.OK, said.err
    assert not said.data["is_suppressed"]
    assert [sample["cohort"] for sample in said.data["samples"]] == ["all", "first"]
    assert said.data["samples"][1]["users"] == sum(said.data["samples"][1]["histogram"]) == 1
    assert said.data["users_in_both"] == 1
    assert said.data["effects"]["low"] is None
    table = own("cohort", "compare", "all", "first", *options).out
    assert "efficiency (fraction)" in table
    assert "2025-05-19 to 2025-05-25" in table
    assert "cliffs_delta" in table


def test_small_cohorts_are_not_compared(own: Desk) -> None:
    """Three users are too few to be shown."""
    own("cohort", "define", "all", "--where", "true")
    own("cohort", "define", "first", "--where", FIRST_USER)
    said = own("cohort", "compare", "all", "first", "--from-week", "2025-05-20", "--weeks", "1")
    assert said.code == ExitCode.OK, said.err
    assert "is_suppressed  True" in said.out
    assert "min_group_size" in said.err


def test_cohorts_need_a_lake_and_a_file(desk: Desk) -> None:
    """Without them the way to get them is told."""
    assert "users import FILE" in desk("cohort", "list").err
    desk("users", "import", "roster.csv")
    said = desk("cohort", "define", "all", "--where", "true")
    assert said.code == ExitCode.FAILED
    assert "no warehouse" in said.err
    assert desk("cohort", "list", "--json").data == []
