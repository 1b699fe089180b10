"""Overwriting what a SQLite file still holds of deleted rows.

Nothing is done to a file without traces, which is most of them: to write it anew locks it for as long.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from asleep_pipeline.errors import ErasureError
from asleep_pipeline.privacy.apart import apart, asked
from asleep_pipeline.privacy.scan import is_in_bytes
from asleep_pipeline.privacy.traces import Traces

_BUSY_S: Final = 30
_POLL_S: Final = 0.05


def scrub(files: Sequence[Path], traces: Traces) -> int:
    """Write the SQLite files anew, and empty their logs, in which traces stand; how many there were.

    Raises:
        ErasureError: Somebody has been reading a file for too long, or it cannot be written.
    """
    there = [file for file in files if file.exists()]
    answer = apart("scrub", traces, there) if there else []
    if busy := [Path(file).name for file, is_clean in answer if not is_clean]:
        raise ErasureError(
            f"{', '.join(busy)} is being read all the time, so its log cannot be emptied.",
            fix="End what reads it, then `asleep-pipeline erase resume`.",
        )
    return len(answer)


def scrubbed(files: Sequence[Path], traces: Traces) -> list[tuple[str, bool]]:
    """`scrub` in this process: the files that were written, and whether they are clean."""
    return [(str(file), _write_anew(file)) for file in files if _is_dirty(file, traces)]


def _is_dirty(file: Path, traces: Traces) -> bool:
    parts = (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-journal"))
    return any(part.exists() and is_in_bytes(part, traces) for part in parts)


def _write_anew(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as con:
        con.execute("VACUUM")
        until = time.monotonic() + _BUSY_S
        while con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                return False
            time.sleep(_POLL_S)
    return True


if __name__ == "__main__":
    _traces, _files = asked()
    print(json.dumps(scrubbed(_files, _traces)))  # noqa: T201 -- its answer
