"""The whole job by this package, a plain script and dlt, one after the other in the same run.

`python -m benchmarks.pull [USERS]` (default: 200). The simulator has a process of its own, and gives
everybody the same answers; all have eight connections. Wall time is mostly the simulator's. Nobody
else builds marts, so the ratios are those of the job without them; what they cost is one row more.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.entrants import (
    CLI,
    OURS,
    TABLES,
    Result,
    check_equal,
    job_of,
    packages,
    race,
    rivals,
)
from benchmarks.tables import print_machine, print_table
from benchmarks.vendor import vendor

USERS = 200


def main(users: int) -> None:
    """Print one table of all who do the job, and one of pretty-printed JSON."""
    now = datetime.now(UTC)
    print_machine(packages())
    compact = pull(users, now, "compact")
    mine, whole = compact[TABLES.name], compact[OURS.name]
    print(f"\n{users} users, 90 days: {mine.sessions:,} sessions, averages of every month.")
    print_table(
        ("", "CPU s", "wall s", "peak MiB", "requests", "disk MiB", "CPU of ours / its"),
        [(name, *_figures(result), _ratio(mine, result)) for name, result in compact.items()],
    )
    pretty = pull(users, now, "pretty", only_ours=True)[OURS.name]
    check_equal([whole, pretty])
    print_table(
        ("JSON, without Dagster", "CPU s", "peak MiB", "ratio"),
        [
            ("compact", whole.cost.cpu_s, whole.cost.peak_mib, 1.0),
            ("indented", pretty.cost.cpu_s, pretty.cost.peak_mib, _ratio(pretty, whole)),
        ],
    )


def pull(users: int, now: datetime, style: str, *, only_ours: bool = False) -> dict[str, Result]:
    """What each took, by name; all ended with the same."""
    entrants = (OURS,) if only_ours else (*rivals(), TABLES, OURS, CLI)
    with tempfile.TemporaryDirectory() as folder, vendor(users, now, style) as asked:
        job = job_of(asked, now, Path(folder))
        results = {entrant.name: race(asked, job, entrant) for entrant in entrants}
    check_equal(list(results.values()))
    return results


def _figures(result: Result) -> tuple[float, float, float, int, float]:
    cost = result.cost
    return cost.cpu_s, cost.wall_s, cost.peak_mib, result.requests, cost.disk_bytes / 2**20


def _ratio(one: Result, other: Result) -> float:
    return one.cost.cpu_s / other.cost.cpu_s


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else USERS)
