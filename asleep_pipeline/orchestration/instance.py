"""Dagster's own home: a folder below the data folder, with the settings that suit the pipeline."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

_DAGSTER_YAML = """\
# Written by asleep-pipeline when the file is missing; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
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
    return dg.DagsterInstance.get()
