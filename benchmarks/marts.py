"""Marts of a long history: a full build, one more day, and the named questions.

`python -m benchmarks.marts [SESSIONS]` (default: a million). A day costs what it changed: the figure
is the time of one more day as a share of a full build, in the same run.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import duckdb

from asleep_pipeline.extract.sessions import Window
from asleep_pipeline.lake import Lake
from asleep_pipeline.log import configure_logging
from asleep_pipeline.simulator import SimulatorOptions, running
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.warehouse.questions import Question, questions
from benchmarks.ours import load
from benchmarks.watching import watched

PEOPLE, DAYS, BLOCKS = 24, 60, 6
TODAY = date(2026, 11, 20)
"""The last day of the history."""


def simulated(root: Path) -> Lake:
    """Some days of some people, by the real client and parser."""
    now = datetime(TODAY.year, TODAY.month, TODAY.day, 23, 59, tzinfo=UTC)
    with running(SimulatorOptions(people=PEOPLE, now=now)) as simulator:
        simulator.world.write_roster(root / "roster.csv")
        window = Window(TODAY - timedelta(days=DAYS - 1), TODAY)
        return load(simulator.base_url, simulator.api_key, root / "roster.csv", window, root)


def multiply(lake: Lake, people: int) -> None:
    """Lay the days end to end so many times, and give every person so many namesakes."""
    dates = ("start_date", "start_date_local", "night_date")
    moments = (
        *("started_at", "ended_at", "unexpected_ended_at", "started_at_local"),
        *("ended_at_local", "sleep_time", "wake_time"),
    )
    shifted = [f"({name} - shift)::DATE AS {name}" for name in dates]
    shifted += [f"{name} - shift AS {name}" for name in moments]
    for block in range(BLOCKS):
        with lake.write(f"block {block}") as con:
            con.execute(f"""
                INSERT INTO lake.sessions BY NAME
                SELECT * EXCLUDE (copy, shift) REPLACE (
                    user_id || '-' || copy AS user_id, session_id || '-{block}' AS session_id,
                    'org-' || copy % 10 AS org_id, {", ".join(shifted)}
                ) FROM (
                    SELECT *, INTERVAL {DAYS * block} DAY AS shift
                    FROM lake.sessions, range({people}) AS copies(copy)
                    WHERE NOT contains(org_id, '-')
                )""")
    with lake.write("namesakes") as con:
        con.execute(f"""
            INSERT INTO lake.users BY NAME
            SELECT * EXCLUDE (copy) REPLACE (
                user_id || '-' || copy AS user_id, 'org-' || copy % 10 AS org_id
            ) FROM lake.users, range({people}) AS copies(copy)""")
        for table in ("sessions", "users"):
            con.execute(f"DELETE FROM lake.{table} WHERE NOT contains(org_id, '-')")


def one_more_day(lake: Lake, last: date = TODAY) -> int:
    """The sessions of the last date once more, a day later."""
    with lake.write("one more day") as con:
        row = con.execute(f"""
            INSERT INTO lake.sessions BY NAME
            SELECT * REPLACE (
                session_id || '+' AS session_id, (start_date + 1) AS start_date,
                (start_date_local + 1) AS start_date_local, (night_date + 1) AS night_date,
                started_at + INTERVAL 1 DAY AS started_at, ended_at + INTERVAL 1 DAY AS ended_at,
                started_at_local + INTERVAL 1 DAY AS started_at_local,
                ended_at_local + INTERVAL 1 DAY AS ended_at_local
            ) FROM lake.sessions WHERE night_date = DATE '{last}'""").fetchone()
    return int(row[0]) if row else 0


def ask(file: Path) -> list[tuple[str, float]]:
    """Seconds that each named question takes in a process that has just opened the file."""
    with read_warehouse(file) as con:
        con.execute("SET threads = 2")
        return [(name, _seconds(con, question)) for name, question in questions().items()]


def _seconds(con: duckdb.DuckDBPyConnection, question: Question) -> float:
    began = time.perf_counter()
    con.execute(question.sql, question.values()).fetchall()
    return time.perf_counter() - began


def main(sessions: int) -> None:
    """Print one table of building and one of asking."""
    configure_logging()
    with (
        tempfile.TemporaryDirectory() as folder,
        watched("asleep_pipeline.warehouse.publish", "refresh_marts") as builds,
    ):
        root = Path(folder)
        lake, file = simulated(root), root / "asleep.duckdb"
        simulated_sessions = int(lake.frame("SELECT count(*) FROM sessions").item())
        multiply(lake, max(round(sessions / simulated_sessions / BLOCKS), 1))
        began = time.perf_counter()
        full = publish(lake, file)
        full_s = time.perf_counter() - began
        new = one_more_day(lake)
        began = time.perf_counter()
        publish(lake, file)
        day_s = time.perf_counter() - began
        asked = ask(file)
        size_mib = file.stat().st_size / 2**20
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{full.rows['sessions']:,} sessions of {full.rows['users']:,} users, {new:,} on one more"
    )
    print(
        f"day; DuckDB {version('duckdb')}; {size_mib:,.0f} MiB published; peak {peak_gib:.1f} GiB"
    )
    print("\n| | full build | one more day | ratio |\n|---|---:|---:|---:|")
    for what, (whole, day) in {
        "marts, s": [b.wall_s for b in builds],
        "publish, s": [full_s, day_s],
    }.items():
        print(f"| {what} | {whole:.1f} | {day:.1f} | {day / whole:.3f} |")
    print("\n| question | s |\n|---|---:|")
    for name, took in asked:
        print(f"| {name} | {took:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
