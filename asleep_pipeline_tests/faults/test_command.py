"""The real command: killed, started again, out of quota; people and Dagster see what is so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.faults import weather
from asleep_pipeline_tests.faults.company import LONGEST_S, Company, company, wait_until

pytestmark = pytest.mark.faults

NOW = datetime.now(UTC).replace(microsecond=0)
"""The command's clock is the machine's; what it pulls depends on the day, what must hold does not."""
FIRST = NOW.date() - timedelta(days=8)


def started(made: Company, *arguments: str) -> subprocess.Popen[str]:
    """A command under way."""
    environment = os.environ | {
        "ASLEEP_API_KEY": made.sim.api_key,
        "ASLEEP_BASE_URL": made.sim.base_url,
        "ASLEEP_DATA_DIR": made.errand.data_dir,
        "ASLEEP_SHARDS": str(made.errand.shards),
    }
    command = [sys.executable, "-m", "asleep_pipeline.cli", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, cwd=made.data_dir, stdout=pipe, stderr=pipe, text=True
    )


def said(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Exit code, what it printed, and what it complained of."""
    out, err = process.communicate(timeout=LONGEST_S)
    return process.returncode, json.loads(out) if out else {}, err


def statuses(made: Company, folder: Path) -> list[str]:
    """How Dagster's runs stand, the oldest first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder))
        with dg.DagsterInstance.get() as instance:
            return [run.status.value for run in reversed(instance.get_runs())]


def test_a_command_that_is_killed_or_refused_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """SIGKILL and the end of the quota, each in the middle; then one sync, and all is the truth."""
    backfill = ("backfill", "--start", FIRST.isoformat(), "--end", NOW.date().isoformat())
    with company(tmp_path, now=NOW, first=FIRST, people=3, shards=2) as made:
        weather.put(made.sim.faults, latency_s=0.1)
        with started(made, *backfill) as process:
            wait_until(lambda: made.sim.requests["get_session"] >= 4)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        dagster = made.data_dir / "dagster"
        assert statuses(made, dagster) == ["STARTED"]
        weather.put(made.sim.faults, quota=6)
        with started(made, *backfill, "--json") as process:
            code, _, complaint = said(process)
        assert code == ExitCode.CONFIGURATION
        assert "quota" in complaint
        # What was paid for until then is published all the same.
        assert statuses(made, dagster) == ["FAILURE", "FAILURE", "SUCCESS"]
        with duckdb.connect(str(made.data_dir / "asleep.duckdb"), read_only=True) as con:
            (details,) = con.execute("SELECT count(*) FROM sessions WHERE has_detail").fetchall()
        assert details[0] >= 6
        weather.put(made.sim.faults)
        with started(made, "sync", "--json") as process:
            code, told, complaint = said(process)
        assert code == ExitCode.OK, complaint
        assert told["details_failed"] == 0
        made.assert_recovered()
        assert set(statuses(made, dagster)[3:]) == {"SUCCESS"}
