"""From answers in the order of arrival to the present state of every session.

`sessions` is a fold over `raw`: one event after the other. A listing says of every session that
starts in its window what its list row is, or that it is gone; a detail says what the session's
numbers are, whether the API was asked for it or a webhook brought it. What is older than what is
known of a session says nothing: a listing against a newer listing, a detail against a newer detail
or a newer listing that took the session up again, an omission or a 404 against anything newer. How
the answers are cut into batches does not change the outcome.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from asleep_pipeline.asleep import SessionItem
from asleep_pipeline.extract.plan import COMPLETE, is_detail_of, list_hash

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
    """The state of one session while its events are read.

    Attributes:
        pushed_at: When the first webhook came that says it is complete.
        stored_date: Partition of its row as it is stored; None without a row.
        start_date: UTC date on which it starts, by its detail.
    """

    org_id: str
    listed: Listed | None = None
    detailed: Detailed | None = None
    pushed_at: datetime | None = None
    is_gone: bool = False
    is_changed: bool = False
    stored_date: date | None = None
    start_date: date | None = None

    @property
    def is_stored(self) -> bool:
        """Whether there is a row of it."""
        return self.stored_date is not None

    @property
    def starts_on(self) -> date | None:
        """UTC date on which it starts; None when nothing is known of it any more."""
        if self.listed is not None:
            return self.listed.item.session_start_time.astimezone(UTC).date()
        return None if self.is_gone else self.start_date

    @property
    def is_complete(self) -> bool:
        """Whether the list row says that the session's numbers are final."""
        return self.listed is not None and self.listed.item.state == COMPLETE

    @property
    def list_is_newer(self) -> bool:
        """Whether the list row has been read after the detail."""
        if self.listed is None or self.detailed is None:
            return self.detailed is None
        return self.listed.listed_at > self.detailed.fetched_at


@dataclass(frozen=True, slots=True)
class Listing:
    """All pages of one question about one user: a statement about a whole window.

    Attributes:
        session_ids: Every session that it names.
        items: The list rows that keep the contract.
        is_news: False for one that said what was known already, and was not kept: it names nothing
            here, and says of what was not known then that it was not there.
    """

    org_id: str
    user_id: str
    window_start: date
    window_end: date
    listed_at: datetime
    session_ids: frozenset[str] = frozenset()
    items: tuple[SessionItem, ...] = ()
    is_news: bool = True

    def lacks(self, session_id: str, start: date | None) -> bool:
        """Whether it would name a session that starts then, and does not."""
        return (
            session_id not in self.session_ids
            and start is not None
            and self.window_start <= start <= self.window_end
        )


@dataclass(frozen=True, slots=True)
class DetailAnswer:
    """What a session's numbers are: the answer to one get-session, or a webhook.

    Attributes:
        start_date: UTC date on which the session starts, as its list row or the webhook said.
        body_sha256: None when the session was not there.
        fetched_at: When it was answered, or arrived.
        list_hash: The list row that made us ask; None when a webhook did, or is what came.
        session_state: The state that it reports.
        is_pushed: Whether it is a webhook itself.
    """

    org_id: str
    user_id: str
    session_id: str
    start_date: date
    body_sha256: str | None
    fetched_at: datetime
    list_hash: str | None = None
    session_state: str | None = None
    is_pushed: bool = False

    @property
    def key(self) -> Key:
        """Which session."""
        return self.user_id, self.session_id

    @property
    def is_unasked(self) -> bool:
        """Whether it came by itself, or was asked for because one did: it may be an old story."""
        return self.list_hash is None

    def is_of(self, listed: Listed) -> bool:
        """Whether it is what there is to say of a list row."""
        return is_detail_of(
            listed.item, listed.hash, self.list_hash, self.session_state, self.fetched_at
        )


