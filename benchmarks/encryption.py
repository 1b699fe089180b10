"""What encryption at rest costs: CPU by session, and bytes on the disk, beside the same without it.

`python -m benchmarks.encryption` (half a minute of CPU). Each way has a process of its own; the simulator
runs in it, so that the share of a pull is what the pipeline takes at least.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from asleep_pipeline.lake import Lake
from asleep_pipeline.log import configure_logging
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline.privacy.key_files import use_key_file
from asleep_pipeline.privacy.master_keys import create_master_keys
from asleep_pipeline.warehouse import publish
from benchmarks.marts import simulated

ROUNDS = 3
STEPS = ("pull and normalise", "rebuild", "publish from scratch")
PARTS = ("raw", "sessions", "published")


def work(kind: str) -> None:
    """Pull, rebuild and publish in a new folder; prints CPU seconds, sessions and bytes."""
    configure_logging()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        root.mkdir()
        if kind == "encrypted":
            create_master_keys(Path(folder) / "master")
            use_key_file(root, Path(folder) / "master")
        cpu = [_timed(lambda: simulated(root))]
        lake, file = Lake.open(root / "lake"), root / "asleep.duckdb"
        # Once before, so that what is loaded once a process counts in none.
        publish(lake, file)
        parts = [_bytes(root / "lake" / "data" / "main" / name) for name in PARTS[:2]]
        cpu.append(_timed(lambda: rebuild(lake, organisations={}, default_zone="UTC")))
        cpu.append(_timed(lambda: publish(lake, file, from_scratch=True)))
        sessions = lake.frame("SELECT count(*) FROM lake.sessions").item()
        print(json.dumps([cpu, sessions, [*parts, file.stat().st_size]]))


def _timed(step: Callable[[], object]) -> float:
    began = time.process_time()
    step()
    return time.process_time() - began


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.parquet"))


def main() -> None:
    """Print one table of times, and one of sizes; of several rounds the best."""
    found: dict[str, list[tuple[list[float], int, list[int]]]] = {"plain": [], "encrypted": []}
    for _ in range(ROUNDS):
        for kind, rounds in found.items():
            command = [sys.executable, "-m", "benchmarks.encryption", kind]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rounds.append(json.loads(said.splitlines()[-1]))
    _, sessions, plain_bytes = found["plain"][0]
    sealed_bytes = found["encrypted"][0][2]
    print(f"{sessions} sessions, best of {ROUNDS} rounds\n")
    print("| CPU us/session | plain | encrypted | more |\n|---|---:|---:|---:|")
    for number, step in enumerate(STEPS):
        plain, sealed = (min(cpu[number] for cpu, *_ in rounds) for rounds in found.values())
        each = [1e6 * seconds / sessions for seconds in (plain, sealed)]
        print(f"| {step} | {each[0]:,.0f} | {each[1]:,.0f} | {sealed / plain - 1:+.0%} |")
    print("\n| bytes/session | plain | encrypted | |\n|---|---:|---:|---:|")
    for name, plain, sealed in zip(PARTS, plain_bytes, sealed_bytes, strict=True):
        print(
            f"| {name} | {plain / sessions:,.0f} | {sealed / sessions:,.0f} | {sealed / plain:.1f}x |"
        )


if __name__ == "__main__":
    if sys.argv[1:]:
        work(sys.argv[1])
    else:
        main()
