"""`query` and `export`: the published file, asked and taken along."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.warehouse.questions import questions
from asleep_pipeline.webhooks.live_table import publish_live
from asleep_pipeline_tests.cli.desk import Desk


def test_query_answers_as_table_csv_and_json(loaded: Desk) -> None:
    """One query, three ways to answer; the data is on stdout alone."""
    sql = "SELECT 1 AS one, NULL AS nothing, DATE '2025-05-20' AS night"
    assert "2025-05-20" in loaded("query", sql).out
    assert loaded("query", sql, "--format", "csv").out == "one,nothing,night\n1,,2025-05-20\n"
    expected = [{"one": 1, "nothing": None, "night": "2025-05-20"}]
    assert loaded("query", sql, "--format", "json").data == expected
    assert loaded("query", sql, "--json").data == expected


def test_long_answer_is_cut_for_people_only(loaded: Desk) -> None:
    """A table shows its first rows and says so; CSV is whole."""
    sql = "SELECT unnest(range(60)) AS n"
    said = loaded("query", sql)
    assert " 49 " in said.out
    assert " 50 " not in said.out
    assert "first 50 rows" in said.err
    assert len(loaded("query", sql, "--format", "csv").out.splitlines()) == 61


def test_columns_of_the_same_name_are_all_shown(loaded: Desk) -> None:
    """No column hides another."""
    said = loaded("query", "SELECT 1 AS x, 2 AS x, 3 AS x", "--json")
    assert said.data == [{"x": 1, "x_1": 2, "x_2": 3}]


@pytest.mark.parametrize(
    "sql",
    ["SELEC 1", "SELECT nothing FROM sessions", "DELETE FROM sessions", "DROP TABLE users", ""],
)
def test_query_that_cannot_be_answered(loaded: Desk, sql: str) -> None:
    """A wrong query, or one that would change something, is one sentence and code 2."""
    said = loaded("query", sql)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert "DESCRIBE sessions" in said.err
    assert len(said.err.splitlines()) == 2


def test_long_values_are_cut_for_people_only(loaded: Desk) -> None:
    """A list of a thousand stages takes one short cell of a table, and all of it in CSV and JSON."""
    sql = "SELECT range(1000) AS stages, repeat('x', 60) AS text"
    said = loaded("query", sql)
    assert max(map(len, said.out.splitlines())) < 140
    assert "…" in said.out
    assert "x" * 60 in said.out
    assert "999]" in loaded("query", sql, "--format", "csv").out
    assert len(loaded("query", sql, "--json").data[0]["stages"]) == 1000


def test_questions_are_listed(desk: Desk) -> None:
    """Every question with its name and its text; no published file is needed for that."""
    listed = desk("query", "--list", "--json").data
    assert [row["name"] for row in listed] == list(questions())
    assert all(row["question"].endswith("?") for row in listed)
    assert "sleep-debt" in desk("query", "--list").out


def test_question_is_asked_by_its_name(loaded: Desk) -> None:
    """Of everybody, or of one user; the answer comes as that of any query."""
    everybody = loaded("query", "last-night", "--json").data
    assert len(everybody) == 3
    user = everybody[1]["user_id"]
    assert loaded("query", "last-night", "--user", user, "--json").data == [everybody[1]]
    assert user in loaded("query", "last-night", "--user", user).out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("streak",), "'streaks'"),
        (("sessions",), "no question 'sessions'"),
        (("SELECT 1", "--user", "ada"), "with a name"),
        (("SELECT 1", "--organisation", "acme"), "with a name"),
        (("organisation-trend", "--user", "ada"), "takes no user"),
        ((), "empty"),
    ],
)
def test_question_that_cannot_be_asked(
    loaded: Desk, arguments: tuple[str, ...], named: str
) -> None:
    """What is no question, or takes no such option, is refused with what to do."""
    said = loaded("query", *arguments)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert named in said.err
    assert len(said.err.splitlines()) == 2


@pytest.mark.parametrize("command", [("query", "SELECT 1"), ("export", "out")])
def test_nothing_is_published_yet(desk: Desk, command: tuple[str, ...]) -> None:
    """Without a published file the way to get one is told."""
    said = desk(*command)
    assert said.code == ExitCode.FAILED
    assert "asleep-pipeline demo" in said.err


def test_export_counts_what_it_wrote(loaded: Desk) -> None:
    """The command answers with the folder and the rows of each table."""
    said = loaded("export", "out", "--tables", "users,sessions", "--json").data
    assert said["users"] == 3
    files = loaded.folder / "out" / "sessions" / "*.parquet"
    assert pl.read_parquet(files).height == said["sessions"] > 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("out", "--tables", "nights"), "'nights'"), ((".",), "no earlier export")],
)
def test_export_refuses(loaded: Desk, arguments: tuple[str, ...], named: str) -> None:
    """A table that is not there, or a folder that holds something else, is refused."""
    said = loaded("export", *arguments)
    assert said.code == ExitCode.USAGE
    assert named in said.err
    assert loaded.roster.exists()


@pytest.mark.parametrize(
    ("option", "said"), [("--user", "user"), ("--organisation", "organisation")]
)
def test_a_question_about_nobody_is_refused(loaded: Desk, option: str, said: str) -> None:
    """A slip in an id is told, instead of an answer without rows."""
    refused = loaded("query", "last-night", option, "nobody")
    assert refused.code == ExitCode.USAGE
    assert f"There is no {said} 'nobody'" in refused.err


def live_file(folder: Path) -> None:
    """Sessions in progress as the receiver publishes them: none."""
    publish_live(folder / "live.duckdb", [])


def test_sessions_in_progress_are_asked_like_any_table(own: Desk) -> None:
    """Where webhooks come, `live_sessions` stands beside the published tables, for reading only."""
    sql = "SELECT count(*) AS n FROM live_sessions LEFT JOIN sessions USING (user_id, session_id)"
    assert own("query", sql).code == ExitCode.USAGE
    live_file(own.data_dir)
    assert own("query", sql, "--json").data == [{"n": 0}]
    tables = own("query", "SHOW TABLES", "--json").data
    assert {"name": "live_sessions"} in tables
    assert {"name": "sessions"} in tables
    assert own("query", "DELETE FROM live_sessions").code == ExitCode.USAGE
    assert own("query", "DELETE FROM live.live_sessions").code == ExitCode.USAGE


def test_sessions_in_progress_before_anything_is_published(tmp_path: Path) -> None:
    """The first night can be looked at before the first load."""
    live_file(tmp_path)
    desk = Desk(tmp_path, {"ASLEEP_DATA_DIR": str(tmp_path)})
    assert desk("query", "FROM live_sessions", "--json").data == []
    assert desk("query", "FROM sessions").code == ExitCode.USAGE


def test_a_broken_live_file_spoils_nothing_else(own: Desk) -> None:
    """It is remarked, and what is published is answered."""
    (own.data_dir / "live.duckdb").write_bytes(b"no database" * 1000)
    said = own("query", "SELECT count(*) > 0 AS has_some FROM sessions", "--json")
    assert said.data == [{"has_some": True}]
    assert "live.duckdb cannot be read" in said.err
