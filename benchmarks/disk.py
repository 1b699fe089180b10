"""Bytes that a session takes, with its stages: in the lake, as JSON, and where the rivals keep it.

`python -m benchmarks.disk [USERS]` (default: 50, for 90 days).
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.maintenance import FILES_KEPT, SNAPSHOTS_KEPT, maintain
from benchmarks.costs import disk_bytes
from benchmarks.entrants import (
    DLT,
    DLT_FILES,
    OURS,
    SCRIPT,
    check_equal,
    job_of,
    packages,
    race,
    rivals,
)
from benchmarks.tables import print_machine, print_table
from benchmarks.vendor import vendor

USERS = 50


def main(users: int) -> None:
    """Print one table."""
    now = datetime.now(UTC)
    print_machine(packages())
    with tempfile.TemporaryDirectory() as folder, vendor(users, now) as asked:
        root = Path(folder)
        job = job_of(asked, now, root)
        entrants = (*rivals(), OURS)
        results = [race(asked, job, entrant) for entrant in entrants]
        check_equal(results)
        sizes = sizes_of(root)
    sessions = results[0].sessions
    json_bytes = sizes["JSON of the API: details"]
    print(f"\n{sessions:,} sessions of {users} users.")
    print_table(
        ("", "bytes a session", "of the JSON"),
        [(name, size / sessions, size / json_bytes) for name, size in sizes.items()],
    )


def sizes_of(root: Path) -> dict[str, int]:
    """Bytes by what holds them; those of entrants who were not there are left out."""
    lake = root / OURS.name / "lake"
    places = {
        "lake: sessions, Parquet": lake / "data" / "main" / "sessions",
        "lake: raw answers, Parquet": lake / "data" / "main" / "raw",
        "published file, with all marts": root / OURS.name / "asleep.duckdb",
        "script: sessions, Parquet": root / SCRIPT.name / "sessions.parquet",
        "script: DuckDB file": root / SCRIPT.name / "asleep.duckdb",
        "dlt: details, Parquet": root / DLT_FILES.name / "files" / "nights" / "details",
        "dlt: DuckDB file": root / DLT.name / "asleep.duckdb",
    }
    sizes = {name: disk_bytes(place) for name, place in places.items() if place.exists()}
    json = {"JSON of the API: details": _json_bytes(Lake.open(lake))}
    # As the weekly schedule does, once what is superseded has had its time.
    for wait in (timedelta(), SNAPSHOTS_KEPT + FILES_KEPT + timedelta(days=1)):
        maintain(Lake.open(lake), now=datetime.now(UTC) + wait)
    kept = list(places)[:2]
    return json | sizes | {f"{name}, maintained": disk_bytes(places[name]) for name in kept}


def _json_bytes(lake: Lake) -> int:
    """Of the details, as they came."""
    sql = "SELECT sum(octet_length(body)) FROM raw WHERE endpoint = 'get_session'"
    return int(lake.frame(sql).item())


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else USERS)
