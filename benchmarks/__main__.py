"""`make bench`: pull the same nights by a plain script and by this package, and compare."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from asleep_pipeline.simulator import SimulatorOptions, running

PEOPLE, DAYS = 60, 90
SHOWN = ("httpx", "polars", "duckdb", "pyarrow", "msgspec")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one child process took."""

    cpu_s: float
    wall_s: float
    peak_mib: float
    disk_mib: float


def measure(module: str, arguments: list[str], out: Path) -> Cost:
    """Run a module of this folder to its end.

    Raises:
        RuntimeError: It failed.
    """
    began = time.perf_counter()
    child = os.posix_spawn(
        sys.executable, [sys.executable, "-m", module, *arguments, str(out)], os.environ
    )
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{module} ended with status {status}")
    files = [out] if out.is_file() else [f for f in out.rglob("*") if f.is_file()]
    return Cost(
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=time.perf_counter() - began,
        peak_mib=usage.ru_maxrss / 1024,
        disk_mib=sum(f.stat().st_size for f in files) / 2**20,
    )


def main() -> None:
    """Print the versions and one table."""
    today = datetime.now(UTC).date()
    window = [str(today - timedelta(days=DAYS)), str(today - timedelta(days=1))]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(SimulatorOptions(people=PEOPLE)) as simulator,
    ):
        root = Path(folder)
        simulator.world.write_roster(root / "roster.csv")
        asked = [simulator.base_url, simulator.api_key, str(root / "roster.csv"), *window]
        rival = measure("benchmarks.rival", asked, root / "rival.parquet")
        requests = simulator.requests.total()
        simulator.requests.reset()
        ours = measure("benchmarks.ours", asked, root / "ours")
        print(f"{PEOPLE} users, {DAYS} days, {requests} requests by the script, ", end="")
        print(f"{simulator.requests.total()} by us; Python {sys.version.split()[0]}, ", end="")
        print(", ".join(f"{name} {version(name)}" for name in SHOWN))
    print("\n| | plain script | asleep-pipeline | ratio |\n|---|---:|---:|---:|")
    for name, unit in (
        ("cpu_s", "CPU s"),
        ("wall_s", "wall s"),
        ("peak_mib", "peak MiB"),
        ("disk_mib", "disk MiB"),
    ):
        theirs, mine = getattr(rival, name), getattr(ours, name)
        print(f"| {unit} | {theirs:.1f} | {mine:.1f} | {mine / theirs:.2f} |")


if __name__ == "__main__":
    main()
