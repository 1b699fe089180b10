"""`demo`: made-up people through the real pipeline, never mixed with real ones."""

from __future__ import annotations

from importlib import import_module

import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline_tests.cli.desk import Desk

NO_KEY = {"api_key": None, "base_url": None}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo of few nights."""
    # The package gives the command of that name.
    monkeypatch.setattr(import_module("asleep_pipeline.cli.demo"), "NIGHTS", 3)


def test_demo_loads_answers_and_then_only_adds(desk: Desk, short: None) -> None:
    """The first run loads everyone's nights without a key; the second asks for what is new.

    What came by webhook and by the pull is one row a session, and the pull finds what was lost.
    """
    first = desk("demo", "--json", **NO_KEY)
    assert first.code == ExitCode.OK, first.err
    assert first.data["users"] == 24
    assert first.data["sessions_written"] > 24
    assert sum(row["people"] for row in first.data["answer"]) <= 24
    push = first.data["push"]
    assert push["sessions"] == push["by_pull"] > push["by_webhook"] == push["by_both"] > 24
    assert push["missed_by_webhooks"] == push["sessions"] - push["by_both"]
    inbox = Inbox(desk.data_dir / "webhooks" / "inbox.sqlite")
    came = {event.id for event in inbox.events("done", limit=100_000)}
    assert inbox.depth().waiting == inbox.depth().quarantined == 0 < len(came) < push["webhooks"]
    again = desk("demo", **NO_KEY)
    assert again.code == ExitCode.OK, again.err
    assert came <= {event.id for event in inbox.events("done", limit=100_000)}
    for told in ("average_stats", "sleep_h_free_days", "missed by webhooks", "in progress now"):
        assert told in again.out
    for told in (" ui", " status", "asleep.duckdb"):
        assert told in again.err
    status = desk("status", "--json", **NO_KEY).data
    assert status["average_stats"] >= 24
    assert status["is_behind_lake"] is False


def test_demo_refuses_a_folder_with_other_users(loaded: Desk) -> None:
    """People who are not the demo's are never asked about at the simulator."""
    said = loaded("demo")
    assert said.code == ExitCode.CONFIGURATION
    assert "3 users who are not the demo's" in said.err
    assert "--data-dir" in said.err
    assert not (loaded.data_dir / "demo-roster.csv").exists()


@pytest.mark.parametrize(
    "command", [("users", "import", "roster.csv"), ("users", "add", "someone"), ("sync",)]
)
def test_real_users_and_requests_stay_out_of_the_demo(desk: Desk, command: tuple[str, ...]) -> None:
    """A demo's folder takes no real user, and its people are not asked about at the vendor's."""
    desk.data_dir.mkdir()
    (desk.data_dir / "demo-roster.csv").write_text("user_id\nmade-up\n", encoding="utf-8")
    said = desk(*command, base_url="https://api.asleep.ai", api_key="a-key-of-the-tests")
    assert said.code == ExitCode.CONFIGURATION
    assert "made-up people of the demo" in said.err
