"""A receiver below the recorder, noting in the log what its clients were told: run it with `python -m`.

Takes the data folder, the number of events, and `careless` to sync as little as `synchronous=NORMAL`
does.
"""

from __future__ import annotations

import ctypes
import sqlite3
import sys
from pathlib import Path

from asleep_pipeline.log import configure_logging
from asleep_pipeline.settings import load_settings
from asleep_pipeline.webhooks import storage, writer
from asleep_pipeline.webhooks.serving import running
from asleep_pipeline_tests.durability.senders import KEY, Senders

SENDERS = 6


def note(number: int) -> None:
    """Note that an event was acknowledged; the recorder is preloaded into this process."""
    ctypes.CDLL(None).recorder_note(str(number).encode())


def connect_carelessly(path: Path) -> sqlite3.Connection:
    """As `connect`, but commits may wait for the next checkpoint."""
    con = storage.connect(path)
    con.execute("PRAGMA synchronous = NORMAL")
    return con


if __name__ == "__main__":
    data_dir, events, *options = sys.argv[1:]
    configure_logging()
    if options == ["careless"]:
        setattr(writer, "connect", connect_carelessly)  # noqa: B010 - in the place of the real one
    settings = load_settings(api_key=KEY, data_dir=data_dir)
    with running(settings) as receiver, Senders(SENDERS, note).sending() as senders:
        senders.to(receiver.base_url)
        senders.wait_for(int(events))
