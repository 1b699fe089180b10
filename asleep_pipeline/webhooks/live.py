"""Follows the inbox and shows the sessions in progress: as `live_sessions` and to streams.

One thread reads what the inbox takes in, lets a `Board` fold it into sessions and tell the streams,
and publishes the DuckDB file. It never writes to the inbox, so what accepts events does not wait
for it.

A publication writes all sessions anew, about 30 ms a thousand of them by the end of a night. It is
repeated no sooner than after ten times the work of the last one: a tenth of a processor at most.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import duckdb
import structlog

from asleep_pipeline.asleep.errors import UnreadableAnswer
from asleep_pipeline.asleep.events import INFERENCE_COMPLETE, SESSION_COMPLETE, read_inference
from asleep_pipeline.errors import AsleepPipelineError
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse.files import file_key
from asleep_pipeline.webhooks.envelopes import Addressed, opened_bodies
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.live_board import Board
from asleep_pipeline.webhooks.live_roster import Finished, LiveRoster
from asleep_pipeline.webhooks.live_sessions import MOST_EPOCHS, Key, Seen
from asleep_pipeline.webhooks.live_table import publish_live
from asleep_pipeline.webhooks.storage import from_micros, micros

log = structlog.get_logger(__name__)

FOLLOWED: Final = timedelta(hours=48)
"""Events of so long are read at the start: what is still shown can have no older ones."""

_POLL_S: Final = 0.2
_PUBLISHED_S: Final = 1.0
_LOOKED_S: Final = 1.0
_FORGOTTEN_S: Final = 60.0
_SHARE: Final = 0.1
_EVENTS: Final = 200
"""That are read at a time: some ms, in which the event loop cannot run."""
_BREATH_S: Final = 0.001
_TROUBLE_S: Final = 5.0

_Row: TypeAlias = tuple[int, str, str, str, str | None, int, bytes | None]


@dataclass(frozen=True, slots=True)
class Counts:
    """What has been followed so far.

    Attributes:
        events: Events of sessions that were read.
        unreadable: Those of them that say nothing that can be used; they are skipped.
        published_at: When the sessions were last published, UTC; None before.
    """

    events: int = 0
    unreadable: int = 0
    published_at: datetime | None = None


class Live:
    """The sessions in progress of one deployment, followed by a thread.

    Attributes:
        board: The sessions, and the changes of them.
        caught_up: Set once all that was in the inbox at the start has been read.
        counts: What has been followed so far.
    """

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Prepare to follow.

        Args:
            settings: Where the inbox, the lake and the published files are.
            clock: The present, UTC.

        Raises:
            InboxError: The inbox cannot be made or opened.
        """
        self._settings, self._clock = settings, clock
        self._inbox = Inbox.create(settings.inbox_path)
        self._roster = LiveRoster(settings)
        self._finished = Finished(settings.warehouse_path)
        self.board = Board(self._roster.org_of)
        self.caught_up = threading.Event()
        self.counts = Counts()
        self._place = 0
        self._asked: set[Key] = set()
        # At the start too, so that there is a file to ask as soon as anything runs.
        self._is_changed = True
        self._is_blind = False
        self._has_news = False
        self._published_by: str | None = None
        self._publication = _Pace(_PUBLISHED_S)
        self._looking, self._forgetting = _Pace(_LOOKED_S), _Pace(_FORGOTTEN_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-sessions", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 -- a thread that ended would go unnoticed
                _warn(error)
                self._stop.wait(_TROUBLE_S)

    def _follow(self) -> None:
        """Until the end, or until something fails; nothing that was read is lost then."""
        with self._inbox.connection() as con:
            self._place = max(self._place, _place_of(con, self._clock() - FOLLOWED))
            while not self._stop.is_set():
                rows = con.execute(_SELECT, [self._place, _EVENTS]).fetchall()
                self._take(rows)
                is_all = len(rows) < _EVENTS
                self._look_if_possible(is_first=is_all and not self.caught_up.is_set())
                if is_all:
                    self.caught_up.set()
                self._publish()
                self._stop.wait(_POLL_S if is_all else _BREATH_S)

    def _take(self, rows: Sequence[_Row]) -> None:
        ours = [row for row in rows if row[-1] is not None]
        bodies = opened_bodies(
            self._inbox.keys, (Addressed(*row[2:5], row[1], row[-1]) for row in ours)
        )
        opened = [(*row[:-1], body) for row, body in zip(ours, bodies, strict=True)]
        seen = [event for event in map(_seen, opened) if event]
        self._is_changed |= self.board.take(seen)
        if rows:
            self._place = rows[-1][0]
            self.counts = replace(
                self.counts,
                events=self.counts.events + len(ours),
                unreadable=self.counts.unreadable + len(ours) - len(seen),
            )

    def _look_if_possible(self, *, is_first: bool) -> None:
        """Go on with what is known while the lake or the published file cannot be read."""
        try:
            self._look_around(is_first=is_first)
            self._is_blind = False
        except (AsleepPipelineError, duckdb.Error) as error:
            if not self._is_blind:
                _warn(error)
            self._is_blind = True

    def _look_around(self, *, is_first: bool) -> None:
        """Ask whose the new sessions are; ask of all when the roster or the published file changed."""
        if not (self._looking.is_due or is_first):
            return
        with self._looking.measured():
            keys = set(self.board.keys)
            new = keys - self._asked
            # Kept until it has been seen to, should something fail meanwhile.
            self._has_news |= self._roster.refresh({user_id for _, user_id, _ in keys})
            self._has_news |= self._finished.is_new() or self._forgetting.is_due
            self._roster.look_up({user_id for _, user_id, _ in new})
            asked = keys if self._has_news else new
            finished = self._finished.among(asked)
            with self._forgetting.measured() if self._has_news else nullcontext():
                self._is_changed |= self.board.review(asked, finished, self._clock())
            self._asked, self._has_news = keys, False
            self._is_changed |= file_key(self._settings.live_path) != self._published_by

    def _publish(self) -> None:
        if self._is_changed and self.caught_up.is_set() and self._publication.is_due:
            with self._publication.measured():
                self._published_by = publish_live(self._settings.live_path, self.board.shown)
            self._is_changed = False
            self.counts = replace(self.counts, published_at=self._clock())


def _warn(error: Exception) -> None:
    # The words of other errors may be a user's.
    problem = error.problem if isinstance(error, AsleepPipelineError) else ""
    log.warning("live_sessions_in_trouble", kind=type(error).__name__, problem=problem)


class _Pace:
    """How often something is done: no sooner than said, and for a tenth of a processor at most."""

    def __init__(self, soonest_s: float) -> None:
        self._soonest_s, self._next = soonest_s, 0.0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    @contextmanager
    def measured(self) -> Iterator[None]:
        # What counts is the thread's own work: waiting on a busy machine costs nobody anything.
        began, worked = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            cost = time.thread_time() - worked
            self._next = began + max(self._soonest_s, cost / _SHARE)


_SELECT: Final = f"""
SELECT
    id, name, key_name, user_id, session_id, received_at,
    CASE WHEN name IN ('{INFERENCE_COMPLETE}', '{SESSION_COMPLETE}') THEN body END
FROM event WHERE id > ? ORDER BY id LIMIT ?
"""


def _seen(row: _Row) -> Seen | None:
    """What an event says of a session; None when it says nothing that can be used."""
    number, name, key_name, user_id, session_id, received_at, body = row
    if not session_id or body is None:
        return None
    try:
        inference = read_inference(body) if name == INFERENCE_COMPLETE else None
    except UnreadableAnswer:
        return None
    if inference and inference.last_epoch >= MOST_EPOCHS:
        return None
    return Seen(number, (key_name, user_id, session_id), from_micros(received_at), inference)


def _place_of(con: sqlite3.Connection, moment: datetime) -> int:
    """The id before the first event that came at a moment or later.

    Ids follow the arrivals, so halving finds it; a scan would read every body.
    """
    low, high = con.execute(
        "SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM event"
    ).fetchone()
    while low <= high:
        middle = (low + high) // 2
        number, received_at = con.execute(
            "SELECT id, received_at FROM event WHERE id >= ? ORDER BY id LIMIT 1", [middle]
        ).fetchone()
        if received_at < micros(moment):
            low = number + 1
        else:
            high = middle - 1
    return int(low) - 1
