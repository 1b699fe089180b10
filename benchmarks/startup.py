"""CPU seconds before a command does its work: help, status, and Dagster's part of a range run.

`python -m benchmarks.startup`. The data folder is that of the demo (24 people, 60 nights). A range run
is `backfill` of 90 days, one run for each of four shards and one that publishes; Dagster's part is
what the process takes beside asking, reading answers and publishing, parted at the first request.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.costs import measure
from benchmarks.entrants import job_of, packages
from benchmarks.job import Job, read_job
from benchmarks.ours_cli import PROGRAM, backfill, environment, run_program
from benchmarks.tables import print_machine, print_table
from benchmarks.vendor import vendor
from benchmarks.watching import Call, watched

ROUNDS: Final = 3
PEOPLE: Final = 4
RUNS: Final = 5
_ASSETS: Final = "asleep_pipeline.orchestration.assets"
_WORK: Final = {
    "raw_sessions": "pull_sessions",
    "sessions": "normalise_sessions",
    "warehouse": "publish",
}
"""Functions that do the work, by the module of the asset that calls them."""


def main() -> None:
    """Print one table."""
    print_machine(packages())
    with tempfile.TemporaryDirectory() as folder:
        rows = [*commands(Path(folder) / "demo"), *range_run(Path(folder))]
    print_table(("", "CPU s"), rows)


def commands(data_dir: Path) -> list[tuple[str, float]]:
    """The least that each short command took, on the demo's data."""
    env = {"ASLEEP_DATA_DIR": str(data_dir)}
    data_dir.mkdir()
    measure([*PROGRAM, "demo", "--json"], data_dir, env)
    return [
        (name, min(measure([*PROGRAM, name], data_dir, env).cpu_s for _ in range(ROUNDS)))
        for name in ("--help", "status")
    ]


def range_run(root: Path) -> list[tuple[str, float]]:
    """What the process of a `backfill` took, and Dagster's part of it."""
    now = datetime.now(UTC)
    with vendor(PEOPLE, now) as asked:
        job = job_of(asked, now, root)
        run_program(job, "users", "import", str(job.roster))
        whole = measure(job.command("startup"), root).cpu_s
    spent = json.loads((root / "spent.json").read_text())
    return [
        ("backfill of 90 days, 4 runs and publication", whole),
        ("of that, before the first request", spent["before"]),
        (
            "of the rest, Dagster's part of each run",
            (whole - spent["before"] - sum(spent["work"])) / RUNS,
        ),
    ]


def backfill_timed(job: Job) -> None:
    """Be the program, and leave the CPU seconds of its work in a file."""
    with timed() as calls:
        from asleep_pipeline.cli import app  # noqa: PLC0415 - as the program does
        from asleep_pipeline.cli._run import run  # noqa: PLC0415

        os.environ |= environment(job)
        code = run(app, list(backfill(job)))
    spent = {"before": calls[0].began_cpu_s, "work": [call.cpu_s for call in calls]}
    (job.out / "spent.json").write_text(json.dumps(spent))
    sys.exit(code)


@contextmanager
def timed() -> Iterator[list[Call]]:
    """Collect the calls of the functions that work."""
    calls: list[Call] = []
    with ExitStack() as patched:
        for name, function in _WORK.items():
            patched.enter_context(watched(f"{_ASSETS}.{name}", function, calls))
        yield calls


if __name__ == "__main__":
    if sys.argv[1:]:
        backfill_timed(read_job())
    else:
        main()
