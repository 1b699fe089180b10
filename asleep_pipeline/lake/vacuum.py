"""Writing the catalog anew, without what was deleted: in a process of its own.

A process that closes a SQLite file gives up every lock that it holds on it, also those of another library:
DuckDB, which has the catalog open, brings its own SQLite.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from asleep_pipeline.errors import LakeError

_BUSY_S: Final = 30


def vacuum_apart(file: Path) -> None:
    """Write a SQLite file anew and empty its log.

    Raises:
        LakeError: It cannot be written, or somebody reads it for too long.
    """
    done = subprocess.run(  # noqa: S603 -- this interpreter, and this module
        [sys.executable, "-m", __name__, str(file)], capture_output=True, check=False
    )
    if done.returncode:
        raise LakeError(
            f"The catalog {file} cannot be written anew.",
            fix="Check the free space, end what reads the lake, then run it again.",
        )


def _vacuum(file: str) -> None:
    with closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as con:
        con.execute("VACUUM")
        ((is_busy, *_),) = con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    sys.exit(is_busy)


if __name__ == "__main__":
    _vacuum(sys.argv[1])
