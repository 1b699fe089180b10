"""`status` and `doctor`: what is there, what is not, and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.lake import Lake
from asleep_pipeline.simulator import Faults
from asleep_pipeline_tests.cli.desk import END, START, Desk, Said


def test_status_tells_what_is_loaded(loaded: Desk) -> None:
    """Users, sessions by state and their dates, as the published file has them."""
    said = loaded("status", "--json").data
    sessions = loaded("query", "SELECT count(*) AS n FROM sessions", "--json").data[0]["n"]
    assert (said["users"], said["users_gone"], said["shards"]) == (3, 0, 1)
    assert said["sessions"] == {"COMPLETE": sessions}
    assert START <= said["first_date"] <= said["last_date"] <= END
    assert said["is_behind_lake"] is False
    assert "COMPLETE" in loaded("status").out


def test_status_tells_gaps_and_runs(loaded: Desk) -> None:
    """Everyone whose last session is old is a gap; the runs of the backfill are the last ones."""
    said = loaded("status", "--json").data
    assert len(said["gaps"]) == 3
    jobs = {run["job"]: run["status"] for run in said["last_runs"]}
    assert jobs == {"pull": "SUCCESS", "publish": "SUCCESS"}


def test_status_tells_unfinished_sessions_and_quarantine(own: Desk) -> None:
    """A session that is still open is listed with its age; the file is then behind the lake."""
    lake = Lake.open(own.data_dir / "lake")
    with lake.write("a session opens again") as con:
        con.execute(
            "UPDATE lake.sessions SET state = 'OPEN' WHERE session_id = ("
            "SELECT min(session_id) FROM lake.sessions)"
        )
    said = own("status", "--json").data
    assert [session["state"] for session in said["unfinished"]] == ["OPEN"]
    assert said["unfinished"][0]["age_h"] > 24
    assert said["is_behind_lake"] is True


def test_maintenance_does_not_put_the_file_behind(own: Desk) -> None:
    """Compaction changes no content, so what is published still equals the lake."""
    assert own("maintain").code == ExitCode.OK
    assert own("status", "--json").data["is_behind_lake"] is False


def test_status_without_a_lake(desk: Desk) -> None:
    """Before anything is loaded, the first step is told."""
    said = desk("status")
    assert said.code == ExitCode.FAILED
    assert "users import FILE" in said.err
    assert not desk.data_dir.exists()


def findings(said: Said) -> dict[str, Any]:
    return {row["check"]: row for row in json.loads(said.out)}


def test_doctor_finds_nothing_wrong(loaded: Desk) -> None:
    """With key, roster, lake and a current warehouse everything is ok."""
    said = loaded("doctor", "--json")
    assert said.code == ExitCode.OK
    assert {row["status"] for row in said.data} == {"ok"}
    assert {"versions", "disk", "api", "key of default", "roster", "lake", "warehouse"} <= set(
        findings(said)
    )


def test_doctor_before_the_first_import(desk: Desk) -> None:
    """An empty folder is no failure: a warning says how to begin, and no lake is made."""
    said = desk("doctor", "--json")
    assert said.code == ExitCode.OK
    assert findings(said)["roster"]["status"] == "warn"
    assert "users import FILE" in findings(said)["roster"]["fix"]
    assert not desk.data_dir.exists()


@pytest.mark.parametrize(
    ("changed", "check", "code", "fix"),
    [
        ({"api_key": None}, "key of default", 3, "ASLEEP_API_KEY"),
        ({"api_key": "wrong-key"}, "key of default", 3, "key"),
        ({"shards": "2"}, "lake", 3, "ASLEEP_SHARDS=1"),
        ({"base_url": "http://127.0.0.1:9"}, "api", 1, "ASLEEP_BASE_URL"),
    ],
)
def test_doctor_names_what_fails_with_a_fix(
    loaded: Desk, changed: dict[str, str | None], check: str, code: int, fix: str
) -> None:
    """What stops a load fails, with its own fix and the exit code of its kind."""
    said = loaded("doctor", "--json", **changed)
    found = findings(said)[check]
    assert (said.code, found["status"]) == (code, "fail")
    assert fix in found["fix"]
    assert "wrong-key" not in said.out + said.err


def test_doctor_tells_an_expired_plan(loaded: Desk, faults: Faults) -> None:
    """A plan that has ended is the key's trouble, not the network's."""
    faults.plan_expired = True
    said = loaded("doctor", "--json")
    assert said.code == ExitCode.CONFIGURATION
    assert "plan" in findings(said)["key of default"]["seen"].lower()


def test_doctor_survives_damaged_files(own: Desk) -> None:
    """A damaged lake, warehouse or budget is told beside everything else."""
    (own.data_dir / "budget.sqlite").write_bytes(b"no database" * 100)
    (own.data_dir / "lake" / "catalog.sqlite").write_bytes(b"no database" * 100)
    said = own("doctor", "--json")
    assert said.code == ExitCode.FAILED
    failed = {name for name, row in findings(said).items() if row["status"] == "fail"}
    assert {"roster", "lake", "warehouse", "request budget"} <= failed