@dataclass(slots=True)
class Fold:
    """The sessions that some events speak of; begin with what is stored, then `read` in order.

    Attributes:
        entries: The sessions, by user and id.
        settled: Details that came before these events, of sessions that may come back without one.
        lacking: Sessions that were listed as COMPLETE while no detail of them was known, and of
            which `settled` says nothing.
    """

    entries: dict[str, dict[str, Entry]] = field(default_factory=lambda: defaultdict(dict))
    settled: Mapping[Key, list[DetailAnswer]] = field(default_factory=dict)
    lacking: set[Key] = field(default_factory=set)
    _listings: dict[str, list[Listing]] = field(default_factory=lambda: defaultdict(list))
    _read_at: dict[Key, datetime] = field(default_factory=dict)
    _vanished_at: dict[Key, datetime] = field(default_factory=dict)

    def remember(self, user_id: str, session_id: str, entry: Entry) -> None:
        """Begin with a session as it is stored."""
        self.entries[user_id][session_id] = entry

    def recall(self, said: Listing | DetailAnswer) -> None:
        """Begin with what an earlier answer said, against details that are older than it."""
        if isinstance(said, Listing):
            self._listings[said.user_id].append(said)
            return
        moments = self._vanished_at if said.body_sha256 is None else self._read_at
        moments[said.key] = max(moments.get(said.key, said.fetched_at), said.fetched_at)

    def read(self, event: Listing | DetailAnswer) -> None:
        """Apply the next event."""
        if isinstance(event, Listing):
            self._read_listing(event)
        elif event.body_sha256 is None:
            self._read_vanished(event)
        else:
            self._read_detail(event, event.body_sha256)
        self.recall(event)

    def changed(self) -> Iterator[tuple[Key, Entry]]:
        """The sessions whose rows must be written anew or removed."""
        for user_id, sessions in self.entries.items():
            for session_id, entry in sessions.items():
                if entry.is_changed:
                    yield (user_id, session_id), entry

    def _read_listing(self, listing: Listing) -> None:
        if not listing.is_news:
            return
        sessions = self.entries[listing.user_id]
        for session_id, entry in sessions.items():
            if listing.lacks(session_id, entry.starts_on) and not _is_known_after(
                entry, listing.listed_at
            ):
                _forget(entry)
        for item in listing.items:
            entry = sessions.setdefault(item.session_id, Entry(listing.org_id))
            if _list(entry, Listed(item, list_hash(item), listing.listed_at), listing.org_id):
                self._settle((listing.user_id, item.session_id), entry)

    def _settle(self, key: Key, entry: Entry) -> None:
        """Give a session that comes back the detail that is not asked for again."""
        if entry.listed is None or entry.detailed is not None or not entry.is_complete:
            return
        if key not in self.settled:
            self.lacking.add(key)
        details = [
            Detailed(said.body_sha256, said.fetched_at)
            for said in self.settled.get(key, ())
            if said.body_sha256 is not None and said.is_of(entry.listed)
        ]
        if details:
            entry.detailed = max(details, key=lambda detailed: detailed.fetched_at)

    def _read_vanished(self, answer: DetailAnswer) -> None:
        entry = self.entries[answer.user_id].get(answer.session_id)
        if entry is not None and not _is_known_after(entry, answer.fetched_at):
            _forget(entry)

    def _read_detail(self, answer: DetailAnswer, body_sha256: str) -> None:
        if answer.key in self.settled:
            self.settled[answer.key].append(answer)
        sessions = self.entries[answer.user_id]
        entry = sessions.get(answer.session_id)
        if entry is not None and answer.is_pushed:
            _note_push(entry, answer.fetched_at)
        if (entry is None or entry.is_gone) and self._was_absent_after(answer):
            return
        if entry is None:
            pushed_at = answer.fetched_at if answer.is_pushed else None
            entry = sessions[answer.session_id] = Entry(answer.org_id, pushed_at=pushed_at)
        if not self._was_read_after(answer) and not _is_outdated(
            entry, body_sha256, answer.fetched_at
        ):
            entry.org_id, entry.start_date = answer.org_id, answer.start_date
            entry.detailed = Detailed(body_sha256, answer.fetched_at)
            entry.is_gone, entry.is_changed = False, True

    def _was_absent_after(self, answer: DetailAnswer) -> bool:
        """Whether the API has said since that there is no such session.

        A detail for which a list row made us ask was there after that listing; one that came by
        itself may have waited in the inbox for long.
        """
        if not answer.is_unasked:
            return False
        vanished_at = self._vanished_at.get(answer.key)
        return (vanished_at is not None and vanished_at > answer.fetched_at) or any(
            listing.listed_at > answer.fetched_at
            and listing.lacks(answer.session_id, answer.start_date)
            for listing in self._listings[answer.user_id]
        )

    def _was_read_after(self, answer: DetailAnswer) -> bool:
        """Whether a detail has been read since; one that said what was known left no trace."""
        read_at = self._read_at.get(answer.key)
        return answer.is_unasked and read_at is not None and read_at > answer.fetched_at


def _list(entry: Entry, listed: Listed, org_id: str) -> bool:
    """Take over a list row; says whether it was news."""
    if entry.listed is not None and (
        entry.listed.listed_at > listed.listed_at
        or (entry.listed.hash == listed.hash and not entry.is_gone)
    ):
        return False
    entry.org_id = org_id
    entry.listed = listed
    entry.is_gone, entry.is_changed = False, True
    if not entry.is_complete and entry.list_is_newer:
        # The vendor took the session up again: the numbers we have are no longer its numbers.
        entry.detailed = None
    return True


def _is_outdated(entry: Entry, body_sha256: str, fetched_at: datetime) -> bool:
    """Whether a detail of a session says nothing beside what is known of it."""
    known, listed = entry.detailed, entry.listed
    if known is not None and not entry.is_gone:
        return known.body_sha256 == body_sha256 or known.fetched_at > fetched_at
    return listed is not None and not entry.is_complete and listed.listed_at > fetched_at


def _is_known_after(entry: Entry, moment: datetime) -> bool:
    """Whether something newer has spoken of the session, though its answer was kept earlier."""
    listed, detailed = entry.listed, entry.detailed
    return (listed is not None and listed.listed_at > moment) or (
        detailed is not None and detailed.fetched_at > moment
    )


def _note_push(entry: Entry, arrived_at: datetime) -> None:
    if entry.pushed_at is None or arrived_at < entry.pushed_at:
        entry.pushed_at = arrived_at
        entry.is_changed = True


def _forget(entry: Entry) -> None:
    if not entry.is_gone:
        entry.listed = entry.detailed = None
        entry.is_gone = entry.is_changed = True
