"""Runs whose process was killed do not hold up the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg

from asleep_pipeline.orchestration.instance import (
    PROCESS_TAG,
    dagster_instance,
    end_dead_runs,
    process_tag,
)


@dg.job
def nothing() -> None:
    """A job without steps."""


def test_a_run_whose_process_is_gone_is_ended(tmp_path: Path) -> None:
    """One that lives goes on; the dead one is shown as failed, and frees its place."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    here = process_tag()[PROCESS_TAG].rpartition(":")[0]
    with dagster_instance(tmp_path) as instance:
        runs = [
            instance.create_run_for_job(
                nothing, tags={PROCESS_TAG: process}, status=dg.DagsterRunStatus.STARTED
            )
            for process in (f"{here}:{child.pid}", process_tag()[PROCESS_TAG], "elsewhere:1")
        ]
        assert end_dead_runs(instance) == 1
        after = [instance.get_run_by_id(run.run_id) for run in runs]
    statuses = [run.status.value for run in after if run is not None]
    assert statuses == ["FAILURE", "STARTED", "STARTED"]
