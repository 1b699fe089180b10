"""From answers in the order of arrival to the present state of every session.

`sessions` is a fold over `raw`: one event after the other, the later commit wins, and within one
commit the later instant; a listing older than what is known of a session says nothing of it. A
listing says of every session that starts in its window what its list row is, or that it is gone; a
detail says what the session's numbers are. How the answers are cut into batches does not change the
outcome.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from asleep_pipeline.asleep import SessionItem
from asleep_pipeline.extract.plan import COMPLETE, list_hash

Key = tuple[str, str]
"""user_id, session_id"""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the newest listing says of a session."""

    item: SessionItem
    hash: str
    listed_at: datetime


@dataclass(frozen=True, slots=True)
class Detailed:
    """Which detail is the newest; its body is looked up when a row is built."""

    body_sha256: str
    fetched_at: datetime


@dataclass(slots=True)
class Entry:
    """The state of one session while its events are read."""

    org_id: str
    listed: Listed | None = None
    detailed: Detailed | None = None
    list_is_newer: bool = True
    is_gone: bool = False
    is_stored: bool = False
    is_changed: bool = False
    start_date: date | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the list row says that the session's numbers are final."""
        return self.listed is not None and self.listed.item.state == COMPLETE


@dataclass(frozen=True, slots=True)
class Listing:
    """All pages of one question about one user: a statement about a whole window.

    Attributes:
        session_ids: Every session that it names.
        items: The list rows that keep the contract.
    """

    org_id: str
    user_id: str
    window_start: date
    window_end: date
    listed_at: datetime
    session_ids: frozenset[str]
    items: tuple[SessionItem, ...]


@dataclass(frozen=True, slots=True)
class DetailAnswer:
    """The answer to one get-session.

    Attributes:
        start_date: UTC date on which the session starts, as its list row said.
        body_sha256: None when the session was not there.
    """

    org_id: str
    user_id: str
    session_id: str
    start_date: date
    body_sha256: str | None
    fetched_at: datetime


@dataclass(slots=True)
class Fold:
    """The sessions that some events speak of; begin with what is stored, then `read` in order."""

    entries: dict[str, dict[str, Entry]] = field(default_factory=lambda: defaultdict(dict))

    def remember(self, user_id: str, session_id: str, entry: Entry) -> None:
        """Begin with a session as it is stored."""
        self.entries[user_id][session_id] = entry

    def read(self, event: Listing | DetailAnswer) -> None:
        """Apply the next event."""
        if isinstance(event, Listing):
            self._read_listing(event)
        else:
            self._read_detail(event)

    def changed(self) -> Iterator[tuple[Key, Entry]]:
        """The sessions whose rows must be written anew or removed."""
        for user_id, sessions in self.entries.items():
            for session_id, entry in sessions.items():
                if entry.is_changed:
                    yield (user_id, session_id), entry

    def _read_listing(self, listing: Listing) -> None:
        sessions = self.entries[listing.user_id]
        for session_id, entry in sessions.items():
            start = _start_date(entry)
            if (
                session_id not in listing.session_ids
                and not _is_outdated(entry, listing.listed_at)
                and start is not None
                and listing.window_start <= start <= listing.window_end
            ):
                _forget(entry)
        for item in listing.items:
            entry = sessions.setdefault(item.session_id, Entry(listing.org_id))
            _list(entry, Listed(item, list_hash(item), listing.listed_at), listing.org_id)

    def _read_detail(self, answer: DetailAnswer) -> None:
        sessions = self.entries[answer.user_id]
        if answer.body_sha256 is None:
            if answer.session_id in sessions:
                _forget(sessions[answer.session_id])
            return
        entry = sessions.setdefault(
            answer.session_id, Entry(answer.org_id, start_date=answer.start_date)
        )
        stored = entry.detailed
        if stored is not None and stored.body_sha256 == answer.body_sha256 and not entry.is_gone:
            return
        entry.org_id = answer.org_id
        entry.detailed = Detailed(answer.body_sha256, answer.fetched_at)
        entry.list_is_newer, entry.is_gone, entry.is_changed = False, False, True


def _list(entry: Entry, listed: Listed, org_id: str) -> None:
    if entry.listed is not None and entry.listed.hash == listed.hash and not entry.is_gone:
        return
    if _is_outdated(entry, listed.listed_at):
        return
    entry.org_id = org_id
    entry.listed = listed
    entry.list_is_newer, entry.is_gone, entry.is_changed = True, False, True
    if not entry.is_complete:
        # The vendor took the session up again: the numbers we have are no longer its numbers.
        entry.detailed = None


def _is_outdated(entry: Entry, listed_at: datetime) -> bool:
    """Whether a newer listing has spoken of the session, though its answer was kept earlier."""
    return entry.listed is not None and entry.listed.listed_at > listed_at


def _forget(entry: Entry) -> None:
    if not entry.is_gone:
        entry.listed = entry.detailed = None
        entry.is_gone = entry.is_changed = True


def _start_date(entry: Entry) -> date | None:
    if entry.listed is not None:
        return entry.listed.item.session_start_time.astimezone(UTC).date()
    return None if entry.is_gone else entry.start_date
