"""The real command as a process, which never outlives its test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = [sys.executable, "-m", "asleep_pipeline.cli", "dashboard", "--json"]


@dataclass(frozen=True, slots=True)
class Served:
    """A dashboard that answers."""

    url: str
    process: subprocess.Popen[str]

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; its exit code, and what it has said on stderr."""
        self.process.send_signal(sign)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@contextmanager
def served(data_dir: Path, *options: str) -> Iterator[Served]:
    """Serve a data folder on a port that nobody else has."""
    # Nothing of the surroundings goes in, and nothing is left in them.
    homes = {f"XDG_{kind}_HOME": str(data_dir / kind) for kind in ("CONFIG", "CACHE", "STATE")}
    with subprocess.Popen(
        [*PROGRAM, "--port", str(_free_port()), *options],
        cwd=data_dir,
        env=os.environ | homes | {"ASLEEP_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            said = "".join(iter(process.stdout.readline, "}\n")) + "}"
            yield Served(json.loads(said)["url"], process)
        finally:
            process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
