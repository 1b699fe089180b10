"""The job by the program `asleep-pipeline`, as a person types it: Dagster's runs, checks and pages.

`python -m benchmarks.ours_cli BASE_URL API_KEY ROSTER FIRST LAST OUT`
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from benchmarks.job import Job, read_job

PROGRAM: Final = (sys.executable, "-m", "asleep_pipeline.cli")


def run(job: Job) -> None:
    """Do the job.

    Raises:
        CalledProcessError: A command failed, or could not get everything.
    """
    months = [f"{first:%Y-%m}" for first, _ in job.months()]
    for arguments in (
        ("users", "import", str(job.roster)),
        backfill(job),
        ("averages", "--start-month", months[0], "--end-month", months[-1]),
    ):
        run_program(job, *arguments)


def run_program(job: Job, *arguments: str) -> None:
    """Run one command to its end.

    Raises:
        CalledProcessError: It failed.
    """
    env = os.environ | environment(job)
    subprocess.run([*PROGRAM, *arguments], env=env, check=True, capture_output=True)


def backfill(job: Job) -> tuple[str, ...]:
    """The command that pulls the window."""
    return ("backfill", "--start", str(job.first), "--end", str(job.last))


def environment(job: Job) -> dict[str, str]:
    """Whom to ask, and where the result belongs."""
    told = {"API_KEY": job.api_key, "BASE_URL": job.base_url, "DATA_DIR": str(job.out)}
    return {f"ASLEEP_{name}": value for name, value in told.items()}


if __name__ == "__main__":
    run(read_job())
