"""What posts events to a receiver, byte by byte, and a receiver to post to."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from asleep_pipeline.settings import Settings, load_settings
from asleep_pipeline.webhooks.inbox import Inbox, StoredEvent

KEY: Final = "key-of-everybody-0123456789"
OLD_KEY: Final = "key-of-before-0123456789"
ACME_KEY: Final = "key-of-acme-0123456789"
PATH: Final = "/webhooks/asleep"
PATIENCE_S: Final = 30

_users = count()


@dataclass(frozen=True, slots=True)
class Reply:
    """How a receiver answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        """Its body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends to one receiver.

    Attributes:
        url: Of the receiver.
        settings: Of the receiver.
    """

    url: str
    settings: Settings

    def post(
        self,
        body: bytes,
        user_id: str = "",
        *,
        key: str | None = KEY,
        more: Iterable[tuple[str, str | bytes]] = (),
    ) -> Reply:
        """Post one event over a connection of its own."""
        headers: list[tuple[str, str | bytes]] = [("content-length", str(len(body))), *more]
        if key is not None:
            headers.append(("x-api-key", key))
        if user_id:
            headers.append(("x-user-id", user_id))
        return self.talk(head("POST", PATH, headers) + body)[0]

    def get(self, path: str) -> Reply:
        """Ask something."""
        return self.talk(head("GET", path, []))[0]

    def talk(self, *parts: bytes, answers: int = 1) -> list[Reply]:
        """Send bytes as they are, and read the answers."""
        with self.connected() as sock:
            for part in parts:
                sock.sendall(part)
            return [read_reply(sock) for _ in range(answers)]

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A connection to the receiver."""
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as sock:
            yield sock

    def accepts(self) -> bool:
        """Whether a sound event is taken, and is in the inbox when that is said."""
        user_id = a_user()
        reply = self.post(event(user_id), user_id)
        return reply.status == 200 and len(self.stored(user_id)) == 1

    def stored(self, user_id: str) -> list[StoredEvent]:
        """The events of a user that are in the inbox."""
        return Inbox(self.settings.inbox_path).events(user_id=user_id)

    def attempts(self, key_name: str = "") -> dict[str, int]:
        """How often each outcome is in the audit; refusals only after a later event was taken."""
        assert self.accepts()
        with Inbox(self.settings.inbox_path).connection() as con:
            return _counts(con, key_name)


def _counts(con: sqlite3.Connection, key_name: str) -> dict[str, int]:
    rows = con.execute(
        "SELECT outcome, sum(attempts) FROM attempt WHERE key_name = ? GROUP BY 1", [key_name]
    )
    return dict(rows.fetchall())


def a_user() -> str:
    """A user of whom nobody has spoken yet."""
    return f"U-{os.getpid()}-{next(_users)}"


def event(user_id: str | None, name: str = "INFERENCE_COMPLETE", **more: Any) -> bytes:
    """A small event in the newest envelope."""
    data = {"session_id": "20260501220000_aaaaa", "seq_num": 39, "inference_seq_num": 3} | more
    about = {} if user_id is None else {"user_id": user_id}
    return json.dumps({"event": name, "version": "V3", "data": about | data}).encode()


def sized(user_id: str, size: int) -> bytes:
    """An event of so many bytes."""
    empty = event(user_id, pad="")
    return event(user_id, pad="x" * (size - len(empty)))


def head(method: str, path: str, headers: Iterable[tuple[str, str | bytes]]) -> bytes:
    """The first lines of a request."""
    lines = [f"{method} {path} HTTP/1.1".encode(), b"host: receiver"]
    for name, value in headers:
        lines.append(name.encode() + b": " + (value.encode() if isinstance(value, str) else value))
    return b"\r\n".join([*lines, b"", b""])


def sound(user_id: str, body: bytes, *more: tuple[str, str | bytes]) -> bytes:
    """A whole request that is to be taken."""
    headers = [("x-api-key", KEY), ("x-user-id", user_id), ("content-length", str(len(body)))]
    return head("POST", PATH, [*headers, *more]) + body


def chunked(user_id: str, *more: tuple[str, str | bytes]) -> bytes:
    """The first lines of a request whose body comes in chunks."""
    headers = [("x-api-key", KEY), ("x-user-id", user_id), ("transfer-encoding", "chunked")]
    return head("POST", PATH, [*headers, *more])


def read_reply(sock: socket.socket) -> Reply:
    """The next answer on a connection; only what belongs to it is read."""
    sock.settimeout(PATIENCE_S)
    first = b""
    while not first.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionResetError(first)
        first += byte
    status, *lines = first.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(int(headers["content-length"]) - len(body))
    return Reply(int(status.split()[1]), headers, body)


def a_deployment(folder: Path, **changed: Any) -> Settings:
    """Settings of a receiver with three keys."""
    given = {
        "data_dir": folder / "data",
        "api_key": KEY,
        "previous_api_key": OLD_KEY,
        "organisations": {"acme": {"api_key": ACME_KEY}},
        "webhook_events_per_second": 1_000_000,
    }
    return load_settings(**(given | changed))


@dataclass(frozen=True, slots=True)
class Served:
    """A receiver in a process of its own."""

    process: subprocess.Popen[str]
    sender: Sender

    def end(self) -> tuple[int, str]:
        """Ask it to end; its exit code, and what it wrote to stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, err


def command(folder: Path, *options: str) -> subprocess.Popen[str]:
    """`webhooks serve` as its own process in a folder of its own."""
    words = [sys.executable, "-m", "asleep_pipeline.cli", "--verbose", "webhooks", "serve"]
    return subprocess.Popen(
        [*words, "--json", "--port", "0", *options],
        cwd=folder,
        env={**os.environ, "ASLEEP_API_KEY": KEY, "ASLEEP_WEBHOOK_EVENTS_PER_SECOND": "1000000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _facts(process: subprocess.Popen[str]) -> Any:
    """What it says once it answers."""
    assert process.stdout
    said = ""
    while not said.endswith("}\n"):
        line = process.stdout.readline()
        assert line, process.communicate()
        said += line
    return json.loads(said)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Served]:
    """A receiver that answers."""
    process = command(folder, *options)
    try:
        url = _facts(process)["url"].removesuffix(PATH)
        settings = load_settings(data_dir=folder / "data", api_key=KEY)
        yield Served(process, Sender(url, settings))
    finally:
        process.kill()
        process.communicate()
