"""Real receivers to be killed: the process that makes them, and what they have kept."""

from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline_tests.durability.senders import PATIENCE_S

_Line = tuple[str, int, str]


class Receivers:
    """Makes receivers of one data folder, one at a time; see `receiving`.

    Args:
        process: The process that makes them.
        data_dir: The folder.
    """

    def __init__(self, process: subprocess.Popen[str], data_dir: Path) -> None:
        self._process, self._data_dir = process, data_dir
        self._lines: queue.Queue[_Line] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def begin(self) -> int:
        """Let a receiver start; its process id."""
        assert self._process.stdin
        self._process.stdin.write(f"{self._data_dir}\n")
        self._process.stdin.flush()
        return self._next("pid", None)[1]

    def url(self, pid: int) -> str:
        """Where it takes events, once it does."""
        return self._next("url", pid)[2]

    def start(self) -> tuple[int, str]:
        """Start a receiver; its process id, and where it takes events."""
        pid = self.begin()
        return pid, self.url(pid)

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            what, pid, text = line.rstrip("\n").split(" ")
            self._lines.put((what, int(pid), text))

    def _next(self, what: str, pid: int | None) -> _Line:
        """The next line of this kind; those before it are of receivers that were killed early."""
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            if line[0] == what and pid in {None, line[1]}:
                return line


@contextmanager
def receivers(data_dir: Path) -> Iterator[Receivers]:
    """Receivers of a data folder; the last one is killed at the end."""
    command = [sys.executable, "-m", "asleep_pipeline_tests.durability.receiving"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    ) as process:
        try:
            yield Receivers(process, data_dir)
        finally:
            # The group that it leads: itself, and the receiver that it has made last.
            os.killpg(process.pid, signal.SIGKILL)


def kill(pid: int) -> None:
    """Kill a receiver, and wait until it is gone."""
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], PATIENCE_S)[0], "SIGKILL ends every process"
    finally:
        os.close(pidfd)


def bodies_in(path: Path) -> list[bytes]:
    """The bodies that an inbox holds, in the order in which they came."""
    return [event.body for event in Inbox.open(path).events(limit=10**9)]
