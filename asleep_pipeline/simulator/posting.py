"""Posting webhooks, with patience for a receiver that fails."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import uniform
from threading import Event as Signal
from urllib.parse import SplitResult, urlsplit

from asleep_pipeline.errors import UsageError
from asleep_pipeline.loopback import is_loopback

_ANSWER_S = 30
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """How a receiver answered.

    Attributes:
        status: HTTP status; None when no answer came.
        body: Its body; empty when no answer came.
        tries: How often it was sent.
    """

    status: int | None
    body: bytes
    tries: int = 1


def is_answered(status: int | None) -> bool:
    """Say whether a status is an answer, whatever it says: no 5xx, after which one sends again."""
    return status is not None and status < _SERVER_ERROR


def is_on_this_machine(url: str) -> bool:
    """Say whether a URL leads to this computer."""
    return is_loopback(_read(url).hostname or "")


class Poster:
    """Posts JSON to one URL over one connection, which it keeps; redirects are not followed.

    What is answered by a 5xx or not at all is sent again after 0.1 s, 0.2 s and so on up to 5 s. Asleep's
    own habits are unknown. After it has lost patience it sends once each, until something is answered.

    Args:
        url: Where to, `http` or `https`.
        patience_s: Seconds after which it is given up.
        stopping: Ends all waits when set.

    Raises:
        UsageError: It is no such URL.
    """

    def __init__(self, url: str, *, patience_s: float, stopping: Signal | None = None) -> None:
        self._url = _read(url)
        self._patience_s = patience_s
        self._stopping = stopping or Signal()
        self._is_heard = True
        kind = _CONNECTIONS[self._url.scheme]
        self._connection = kind(self._url.hostname or "", self._url.port, timeout=_ANSWER_S)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body until it is answered or the patience is lost."""
        gives_up_at = time.monotonic() + (self._patience_s if self._is_heard else 0)
        wait_s = _FIRST_WAIT_S
        answer = self._post_once(body, headers, 1)
        while not is_answered(answer.status) and time.monotonic() + wait_s < gives_up_at:
            if self._stopping.wait(wait_s * uniform(0.8, 1.2)):
                break
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            answer = self._post_once(body, headers, answer.tries + 1)
        self._is_heard = is_answered(answer.status)
        return answer

    def _post_once(self, body: bytes, headers: Mapping[str, str], tries: int) -> Answer:
        try:
            sent = {name: value.encode() for name, value in headers.items()}
            self._connection.request("POST", self._path, body, sent)
            response = self._connection.getresponse()
            return Answer(response.status, response.read(), tries)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer(None, b"", tries)

    @property
    def _path(self) -> str:
        path = self._url.path or "/"
        return f"{path}?{self._url.query}" if self._url.query else path


_CONNECTIONS: dict[str, type[http.client.HTTPConnection]] = {
    "http": http.client.HTTPConnection,
    "https": http.client.HTTPSConnection,
}


def _read(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_plain = not (parts.username or parts.password)
        if parts.hostname and parts.scheme in _CONNECTIONS and parts.port != 0 and is_plain:
            return parts
    except ValueError:
        pass
    raise UsageError(
        f"{url!r} is no address of a receiver.",
        fix="Give one such as http://127.0.0.1:8710/webhooks/asleep.",
    )
