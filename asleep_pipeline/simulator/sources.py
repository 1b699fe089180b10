"""Where sessions come from: made up by seed, or read from recordings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Protocol

from asleep_pipeline.simulator.calendar import Slot, slots_of_date
from asleep_pipeline.simulator.nights import Night, listen
from asleep_pipeline.simulator.options import SimulatorOptions
from asleep_pipeline.simulator.people import Person, make_person


class Source(Protocol):
    """People and their sessions, before any clock or fault."""

    people: list[Person]

    def slots(self, person: Person, first: date, last: date) -> Iterator[Slot]:
        """Yield, by start, at least the sessions that start on these dates in any zone."""

    def slot(self, person: Person, session_id: str) -> Slot | None:
        """Return one session, or None where that id was never given out."""

    def night(self, slot: Slot, version: int) -> Night:
        """Return the series of a session; version 0 is the first analysis."""

    def first_date(self) -> date:
        """Return a date before which no session starts."""


class SeededSource:
    """A made-up population; nothing is made that is not asked for."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._seed = options.seed
        self._first = options.first_date
        self.people = [
            make_person(options.seed, index, options.first_date) for index in range(options.people)
        ]

    def slots(self, person: Person, first: date, last: date) -> Iterator[Slot]:
        """Yield, by start, at least the sessions that start on these dates in any zone."""
        day = max(first - timedelta(days=2), self._first)
        if person.habits is None:
            return
        while day <= last + timedelta(days=1):
            yield from slots_of_date(self._seed, person, day)
            day += timedelta(days=1)

    def slot(self, person: Person, session_id: str) -> Slot | None:
        """Return one session, or None where that id was never given out."""
        try:
            start = datetime.strptime(session_id[:8], "%Y%m%d").date()  # noqa: DTZ007 - a date
        except ValueError:
            return None
        around = self.slots(person, start, start)
        return next((slot for slot in around if slot.session_id == session_id), None)

    def night(self, slot: Slot, version: int) -> Night:
        """Return the series of a session; version 0 is the first analysis."""
        return listen(self._seed, slot, version)

    def first_date(self) -> date:
        """Return a date before which no session starts."""
        return self._first
