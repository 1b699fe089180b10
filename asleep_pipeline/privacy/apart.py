"""Work on database files in a process of its own.

A process that closes a SQLite file gives up every lock that it holds on it, also those of another library:
DuckDB brings its own SQLite. So whoever has the lake open must not read its catalog as a plain file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asleep_pipeline.errors import ErasureError
from asleep_pipeline.privacy.key_files import key_file_of, use_key_file
from asleep_pipeline.privacy.traces import Traces


def apart(
    module: str, traces: Traces, paths: Sequence[Path], *, data_dir: Path | None = None
) -> Any:
    """What a module of this package answers when it is run with some traces and paths.

    Args:
        module: Which.
        traces: What it is to look for.
        paths: Where.
        data_dir: The data folder whose keys it needs; none when None.

    Raises:
        ErasureError: It failed.
    """
    key_file = key_file_of(data_dir) if data_dir else None
    asked = {
        "user_id": traces.user_id,
        "session_ids": traces.session_ids,
        "others": traces.others,
        "paths": [str(path) for path in paths],
        "keys": [str(data_dir), str(key_file)] if key_file else None,
    }
    # By the standard input: everybody on the machine can read the arguments of a process.
    done = subprocess.run(  # noqa: S603 -- this interpreter, and a module of ours
        [sys.executable, "-m", f"asleep_pipeline.privacy.{module}"],
        input=json.dumps(asked).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        # Its own words may quote what it was looking at.
        kind = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise ErasureError(
            f"The data folder could not be searched: {kind[0].partition(':')[0]}.",
            fix="Check the folder's rights and the memory, then `asleep-pipeline erase resume`.",
        )
    return json.loads(done.stdout)


def asked() -> tuple[Traces, list[Path]]:
    """What such a process was asked for."""
    said = json.load(sys.stdin)
    traces = Traces(said["user_id"], tuple(said["session_ids"]), tuple(said["others"]))
    if said["keys"]:
        use_key_file(*map(Path, said["keys"]))
    return traces, [Path(path) for path in said["paths"]]
