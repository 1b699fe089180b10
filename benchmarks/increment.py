"""What publishing one more day costs after a short, a long and a very long history.

`python -m benchmarks.increment [DAYS ...]` (default: 30, 365 and 3,650 days of 24 people). One lake
whose history grows backwards, so that the new days are the same ones each time; each figure is the
least of some days.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from asleep_pipeline.extract.sessions import Window
from asleep_pipeline.lake import Lake
from asleep_pipeline.log import configure_logging
from asleep_pipeline.simulator import SimulatorOptions, running
from asleep_pipeline.warehouse import publish
from benchmarks.ours import load
from benchmarks.tables import print_machine, print_table
from benchmarks.watching import watched

PEOPLE, BLOCK_DAYS, REPEATS = 24, 30, 5
TODAY = date(2026, 11, 20)
"""The last day of the history."""

_DATES = ("start_date", "start_date_local", "night_date")
_MOMENTS = (
    *("started_at", "ended_at", "unexpected_ended_at", "started_at_local"),
    *("ended_at_local", "sleep_time", "wake_time"),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one publication took.

    Attributes:
        cpu_s: All of it.
        marts_cpu_s: The marts.
        copy_cpu_s: Copying the working file aside, syncing and renaming it.
        wall_s: All of it, from start to end.
    """

    cpu_s: float
    marts_cpu_s: float
    copy_cpu_s: float
    wall_s: float


def main(histories: list[int]) -> None:
    """Print one row a history."""
    configure_logging()
    print_machine(["duckdb"])
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lake, file = simulated(root), root / "asleep.duckdb"
        days = BLOCK_DAYS
        for history in sorted(histories):
            extend(lake, days, history)
            days = history
            sessions = publish(lake, file).rows["sessions"]
            cost = cost_of_a_day(lake, file)
            size_mib = file.stat().st_size / 2**20
            rows.append([f"{history:,} days", sessions, size_mib, *_figures(cost)])
    rows.append(["last by first", "", "", *_ratios(rows[0][3:], rows[-1][3:])])
    print(f"\nOne more day of {PEOPLE} people")
    names = ["history", "sessions", "MiB published", "CPU s", "marts", "copying", "wall s"]
    print_table(names, rows)


def simulated(root: Path) -> Lake:
    """One block of days of some people, by the real client and parser."""
    now = datetime(TODAY.year, TODAY.month, TODAY.day, 23, 59, tzinfo=UTC)
    with running(SimulatorOptions(people=PEOPLE, now=now)) as simulator:
        simulator.world.write_roster(root / "roster.csv")
        window = Window(TODAY - timedelta(days=BLOCK_DAYS - 1), TODAY)
        return load(simulator.base_url, simulator.api_key, root / "roster.csv", window, root)


def extend(lake: Lake, days: int, upto: int) -> None:
    """Make a history of so many days longer: the first block again and again, each a commit."""
    for shift in range(days // BLOCK_DAYS * BLOCK_DAYS, upto, BLOCK_DAYS):
        lay_down(
            lake,
            -shift,
            f"night_date BETWEEN DATE '{TODAY}' - {BLOCK_DAYS - 1} AND DATE '{TODAY}' "
            f"AND night_date - {shift} <= DATE '{TODAY}' - {days} "
            f"AND night_date - {shift} > DATE '{TODAY}' - {upto}",
        )


def lay_down(lake: Lake, days: int, which: str) -> int:
    """Sessions of the first block once more, so many days later."""
    shifted = [f"({name} + {days})::DATE AS {name}" for name in _DATES]
    shifted += [f"{name} + INTERVAL ({days}) DAY AS {name}" for name in _MOMENTS]
    with lake.write(f"{days} days later") as con:
        row = con.execute(
            f"""
            INSERT INTO lake.sessions BY NAME
            SELECT * REPLACE (session_id || '{days:+}' AS session_id, {", ".join(shifted)})
            FROM lake.sessions WHERE NOT regexp_matches(session_id, '[+-][0-9]+$') AND {which}
            """
        ).fetchone()
    return int(row[0]) if row else 0


def cost_of_a_day(lake: Lake, file: Path) -> Cost:
    """The least that publishing one more day took, and the same without it afterwards."""
    costs = []
    for day in range(1, REPEATS + 1):
        lay_down(lake, day, f"night_date = DATE '{TODAY}'")
        costs.append(_timed(lambda: publish(lake, file)))
    with lake.write("without the new days") as con:
        con.execute(f"DELETE FROM lake.sessions WHERE night_date > DATE '{TODAY}'")
    publish(lake, file)
    return min(costs, key=lambda cost: cost.cpu_s)


def _timed(work: Callable[[], object]) -> Cost:
    home = "asleep_pipeline.warehouse.publish"
    with watched(home, "refresh_marts") as marts, watched(home, "_put_in_place") as copying:
        began, cpu_began = time.perf_counter(), time.process_time()
        work()
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    marts_cpu_s, copy_cpu_s = (sum(call.cpu_s for call in calls) for calls in (marts, copying))
    return Cost(cpu_s, marts_cpu_s, copy_cpu_s, wall_s)


def _figures(cost: Cost) -> list[float]:
    return [cost.cpu_s, cost.marts_cpu_s, cost.copy_cpu_s, cost.wall_s]


def _ratios(first: list[Any], last: list[Any]) -> list[float]:
    return [after / before for before, after in zip(first, last, strict=True)]


if __name__ == "__main__":
    main([int(days) for days in sys.argv[1:]] or [30, 365, 3650])
