"""Which sessions are in progress and may be shown, and what changes of them; without any I/O."""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from asleep_pipeline.webhooks.channels import Change, Channel, Position
from asleep_pipeline.webhooks.live_sessions import Key, LiveSession, Seen, after
from asleep_pipeline.webhooks.live_table import Shown
from asleep_pipeline.webhooks.live_words import completed, gone, update

QUIET: Final = timedelta(hours=24)
"""A session without an event for so long is not shown any more."""


class Board:
    """All sessions in progress. One thread changes them; `shown`, `sessions` and `channel` are for any."""

    def __init__(self, org_of: Callable[[Key], str | None]) -> None:
        """Begin with none.

        Args:
            org_of: The organisation that may see a session; None when nobody may.
        """
        self.run = secrets.token_hex(4)
        """What tells the ids of changes from those of another process."""
        self._org_of = org_of
        self._sessions: dict[Key, LiveSession] = {}
        self._organisations: dict[Key, str] = {}
        self._finished: dict[Key, datetime] = {}
        self._channels: dict[str, Channel] = {}
        self._position = Position(0)
        self._pending: defaultdict[Channel, list[Change]] = defaultdict(list)
        self._lock = threading.Lock()

    @property
    def keys(self) -> Collection[Key]:
        """All sessions, those too that must not be shown."""
        return self._sessions.keys()

    @property
    def shown(self) -> list[Shown]:
        """What may be shown, complete sessions that are not published yet included.

        During the rotation of a key a session's events may come with two; the newest counts then.
        """
        newest: dict[tuple[str, str], Shown] = {}
        for key, org_id in list(self._organisations.items()):
            session = self._sessions.get(key)
            other = newest.get(key[1:])
            if session and (other is None or other.session.last_id < session.last_id):
                newest[key[1:]] = Shown(org_id, session)
        return list(newest.values())

    def sessions(self, org_id: str) -> list[LiveSession]:
        """The sessions of an organisation that are in progress, in the order of their keys."""
        owned = [shown.session for shown in self.shown if shown.org_id == org_id]
        in_progress = [session for session in owned if session.completed_at is None]
        return sorted(in_progress, key=lambda session: session.key)

    def channel(self, org_id: str) -> Channel:
        """The changes of an organisation's sessions, kept from the first call on."""
        with self._lock:
            if org_id not in self._channels:
                self._channels[org_id] = Channel(self._position)
            return self._channels[org_id]

    def take(self, events: Sequence[Seen]) -> bool:
        """Fold events in, in the order of their ids; say whether anything that is shown changed."""
        new = [seen for seen in events if seen.key not in self._finished]
        shown = [self._fold(seen) for seen in new]
        self._tell()
        return any(shown)

    def review(
        self, keys: Iterable[Key], finished: Collection[tuple[str, str]], now: datetime
    ) -> bool:
        """Show whom the roster has now, and drop what is over; say whether anything changed.

        Args:
            keys: Which sessions to look at.
            finished: Those that the published file has as complete, as user_id and session_id.
            now: The present, UTC.
        """
        changed = [
            self._judge(self._sessions[key], now, is_finished=key[1:] in finished) for key in keys
        ]
        self._finished = {k: at for k, at in self._finished.items() if at + 2 * QUIET > now}
        self._tell()
        return any(changed)

    def _fold(self, seen: Seen) -> bool:
        before = self._sessions.get(seen.key)
        session = self._sessions[seen.key] = after(before, seen)
        org_id = self._org_of(seen.key)
        if org_id:
            self._organisations[seen.key] = org_id
        # Whoever asks for a channel now finds the event in the sessions, or else in the channel.
        with self._lock:
            self._position = Position(seen.id)
            channel = self._channels.get(org_id or "")
        if channel and not (before and before.completed_at):
            if session.completed_at:
                self._note(channel, "completed", completed(session))
            else:
                self._note(channel, "update", update(session, seen.inference))
        return org_id is not None

    def _judge(self, session: LiveSession, now: datetime, *, is_finished: bool) -> bool:
        """Show a session, or do not, or to another organisation; say whether that is a change."""
        is_over = is_finished or session.last_event_at + QUIET <= now
        org_id = None if is_over else self._org_of(session.key)
        before = self._organisations.get(session.key)
        if is_finished:
            # An event that was late may still come for it.
            self._finished[session.key] = now
        if is_over:
            del self._sessions[session.key]
        if before == org_id:
            return False
        if before:
            del self._organisations[session.key]
            is_complete = is_finished or session.completed_at is not None
            self._announce(before, "completed" if is_complete else "gone", session)
        if org_id:
            self._organisations[session.key] = org_id
            self._announce(org_id, "update", session)
        return True

    def _announce(self, org_id: str, name: str, session: LiveSession) -> None:
        """Note a change that no event has brought, unless all was said of the session."""
        with self._lock:
            channel = self._channels.get(org_id)
            self._position = Position(self._position.event, self._position.change + 1)
        if channel and session.completed_at is None:
            self._note(channel, name, _WORDS[name](session))

    def _note(self, channel: Channel, name: str, data: bytes) -> None:
        self._pending[channel].append(Change(self._position, name, data))

    def _tell(self) -> None:
        for channel, changes in self._pending.items():
            channel.put(changes)
        self._pending.clear()


_WORDS: Final[dict[str, Callable[[LiveSession], bytes]]] = {
    "update": update,
    "completed": completed,
    "gone": gone,
}
