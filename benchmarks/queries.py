"""The named questions on histories of some sizes.

`python -m benchmarks.queries [SESSIONS ...]` (default: a million).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from asleep_pipeline.log import configure_logging
from asleep_pipeline.warehouse import publish
from benchmarks.marts import BLOCKS, ask, multiply, simulated
from benchmarks.tables import print_machine, print_table


def times(sessions: int) -> tuple[int, dict[str, float]]:
    """How many sessions there are (about as many as asked for), and seconds by question."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lake, file = simulated(root), root / "asleep.duckdb"
        simulated_sessions = int(lake.frame("SELECT count(*) FROM sessions").item())
        multiply(lake, max(round(sessions / simulated_sessions / BLOCKS), 1))
        report = publish(lake, file)
        return report.rows["sessions"], dict(ask(file))


def main(sizes: list[int]) -> None:
    """Print one table."""
    configure_logging()
    print_machine(("duckdb",))
    measured = [times(size) for size in sizes]
    names = [f"ms, {sessions:,} sessions" for sessions, _ in measured]
    print_table(
        ("question", *names),
        [(name, *(1_000 * took[name] for _, took in measured)) for name in measured[0][1]],
    )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [1_000_000])
