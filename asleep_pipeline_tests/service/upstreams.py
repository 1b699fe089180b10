"""A server in Asleep's place that answers as a test says, byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

Answering = Callable[[socket.socket], None]

_HEAD_END: Final = b"\r\n\r\n"


@dataclass
class Upstream:
    """Keeps what it was asked.

    Attributes:
        base_url: Where it answers.
        answering: Writes the answer once the head of a request is there.
        heads: The heads of all requests, as they came.
    """

    base_url: str
    answering: Answering
    heads: list[bytes] = field(default_factory=list)

    @property
    def last(self) -> dict[str, str]:
        """The headers of the last request, lower case."""
        lines = self.heads[-1].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def line(self) -> str:
        """The first line of the last request."""
        return self.heads[-1].decode().split("\r\n")[0]


def whole(status: str, body: bytes = b"", *headers: str) -> Answering:
    """An answer that is as it should be."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return lambda sock: sock.sendall("\r\n".join(lines).encode() + _HEAD_END + body)


@contextmanager
def upstream(answering: Answering) -> Iterator[Upstream]:
    """A server that takes one request a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}", answering)
        threads: list[threading.Thread] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threads.append(threading.Thread(target=_answer, args=(made, sock)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def _answer(made: Upstream, sock: socket.socket) -> None:
    with sock, suppress(OSError):
        sock.settimeout(20)
        head = b""
        while not head.endswith(_HEAD_END):
            byte = sock.recv(1)
            if not byte:
                return
            head += byte
        made.heads.append(head.removesuffix(_HEAD_END))
        made.answering(sock)
