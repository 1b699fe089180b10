"""Dagster's own home: a folder below the data folder, with the settings that suit the pipeline."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import dagster as dg

from asleep_pipeline.orchestration.event_log import EVENTS_A_BATCH

PROCESS_TAG = "asleep-pipeline/process"
_DAGSTER_YAML = """\
# Written by asleep-pipeline when the file is missing; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
event_log_storage:
  module: asleep_pipeline.orchestration.event_log
  class: BatchingEventLog
concurrency:
  runs:
    # The request rate is the limit, not the number of runs: two keep the machine responsive.
    max_concurrent_runs: 2
  pools:
    granularity: run
run_monitoring:
  enabled: true
  # A cancelled run would keep its place otherwise.
  free_slots_after_run_end_seconds: 60
run_retries:
  enabled: true
  # A run whose process died is started again and goes on where it stopped.
  max_retries: 2
  retry_on_asset_or_op_failure: false
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: 90
"""


def dagster_instance(home: Path) -> dg.DagsterInstance:
    """The instance whose runs and events the UI shows; its folder is made when missing.

    Args:
        home: The folder; becomes `DAGSTER_HOME` of this process and its children.
    """
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(_DAGSTER_YAML, encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENTS_A_BATCH))
    return dg.DagsterInstance.get()


def process_tag() -> dict[str, str]:
    """The tag that says which process a run of ours lives in."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}


def end_dead_runs(instance: dg.DagsterInstance) -> int:
    """Mark runs of this machine as failed whose process was killed; Dagster would wait for ever.

    Such a run keeps one of the few places for runs, though nothing of it is left.

    Returns:
        How many there were.
    """
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    dead = [run for run in instance.get_runs(started) if _is_dead(run.tags.get(PROCESS_TAG, ""))]
    for run in dead:
        instance.report_run_failed(run, "Its process was killed. Run it again: it goes on.")
    return len(dead)


def _is_dead(process: str) -> bool:
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, as another user
        return False
    return False
