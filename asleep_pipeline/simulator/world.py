"""The world behind the API: who exists, and what each session looks like at this instant."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import msgspec

from asleep_pipeline.errors import UsageError
from asleep_pipeline.simulator.calendar import Slot
from asleep_pipeline.simulator.clock import Clock
from asleep_pipeline.simulator.corruption import corrupted
from asleep_pipeline.simulator.details import (
    Analysis,
    analyse,
    complete_result,
    last_session_info,
    list_row,
    state_at,
    unfinished_result,
)
from asleep_pipeline.simulator.dice import chance, dice
from asleep_pipeline.simulator.faults import Faults
from asleep_pipeline.simulator.nights import Night, provisional
from asleep_pipeline.simulator.options import SimulatorOptions
from asleep_pipeline.simulator.people import Person, make_person, make_user_id
from asleep_pipeline.simulator.recordings import RecordedSource
from asleep_pipeline.simulator.sources import SeededSource, Source

ROSTER_COLUMNS = (
    "user_id",
    "org_id",
    "timezone",
    "free_days",
    "sleep_need_s",
    "birth_year",
    "gender",
    "height_cm",
    "weight_kg",
)
_DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_USER_ID = re.compile(r"G-\d{14}-[A-Za-z]{20}")
_LATE_ANALYSIS = timedelta(minutes=5)
_CALLING_PEOPLE = 0.9
_CALLING_SESSIONS = 0.95


class World:
    """All people and sessions, as of the clock, with the faults that change content applied.

    Args:
        options: What the world is made from.
        clock: The simulator's clock.
        faults: Read at every question, never changed.
    """

    def __init__(self, options: SimulatorOptions, clock: Clock, faults: Faults) -> None:
        self._seed = options.seed
        self._clock = clock
        self._faults = faults
        self._source = _source(options, clock)
        self._known = {person.user_id: person for person in self._source.people}
        self._analysis = lru_cache(maxsize=4096)(self._analysed)
        self.forget_changes()

    def forget_changes(self) -> None:
        """Undo what clients did: created users, changed metadata, deletions, pages served."""
        self._created: dict[str, Person] = {}
        self._joined_at: dict[str, datetime] = {}
        self._metadata: dict[str, dict[str, Any] | None] = {}
        self._deleted_users: set[str] = set()
        self._deleted_sessions: set[str] = set()
        self._paged: set[str] = set()

    @property
    def people(self) -> list[Person]:
        """The people the world began with, in a fixed order."""
        return list(self._source.people)

    def person(self, user_id: str) -> Person:
        """Return one person.

        Raises:
            UsageError: nobody has that id, or not any more.
        """
        found = self.find_person(user_id)
        if found is None:
            raise UsageError(
                f"There is no user {user_id!r} in this world.", fix="Take an id from `people`."
            )
        return found

    def sessions(self, user_id: str, start: date, end: date) -> list[dict[str, Any]]:
        """Return the truth about the sessions that start on these dates in UTC, by start.

        Args:
            user_id: Whose.
            start: First start date, inclusive.
            end: Last start date, inclusive.

        Returns:
            Get-session `result`s in UTC, each with `user_id` and the two keys that only a list row
            has, `last_received_seq_num` and `time_in_bed`. Empty for a user who is gone.
        """
        person = self.find_person(user_id)
        slots = self.visible(person, UTC, start, end) if person else []
        return [self._truth(slot) for slot in slots]

    def _truth(self, slot: Slot) -> dict[str, Any]:
        row = self.row(slot, UTC)
        own = {name: row[name] for name in ("last_received_seq_num", "time_in_bed")}
        return self.result(slot, UTC, "UTC") | {"user_id": slot.person.user_id} | own

    def recording_of(self, session_id: str) -> str:
        """Return the id that a recording has in its file, for a session id of the API.

        Raises:
            UsageError: the world is made up, or no recording has that session id.
        """
        if isinstance(self._source, RecordedSource) and self._source.has(session_id):
            return self._source.recording_of(session_id)
        raise UsageError(
            f"Session {session_id!r} is no recording.", fix="Start the simulator with recordings."
        )

    def write_roster(self, path: Path) -> None:
        """Write the people as a roster file (CSV, UTF-8, with a header)."""
        with path.open("w", encoding="utf-8", newline="") as file:
            self.print_roster(file)

    def print_roster(self, file: TextIO) -> None:
        """Write the roster to an open text file."""
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(ROSTER_COLUMNS)
        for person in self._source.people:
            days = ",".join(_DAY_NAMES[day - 1] for day in person.free_days)
            values = {name: getattr(person, name) for name in ROSTER_COLUMNS}
            writer.writerow((values | {"free_days": days}).values())

    # What the server asks.

    def find_person(self, user_id: str) -> Person | None:
        """Return one person, or None for someone unknown or gone."""
        if user_id in self._deleted_users or user_id in self._faults.deleted_users:
            return None
        return self._known.get(user_id) or self._created.get(user_id)

    def is_user_id(self, text: str) -> bool:
        """Say whether a text could be a user id."""
        return text in self._known or _USER_ID.fullmatch(text) is not None

    def create_user(self, metadata: dict[str, Any] | None) -> str:
        """Add a user, whose nights begin now, and return the new id."""
        number, now = len(self._created), self._clock.now()
        user_id = make_user_id(dice(self._seed, "created", number), now)
        somebody = make_person(self._seed, len(self._known) + number, now.date())
        self._created[user_id] = replace(somebody, user_id=user_id, timezone="UTC")
        self._joined_at[user_id] = now
        self._metadata[user_id] = metadata
        return user_id

    def update_user(self, user_id: str, metadata: dict[str, Any] | None) -> None:
        """Replace a user's metadata."""
        self._metadata[user_id] = metadata

    def describe_user(self, person: Person) -> dict[str, Any]:
        """Return the get-user `result`."""
        return {
            "user_id": person.user_id,
            "to_be_deleted": person.user_id in self._faults.pending_users,
            "last_session_info": self._last_session(person),
            "metadata": self._metadata.get(person.user_id, person.metadata),
        }

    def _last_session(self, person: Person) -> dict[str, Any] | None:
        today = self._clock.now().date()
        first = self._source.first_date()
        # Nearly everybody has a session within two weeks; only then is the whole past looked at.
        for start in (max(first, today - timedelta(days=14)), first):
            slots = self.visible(person, UTC, start, today)
            if slots:
                return last_session_info(slots[-1], self.state(slots[-1]))
        return None

    def delete_user(self, user_id: str) -> None:
        """Remove a user and all sessions."""
        self._deleted_users.add(user_id)

    def delete_sessions(self, slots: list[Slot]) -> None:
        """Remove sessions."""
        self._deleted_sessions |= {slot.session_id for slot in slots}

    def visible(
        self, person: Person, zone: tzinfo, first: date | None, last: date | None
    ) -> list[Slot]:
        """Return the sessions known to the API now that start on these dates in `zone`, by start."""
        tomorrow = self._clock.now().date() + timedelta(days=1)
        first = first or self._source.first_date() - timedelta(days=1)
        last = min(last or tomorrow, tomorrow)
        return [
            slot
            for slot in self._arrived(person, first, last)
            if first <= slot.start.astimezone(zone).date() <= last
        ]

    def find_session(self, person: Person, session_id: str) -> Slot | None:
        """Return a session known to the API now, or None."""
        slot = self._source.slot(person, session_id)
        return self._as_known(slot) if slot else None

    def _arrived(self, person: Person, first: date, last: date) -> Iterator[Slot]:
        for slot in self._source.slots(person, first, last):
            known = self._as_known(slot)
            if known:
                yield known

    def _as_known(self, slot: Slot) -> Slot | None:
        slot = self._as_uploaded(slot)
        gone = (
            slot.visible_at > self._clock.now()
            or slot.start < self._joined_at.get(slot.person.user_id, slot.start)
            or self._is_deleted(slot)
            or self._hidden_by_paging(slot)
        )
        return None if gone else slot

    def _as_uploaded(self, slot: Slot) -> Slot:
        late = self._faults.late_uploads.get(slot.session_id)
        if late is None:
            return slot
        return replace(slot, visible_at=late, complete_at=late + _LATE_ANALYSIS)

    def _is_deleted(self, slot: Slot) -> bool:
        deleted = (self._deleted_sessions, self._faults.deleted_sessions)
        return any(slot.session_id in ids for ids in deleted)

    def _hidden_by_paging(self, slot: Slot) -> bool:
        paged = slot.person.user_id in self._paged
        share = self._faults.vanishing_share if paged else self._faults.appearing_share
        return self._hit(share, slot, "vanishing" if paged else "appearing")

    def _hit(self, share: float, slot: Slot, name: str) -> bool:
        return bool(share) and chance(self._seed, slot.session_id, name) < share

    def page_served(self, person: Person) -> None:
        """Note that a page of a user's list was sent: what waited for it happens now."""
        self._paged.add(person.user_id)

    def state(self, slot: Slot) -> str:
        """Return the state of a session now."""
        state = state_at(slot, self._clock.now())
        waits = state == "COMPLETE" and slot.person.user_id not in self._paged
        changing = waits and self._hit(self._faults.changing_share, slot, "changing")
        return "CLOSED" if changing else state

    def row(self, slot: Slot, zone: tzinfo) -> dict[str, Any]:
        """Return a session's row in list-sessions."""
        return list_row(slot, self.state(slot), zone)

    def result(self, slot: Slot, zone: tzinfo, zone_name: str) -> dict[str, Any]:
        """Return a session's get-session `result`, as of now."""
        state = self.state(slot)
        if state == "COMPLETE":
            return complete_result(slot, self.analysis(slot), zone, zone_name)
        night = self._source.night(slot, 0)
        elapsed_s = (self._clock.now() - slot.start).total_seconds()
        shown = provisional(self._seed, slot, night, elapsed_s)
        return unfinished_result(slot, state, shown, zone, zone_name)

    def detail(self, slot: Slot, zone: tzinfo, zone_name: str) -> bytes:
        """Return the whole get-session answer, broken if that was asked for."""
        body = msgspec.json.encode({"detail": "OK", "result": self.result(slot, zone, zone_name)})
        kind = self._faults.corrupted.get(slot.session_id)
        return corrupted(body, kind) if kind else body

    def analysis(self, slot: Slot) -> Analysis:
        """Return the final result of a complete session that holds now."""
        return self._analysis(slot, self._version(slot))

    def _analysed(self, slot: Slot, version: int) -> Analysis:
        return analyse(slot, self._source.night(slot, version))

    def _version(self, slot: Slot) -> int:
        at = self._recomputed_at(slot)
        return int(at is not None and at <= self._clock.now())

    def _recomputed_at(self, slot: Slot) -> datetime | None:
        at = self._faults.recomputed.get(slot.session_id)
        if at is None and self._hit(self._faults.recomputed_share, slot, "recomputed"):
            days = 1 + 5 * chance(self._seed, slot.session_id, "recomputed after")
            at = slot.complete_at + timedelta(days=days)
        return at

    # What the webhooks ask: of any instant, whatever the clock says.

    def calling_slots(self, person: Person, first: date, last: date) -> Iterator[Slot]:
        """Yield, by start, at least the sessions with a callback URL that start on these dates.

        The recording app gives the URL when it begins a session: most apps do, and these nearly always.
        """
        seed = self._seed
        if self.find_person(person.user_id) is None:
            return
        if chance(seed, person.user_id, "callback") >= _CALLING_PEOPLE:
            return
        for slot in self._source.slots(person, first, last):
            calls = chance(seed, slot.session_id, "callback") < _CALLING_SESSIONS
            if calls and not self._is_deleted(slot):
                yield self._as_uploaded(slot)

    def heard(self, slot: Slot) -> Night | None:
        """Return all that real-time polling shows of a session until its end; None below one block."""
        return provisional(self._seed, slot, self._source.night(slot, 0), slot.length_s)

    def completions(self, slot: Slot) -> list[tuple[datetime, int]]:
        """Return when each final result of a session is ready, and its version."""
        again = self._recomputed_at(slot)
        if again is None:
            return [(slot.complete_at, 0)]
        if again <= slot.complete_at:
            return [(slot.complete_at, 1)]
        return [(slot.complete_at, 0), (again, 1)]

    def final(self, slot: Slot, version: int) -> Analysis:
        """Return one final result of a session."""
        return self._analysis(slot, version)


def _source(options: SimulatorOptions, clock: Clock) -> Source:
    if options.recordings is None:
        return SeededSource(options)
    return RecordedSource(options.recordings, seed=options.seed, now=clock.now())
