"""`backfill`, `sync` and `averages`: what they load, and what they refuse."""

from __future__ import annotations

from datetime import date

import pytest
import stamina

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.simulator import Faults, RunningSimulator
from asleep_pipeline_tests.cli.desk import END, START, Desk

BACKFILL = ("backfill", "--start", START, "--end", END)


def counted(desk: Desk, table: str) -> int:
    (row,) = desk("query", f"SELECT count(*) AS n FROM {table}", "--json").data
    return int(row["n"])


def test_backfill_loads_what_the_simulator_has(loaded: Desk, simulator: RunningSimulator) -> None:
    """Every session of the dates is published."""
    start, end = date.fromisoformat(START), date.fromisoformat(END)
    truth = [
        session["session"]["id"]
        for person in simulator.world.people
        for session in simulator.world.sessions(person.user_id, start, end)
    ]
    rows = loaded("query", "SELECT session_id FROM sessions", "--json").data
    assert sorted(row["session_id"] for row in rows) == sorted(truth)


def test_second_backfill_asks_for_no_detail(own: Desk) -> None:
    """What is settled is not asked for again, unless --refetch is given."""
    again = own(*BACKFILL, "--json").data
    assert (again["details_read"], again["requests"]) == (0, 3)
    anew = own(*BACKFILL, "--refetch", "--json").data
    assert anew["details_read"] == anew["sessions_listed"] > 0


def test_backfill_of_one_user_asks_about_nobody_else(
    own: Desk, simulator: RunningSimulator
) -> None:
    """--user narrows a backfill to the users that are named."""
    someone = simulator.world.people[1].user_id
    said = own(*BACKFILL, "--user", someone, "--json").data
    assert (said["users"], said["requests"]) == (1, 1)


def test_sync_publishes_and_says_where_to_look(own: Desk) -> None:
    """A sync lists everyone once; the summary is data, the hint is not."""
    said = own("sync", "--json")
    assert said.code == ExitCode.OK
    assert (said.data["users"], said.data["requests"]) == (3, 3)
    assert "asleep-pipeline ui" in said.err


def test_averages_of_a_month(own: Desk) -> None:
    """One answer a user and month is published."""
    month = ("--start-month", "2025-05", "--end-month", "2025-05")
    assert own("averages", *month).code == ExitCode.OK
    assert counted(own, "average_stats") == 3


def test_partial_load_has_its_own_code(desk: Desk, faults: Faults) -> None:
    """An answer that cannot be had, even by retries, gives code 4; the next load asks for it."""
    desk("users", "import", "roster.csv")
    faults.server_error_share = 0.3
    with stamina.set_testing(True, attempts=1):
        said = desk(*BACKFILL, "--json", max_connections="1")
    assert said.code == ExitCode.PARTIAL
    assert (missing := said.data["users_failed"] + said.data["details_failed"]) > 0
    faults.server_error_share = 0
    again = desk(*BACKFILL, "--json")
    assert again.code == ExitCode.OK
    assert again.data["details_read"] >= missing


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--start", "2025-02-30", "--end", END), "'2025-02-30'"),
        (("--start", END, "--end", START), f"The end {START} is before the start {END}."),
        (("--start", START, "--end", "2999-01-01"), "2999-01-01 has not come yet"),
        (("--start", "2001-01-01", "--end", END), "2001-01-01"),
        ((*BACKFILL[1:], "--user", "nobody"), "'nobody' is not on the roster"),
    ],
)
def test_bad_arguments_change_nothing(
    loaded: Desk, simulator: RunningSimulator, arguments: tuple[str, ...], named: str
) -> None:
    """A date, a range or a user that cannot be used is named, and nothing is asked."""
    simulator.requests.reset()
    said = loaded("backfill", *arguments)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert named in said.err
    assert not simulator.requests


@pytest.mark.parametrize("month", ["2025-13", "may"])
def test_bad_month_is_named(loaded: Desk, month: str) -> None:
    """A month that is not one is refused with its option."""
    said = loaded("averages", "--start-month", month, "--end-month", "2025-05")
    assert said.code == ExitCode.USAGE
    assert f"'{month}' is not a month" in said.err


@pytest.mark.parametrize("command", [BACKFILL, ("sync",)])
def test_nobody_on_the_roster(desk: Desk, command: tuple[str, ...]) -> None:
    """Without a roster the way to get one is told, and no lake is made."""
    said = desk(*command)
    assert said.code == ExitCode.CONFIGURATION
    assert "users import FILE" in said.err
    assert not desk.data_dir.exists()


def test_missing_key_starts_nothing(own: Desk, simulator: RunningSimulator) -> None:
    """Without a key the setting is named, and no run is started."""
    simulator.requests.reset()
    runs = own("status", "--json").data["last_runs"]
    said = own(*BACKFILL, api_key=None)
    assert (said.code, said.out) == (ExitCode.CONFIGURATION, "")
    assert "ASLEEP_API_KEY" in said.err
    assert not simulator.requests
    assert own("status", "--json").data["last_runs"] == runs


@pytest.mark.parametrize(
    ("fault", "named"), [("", "key"), ("plan_expired", "plan"), ("key_revoked", "key")]
)
def test_refusal_for_everyone_is_one_sentence(
    own: Desk, faults: Faults, fault: str, named: str
) -> None:
    """A wrong key or an expired plan stops the load with one sentence; what is loaded stays."""
    before = counted(own, "sessions")
    if fault:
        setattr(faults, fault, True)
    said = own(*BACKFILL, "--refetch", **({} if fault else {"api_key": "wrong-key"}))
    assert (said.code, said.out) == (ExitCode.CONFIGURATION, "")
    assert named in said.err.lower()
    assert "dagster" not in said.err
    assert "wrong-key" not in said.err
    assert counted(own, "sessions") == before


def test_unreadable_lake(own: Desk) -> None:
    """A damaged catalog is told in one sentence that names the folder."""
    (own.data_dir / "lake" / "catalog.sqlite").write_bytes(b"not a database" * 100)
    for command in (BACKFILL, ("status",), ("rebuild",), ("users", "list"), ("maintain",)):
        said = own(*command)
        assert (said.code, said.out) == (ExitCode.FAILED, "")
        assert str(own.data_dir) in said.err
        assert "doctor" in said.err
