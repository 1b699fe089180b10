"""Receivers in processes of their own, started in no time: run it with `python -m`.

Reads from standard input, a line each, the data folders to serve; forks a process that has all its
modules loaded and serves it as `webhooks serve` does; tells `pid N` at once and `url N URL` when it
takes events. Ends with its input.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from asleep_pipeline.log import configure_logging
from asleep_pipeline.settings import load_settings
from asleep_pipeline.webhooks.serving import serve
from asleep_pipeline_tests.durability.senders import KEY


def tell(what: str, text: str) -> None:
    """Say a line about this process."""
    # One write for each line: two processes share the pipe.
    os.write(sys.stdout.fileno(), f"{what} {os.getpid()} {text}\n".encode())


def receive(data_dir: Path) -> None:
    """Serve a folder until killed."""
    settings = load_settings(api_key=KEY, data_dir=data_dir)
    tell("pid", "")
    serve(settings, "127.0.0.1", 0, on_url=lambda url: tell("url", url))


if __name__ == "__main__":
    configure_logging()
    # Children are not waited for: who reads here kills them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() == 0:
            receive(Path(line.strip()))
            os._exit(0)
