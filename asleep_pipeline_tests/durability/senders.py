"""Who sends events to a receiver, and remembers what it has acknowledged."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from asleep_pipeline_tests.vendor_answers import detail, list_item

KEY = "a-key-of-nobody"
USERS = 7
PATIENCE_S = 60
"""Longer than anything takes; only a failing test waits so long."""
_ANSWER_S = 30
_FIRST_START = datetime(2026, 1, 11, tzinfo=UTC)


def user_of(number: int) -> str:
    """The user of an event."""
    return f"user-{number % USERS}"


def body_of(number: int) -> bytes:
    """The body of an event, 1 KB or more: a block of a session, or each twentieth time a whole one."""
    return _session_complete(number) if is_session(number) else _inference_complete(number)


def is_session(number: int) -> bool:
    """Whether the event is the end of a session."""
    return number % 20 == 0


def session_of(number: int) -> tuple[str, str, datetime, int]:
    """What the event says of its session: user, id, start in UTC and seconds asleep."""
    start = _FIRST_START + timedelta(minutes=number)
    return user_of(number), f"{start:%Y%m%d%H%M%S}_{number:06}", start, 10_000 + number


def _session_complete(number: int) -> bytes:
    user_id, session_id, _, asleep_s = session_of(number)
    result = detail(list_item(session_id), stat={"time_in_sleep": asleep_s})
    return _v3("SESSION_COMPLETE", {"user_id": user_id} | result)


def _inference_complete(number: int) -> bytes:
    block = number % 350
    data = {
        "user_id": user_of(number),
        "session_id": f"20260110{number % USERS:06}_{number // 350:05}",
        "seq_num": 10 * block + 9,
        "inference_seq_num": block,
        "sleep_stages": [number % 4] * 10,
        "padding": f"{number:08}" * 100,
    }
    return _v3("INFERENCE_COMPLETE", data)


def _v3(name: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"event": name, "version": "V3", "data": data}).encode()


def post(url: str, number: int) -> int | None:
    """Send one event over a connection of its own; the status, None without an answer."""
    connection = _connection(url)
    try:
        return _post(connection, number)
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _connection(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    return HTTPConnection(parts.hostname or "", parts.port, timeout=_ANSWER_S)


def _post(connection: HTTPConnection, number: int) -> int:
    headers = {"x-api-key": KEY, "x-user-id": user_of(number), "content-type": "application/json"}
    connection.request("POST", "/webhooks/asleep", body_of(number), headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


class Senders:
    """Threads that send one event after the other, each until it is acknowledged.

    Args:
        threads: So many.
        on_acknowledged: Told the number of each event, before anything else happens.

    Attributes:
        acknowledged: Numbers of the events that were answered 200.
    """

    def __init__(
        self, threads: int, on_acknowledged: Callable[[int], None] = lambda _number: None
    ) -> None:
        self.acknowledged: set[int] = set()
        self._on_acknowledged = on_acknowledged
        self._numbers = iter(range(10**9))
        self._url: str | None = None
        self._is_over = False
        self._news = threading.Condition()
        self._threads = [threading.Thread(target=self._send) for _ in range(threads)]

    def to(self, url: str | None) -> None:
        """Send to this receiver from now on; to nobody when None."""
        with self._news:
            self._url = url
            self._news.notify_all()

    def wait_for(self, number: int) -> None:
        """Wait until so many events are acknowledged."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.acknowledged) >= number, PATIENCE_S)

    @contextmanager
    def sending(self) -> Iterator[Senders]:
        """Send in the block; what is under way at its end is still sent until acknowledged."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        except BaseException:
            self.to(None)
            raise
        finally:
            with self._news:
                self._is_over = True
                self._news.notify_all()
            for thread in self._threads:
                thread.join()

    def _send(self) -> None:
        while not self._is_over:
            with self._news:
                number = next(self._numbers)
            while (url := self._where()) and not self._is_sent(url, number):
                pass

    def _where(self) -> str | None:
        """Whom to send to, when there is somebody; None when it is over and there is nobody."""
        with self._news:
            assert self._news.wait_for(lambda: self._url or self._is_over, PATIENCE_S)
            return self._url

    def _is_sent(self, url: str, number: int) -> bool:
        is_sent = post(url, number) == HTTPStatus.OK
        if is_sent:
            self._on_acknowledged(number)
        with self._news:
            if is_sent:
                self.acknowledged.add(number)
            elif self._url == url:
                # It was killed, or has no room: the next one is waited for.
                self._news.wait(0.01)
            self._news.notify_all()
        return is_sent
