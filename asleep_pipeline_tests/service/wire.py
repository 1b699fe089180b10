"""Bytes to a served API, and what comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

PATIENCE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Reply:
    """How the API answered.

    Attributes:
        is_whole: Whether all of the body came that was announced.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool

    @property
    def said(self) -> Any:
        """Its body, decoded."""
        return json.loads(self.body)


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """A connection to an address."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as sock:
        yield sock


def ask(
    url: str,
    method: str,
    path: str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Reply:
    """One request over a connection of its own, written as it is."""
    given = list(headers.items() if isinstance(headers, Mapping) else headers)
    names = {name.lower() for name, _ in given}
    if body and not names & {"content-length", "transfer-encoding"}:
        given.append(("content-length", str(len(body))))
    lines = [f"{method} {path} HTTP/1.1", "host: api", "connection: close"]
    lines += [f"{name}: {value}" for name, value in given]
    with connected(url) as sock:
        sock.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return read(sock, is_head=method == "HEAD")


def read(sock: socket.socket, *, is_head: bool = False) -> Reply:
    """The answer on a connection that ends with it."""
    text = b""
    while chunk := sock.recv(65_536):
        text += chunk
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body, is_whole = _joined(body)
    else:
        is_whole = is_head or len(body) == int(headers.get("content-length", 0))
    return Reply(int(first.split(" ")[1]), headers, body, is_whole)


def _joined(text: bytes) -> tuple[bytes, bool]:
    body = b""
    while text:
        size, _, rest = text.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body, True
        body, text = body + rest[:length], rest[length + 2 :]
    return body, False
