"""Somebody who reads the lake and the published file all day: run it with `python -m`.

Reads the newest data folder (`data-NN`) below the given one until standard input is closed, and tells
on standard output, as JSON, how often it read and what it found wrong.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from asleep_pipeline.errors import AsleepPipelineError
from asleep_pipeline.lake import Lake

MOST_READS = 5_000

_CONTRADICTIONS = {
    "a session rests on a detail that raw does not hold": """
        SELECT count(*) FROM lake.sessions AS s
        WHERE has_detail AND NOT EXISTS (
            SELECT 1 FROM lake.raw AS r WHERE r.body_sha256 = s.detail_sha256)
    """,
    "details that were read, by progress, are not the sessions with a detail": """
        SELECT abs(
            (SELECT count(DISTINCT session_id) FROM lake.raw AS r
             WHERE endpoint = 'get_session' AND EXISTS (
                 SELECT 1 FROM lake.progress AS p
                 WHERE p.stream = 'sessions' AND p.shard = r.shard AND r.rowid <= p.raw_rowid))
            - (SELECT count(*) FROM lake.sessions WHERE has_detail))
    """,
    "averages that were read, by progress, are not the rows of average_stats": """
        SELECT abs(
            (SELECT count(DISTINCT user_id) FROM lake.raw AS r
             WHERE endpoint = 'average_stats' AND EXISTS (
                 SELECT 1 FROM lake.progress AS p
                 WHERE p.stream = 'average_stats' AND p.shard = r.shard
                   AND r.rowid <= p.raw_rowid))
            - (SELECT count(*) FROM lake.average_stats))
    """,
    "a session belongs to nobody on the roster": """
        SELECT count(*) FROM lake.sessions
        WHERE user_id NOT IN (SELECT user_id FROM lake.users)
    """,
}


def lake_problems(root: Path) -> Iterator[str]:
    """What contradicts itself within one read, or changes during it."""
    with Lake.open(root).read() as con:
        before = _totals(con)
        for problem, sql in _CONTRADICTIONS.items():
            if _number(con, sql):
                yield problem
        if _totals(con) != before:
            yield "the lake changed during one read"


def file_problems(path: Path) -> Iterator[str]:
    """What the published file says of itself that is not so."""
    with duckdb.connect(str(path), read_only=True) as con:
        info = con.execute("SELECT table_name, rows FROM load_info").fetchall()
        if not info:
            yield "load_info is empty"
        for table, rows in info:
            if _number(con, f"SELECT count(*) FROM {table}") != rows:
                yield f"{table} has other rows than load_info says"


def _totals(con: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return con.execute(
        """
        SELECT (SELECT count(*) FROM lake.raw), (SELECT sum(octet_length(body)) FROM lake.raw),
               (SELECT count(*) FROM lake.sessions), (SELECT sum(time_in_sleep) FROM lake.sessions)
        """
    ).fetchall()


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(con.execute(sql).fetchall()[0][0])


def watch(folder: Path) -> dict[str, object]:
    """Read until told to stop: {"lake_reads", "file_reads", "problems"}."""
    lake_reads = file_reads = 0
    problems: list[str] = []
    pause_s = 0.1
    while lake_reads + file_reads < MOST_READS and not _is_told_to_stop(pause_s):
        since = time.monotonic()
        for data_dir in sorted(folder.glob("data-*"))[-1:]:
            if (data_dir / "lake" / "catalog.sqlite").exists():
                lake_reads += 1
                problems += _caught(lake_problems, data_dir / "lake")
            if (data_dir / "asleep.duckdb").exists():
                file_reads += 1
                problems += _caught(file_problems, data_dir / "asleep.duckdb")
        # Most of the machine is left to the writer, however slow both are.
        pause_s = 0.1 + 2 * (time.monotonic() - since)
    return {"lake_reads": lake_reads, "file_reads": file_reads, "problems": problems}


def _is_told_to_stop(within_s: float) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], within_s)
    return bool(ready)


def _caught(look: Callable[[Path], Iterator[str]], path: Path) -> list[str]:
    """The problems found; an error while reading is one of them."""
    try:
        return list(look(path))
    except (AsleepPipelineError, duckdb.Error, OSError) as error:
        return [f"{path.name}: {type(error).__name__}: {error}"]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(watch(Path(sys.argv[1]))))
