"""How many events a second a receiver takes on one core, beside the same receiver with no store.

`python -m benchmarks.webhooks [EVENTS]` (default: 20,000 of each size and kind). The server has one
core, whoever posts another one; 64 connections post one event after the other. Without a store, every
check is made and every answer given, but nothing is written. Encrypted, each body is sealed by its
user's key before it is written. With a live view, the same core also
reads every event again and publishes the sessions in progress. Figures are ratios of one run.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from asleep_pipeline.log import configure_logging
from asleep_pipeline.privacy.master_keys import create_master_keys
from asleep_pipeline.settings import load_settings
from asleep_pipeline.webhooks import intake
from asleep_pipeline.webhooks.live import Live
from asleep_pipeline.webhooks.serving import serve
from asleep_pipeline.webhooks.writer import STORED, Attempt

CONNECTIONS: Final = 64
ROUNDS: Final = 3
SIZES: Final = {"1 KB": 1_000, "8 KB": 8_000}
SHOWN: Final = ("litestar", "uvicorn", "uvloop", "httptools", "msgspec")
NO_STORE, STORE, SEALED, LIVE = "none", "on disk", "on disk, encrypted", "on disk, live view"
KINDS: Final = (NO_STORE, STORE, SEALED, LIVE)
_KEY: Final = "a-key-of-nobody"
_TICKS_S: Final = 1 / os.sysconf("SC_CLK_TCK")


class NoStore:
    """Stands in for the writer: everything is stored at once, nowhere.

    Args:
        _inbox: Stays empty.
        deliver: Told that it is stored.
    """

    queued = 0

    def __init__(self, _inbox: Any, deliver: Callable[[Sequence[tuple[Any, str]]], None]) -> None:
        self._deliver = deliver

    def start(self) -> None:
        """As the writer."""

    def close(self) -> None:
        """As the writer."""

    def put(self, attempt: Attempt[Any]) -> None:
        """Say that it is stored."""
        self._deliver([(attempt.ticket, STORED)])


@dataclass(slots=True)
class Run:
    """What one round took.

    Attributes:
        seconds: From the first event to the last answer.
        cpu_s: Of the server meanwhile.
        latencies_s: Of each event.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events a second."""
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, percent: int) -> float:
        """How long so many percent of the events took at most, in ms."""
        return 1_000 * statistics.quantiles(self.latencies_s, n=100)[percent - 1]


class Client(asyncio.Protocol):
    """One connection that posts one event after the other.

    Args:
        posts: What to send.
        latencies_s: Where to note how long each took.
        is_over: Is set when there is nothing left to send and the last answer came.
    """

    def __init__(
        self, posts: Iterator[bytes], latencies_s: list[float], is_over: asyncio.Future[None]
    ) -> None:
        self._posts, self._latencies_s, self._is_over = posts, latencies_s, is_over
        self._answer = b""
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Go on after each whole answer."""
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found or not body.endswith(b"}"):
            return
        self._latencies_s.append(time.perf_counter() - self._since)
        if not head.startswith(b"HTTP/1.1 200"):
            self._transport.close()
            return
        self._answer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """All is sent, or something went wrong."""
        if not self._is_over.done():
            self._is_over.set_exception(exc or RuntimeError(f"not taken: {self._answer.decode()}"))

    def _send(self) -> None:
        post = next(self._posts, None)
        if post is None:
            self._is_over.set_result(None)
            self._transport.close()
            return
        self._since = time.perf_counter()
        self._transport.write(post)


def posts(size: int, events: int, connection: int, run: str) -> Iterator[bytes]:
    """Requests of one connection, each with an event of its own."""
    user = f"user-{connection}"
    for block in range(events):
        data = {
            "user_id": user,
            "session_id": f"20260110230000_{run}",
            "seq_num": 10 * block + 9,
            "inference_seq_num": block,
            "sleep_stages": [1, 2] * 5,
            "breath_stages": [0] * 10,
            "snoring_stages": [0] * 10,
            "more": "",
        }
        data["more"] = "x" * (size - len(json.dumps(data)) - 60)
        body = json.dumps({"event": "INFERENCE_COMPLETE", "version": "V3", "data": data}).encode()
        head = (
            f"POST /webhooks/asleep HTTP/1.1\r\nhost: localhost\r\nx-api-key: {_KEY}\r\n"
            f"x-user-id: {user}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


async def load(url: str, size: int, events: int, run: str) -> Run:
    """Post events over all connections at once."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    made = [list(posts(size, events // CONNECTIONS, n, run)) for n in range(CONNECTIONS)]
    found = Run()
    over = [loop.create_future() for _ in made]
    began = time.perf_counter()
    for requests, is_over in zip(made, over, strict=True):
        client = Client(iter(requests), found.latencies_s, is_over)
        await _connect(client, parts.hostname or "", parts.port or 0)
    await asyncio.gather(*over)
    found.seconds = time.perf_counter() - began
    return found


async def _connect(client: Client, host: str, port: int) -> None:
    await asyncio.get_running_loop().create_connection(lambda: client, host, port)


@contextmanager
def server(kind: str) -> Iterator[tuple[int, str]]:
    """A receiver in a process of its own on the first core: its id, and where it answers."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.webhooks", "serve", kind, folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            try:
                yield process.pid, process.stdout.readline().strip()
            finally:
                process.terminate()


def receive(kind: str, folder: str) -> None:
    """Be the server."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    configure_logging()
    if kind == NO_STORE:
        setattr(intake, "Writer", NoStore)  # noqa: B010 - in the place of the real one
    if kind != LIVE:
        for name in ("start", "close"):
            setattr(Live, name, lambda _self: None)
    master = Path(folder) / "master" if kind == SEALED else None
    if master:
        create_master_keys(master)
    settings = load_settings(
        api_key=_KEY,
        data_dir=Path(folder) / "data",
        encryption_key_file=master,
        webhook_events_per_second=10**9,
    )
    serve(settings, "127.0.0.1", 0, on_url=lambda url: print(url, flush=True))


def measure(kind: str, size: int, events: int) -> Run:
    """One round with a new server."""
    with server(kind) as (pid, url):
        asyncio.run(load(url, size, 2_000, "warm"))
        before = cpu_s(pid)
        run = asyncio.run(load(url, size, events, "measured"))
        run.cpu_s = cpu_s(pid) - before
    return run


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICKS_S


def main(events: int) -> None:
    """Print the versions and one table."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{events:,} events, {CONNECTIONS} connections, best of {ROUNDS} rounds; Python ", end="")
    print(f"{sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in SHOWN))
    print("\n| events | store | events/s | of no store | p50 ms | p99 ms | server us/event |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, size in SIZES.items():
        # By turns, so that whatever else the machine does meets all.
        rounds = [[measure(kind, size, events) for kind in KINDS] for _ in range(ROUNDS)]
        best = [max(runs, key=lambda run: run.rate) for runs in zip(*rounds, strict=True)]
        for kind, run in zip(KINDS, best, strict=True):
            print(
                f"| {name} | {kind} | {run.rate:,.0f} | {run.rate / best[0].rate:.2f} | "
                f"{run.percentile_ms(50):.1f} | {run.percentile_ms(99):.1f} | "
                f"{1e6 * run.cpu_s / len(run.latencies_s):.0f} |"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        receive(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 20_000)
