"""The same backfill below the recorder, noting in the log what was reported to be safe."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from asleep_pipeline.lake import TABLES, Lake, ducklake
from asleep_pipeline.log import configure_logging
from asleep_pipeline.warehouse.publish import PublishReport, publish
from asleep_pipeline_tests.durability import backfill


def note(**reported: Any) -> None:
    """Write a note into the recorder's log; the recorder is preloaded into this process."""
    ctypes.CDLL(None).recorder_note(json.dumps(reported).encode())


def counts(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows by table of the lake."""
    return {
        name: con.execute(f"SELECT count(*) FROM lake.{name}").fetchall()[0][0] for name in TABLES
    }


def note_commits() -> None:
    """From now on, note every commit of `Lake.write` once it has been reported."""
    original = Lake.write

    @contextmanager
    def write(self: Lake, why: str) -> Iterator[duckdb.DuckDBPyConnection]:
        with original(self, why) as con:
            yield con
        with self.read() as con:
            note(why=why, snapshot=self.snapshot_id(), rows=counts(con))

    setattr(Lake, "write", write)  # noqa: B010 - a test's method in the place of the real one


def published(lake: Lake, path: Path) -> PublishReport:
    """Publish, and note that it was reported."""
    report = publish(lake, path)
    note(published=report.lake_snapshot, rows=report.rows)
    return report


if __name__ == "__main__":
    configure_logging()
    note_commits()
    setattr(backfill, "publish", published)  # noqa: B010 - as above
    if sys.argv[2:] == ["without-sync"]:
        setattr(ducklake, "_sync_tree", lambda *_args, **_more: None)  # noqa: B010 - as above
    backfill.run(backfill.Errand(**json.loads(sys.argv[1])))
