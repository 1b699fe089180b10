"""A receiver that keeps what it gets, and answers as a test wants."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        """Its body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass(slots=True)
class Receiver:
    """What came, and the statuses of the next answers; 200 when there are none."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    statuses: deque[int] = field(default_factory=deque)
    on_request: Callable[[Got], object] = lambda _: None
    changed: Condition = field(default_factory=Condition)

    def wait(self, seconds: float) -> None:
        """Wait for a request, so long at most."""
        with self.changed:
            self.changed.wait(seconds)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen on a free port during the block."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer of two parts would wait for the sender's acknowledgement of the first.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got = Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            receiver.on_request(got)
            with receiver.changed:
                status = receiver.statuses.popleft() if receiver.statuses else 200
                receiver.got.append(got)
                receiver.changed.notify_all()
            self._answer(status)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()
