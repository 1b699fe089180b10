"""Real hypnograms served as sessions: one recording a session, its people as users."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from asleep_pipeline.errors import UsageError
from asleep_pipeline.simulator.calendar import Slot, make_session_id
from asleep_pipeline.simulator.dice import dice
from asleep_pipeline.simulator.nights import Night, revised
from asleep_pipeline.simulator.people import Person, Plan
from asleep_pipeline.simulator.statistics import EPOCH_S, packed

_COLUMNS = ("session_id", "user_id", "night_index", "start_time", "timezone", "sex", "age")
_PLAN = Plan(breathing=False, snoring=False)
_GENDERS = {"F": "female", "M": "male"}
# Nights without a date are laid around this noon before they are moved.
_SOME_NOON = datetime(2000, 1, 1, 12, tzinfo=UTC)
_DAY = timedelta(days=1)
_ANALYSIS = timedelta(minutes=5)
# Whoever moves a night through a change to summer time moves its instant by an hour.
_SETTLED = timedelta(hours=2)


class RecordedSource:
    """Recordings laid on a calendar.

    A row with a `start_time` keeps its wall time, the others start at a seeded bedtime in UTC, on
    consecutive nights by `night_index`. All nights of a person are moved by the same whole number of
    days, so that the last one ended within the last 26 hours: some recordings are decades old. A
    session lasts exactly 30 s times its epochs, so nothing of it is dropped.

    Args:
        path: Parquet file with `session_id`, `user_id`, `night_index`, `start_time`, `timezone`,
            `sex`, `age` and `sleep_stages` (-1 to 3).
        seed: Gives bedtimes and the suffixes of session ids.
        now: The clock when the calendar is laid out.

    Raises:
        UsageError: the file cannot be read, lacks a column, or is empty.
    """

    def __init__(self, path: Path, *, seed: int, now: datetime) -> None:
        rows = _rows(path)
        self.people = _people(rows, now)
        self._people = {person.user_id: person for person in self.people}
        self._nights: dict[str, Night] = {}
        self._original: dict[str, str] = {}
        self._slots: dict[str, list[Slot]] = {person.user_id: [] for person in self.people}
        moves = _moves(rows, seed, now)
        for row in rows:
            start = _start(row, seed) + moves[row["user_id"]]
            self._lay(row, start.astimezone(UTC), seed)
        for slots in self._slots.values():
            slots.sort(key=lambda slot: slot.start)

    def _lay(self, row: dict[str, Any], start: datetime, seed: int) -> None:
        stages = row["sleep_stages"]
        end = start + timedelta(seconds=EPOCH_S * len(stages))
        slot = Slot(
            person=self._people[row["user_id"]],
            session_id=make_session_id(dice(seed, row["session_id"]), start),
            start=start,
            end=end,
            timezone=row["timezone"] or "UTC",
            visible_at=start,
            complete_at=end + _ANALYSIS,
        )
        missing = round(stages.count(-1) / len(stages), 3)
        self._nights[slot.session_id] = Night(packed(stages), None, None, missing)
        self._original[slot.session_id] = row["session_id"]
        self._slots[row["user_id"]].append(slot)

    def slots(self, person: Person, first: date, last: date) -> Iterator[Slot]:
        """Yield, by start, at least the sessions that start on these dates in any zone."""
        margin = timedelta(days=1)
        for slot in self._slots.get(person.user_id, ()):
            if first - margin <= slot.start.date() <= last + margin:
                yield slot

    def slot(self, person: Person, session_id: str) -> Slot | None:
        """Return one session, or None where that id was never given out."""
        slots = self._slots.get(person.user_id, ())
        return next((slot for slot in slots if slot.session_id == session_id), None)

    def night(self, slot: Slot, version: int) -> Night:
        """Return the stages as recorded; later versions are made up from them."""
        night = self._nights[slot.session_id]
        stages = night.stages
        for number in range(1, version + 1):
            stages = revised(dice(0, slot.session_id, "version", number), stages)
        return Night(stages, None, None, night.missing_data_ratio)

    def first_date(self) -> date:
        """Return a date before which no session starts."""
        return min(slots[0].start.date() for slots in self._slots.values())

    def has(self, session_id: str) -> bool:
        """Say whether a session id of the API stands for a recording."""
        return session_id in self._original

    def recording_of(self, session_id: str) -> str:
        """Return the recording's own id for a session id of the API."""
        return self._original[session_id]


def _rows(path: Path) -> list[dict[str, Any]]:
    fix = f"Give a Parquet file with the columns {', '.join(_COLUMNS)} and sleep_stages."
    try:
        rows = pl.read_parquet(path, columns=[*_COLUMNS, "sleep_stages"]).to_dicts()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(
            f"The recordings {str(path)!r} cannot be read: {error}.", fix=fix
        ) from error
    if not rows:
        raise UsageError(f"The recordings {str(path)!r} have no row.", fix=fix)
    return rows


def _people(rows: list[dict[str, Any]], now: datetime) -> list[Person]:
    first_rows = {row["user_id"]: row for row in reversed(rows)}
    return [
        Person(
            user_id=user_id,
            timezone=row["timezone"] or "UTC",
            birth_year=row["age"] and now.year - row["age"],
            gender=_GENDERS.get(row["sex"]),
            plan=_PLAN,
        )
        for user_id, row in sorted(first_rows.items())
    ]


def _start(row: dict[str, Any], seed: int) -> datetime:
    """Return the start as recorded, in the recording's zone: adding days to it keeps the wall time."""
    if row["start_time"]:
        start = datetime.fromisoformat(row["start_time"])
        return start.astimezone(ZoneInfo(row["timezone"])) if row["timezone"] else start
    bedtime_s = dice(seed, row["session_id"], "bedtime").randint(9 * 3600, 12 * 3600 + 1800)
    return _SOME_NOON + timedelta(days=row["night_index"], seconds=bedtime_s)


def _moves(rows: list[dict[str, Any]], seed: int, now: datetime) -> dict[str, timedelta]:
    """Return the whole days between each person's recorded nights and the present."""
    ends: dict[str, datetime] = {}
    for row in rows:
        end = _start(row, seed) + timedelta(seconds=EPOCH_S * len(row["sleep_stages"]))
        ends[row["user_id"]] = max(ends.get(row["user_id"], end), end)
    return {user_id: (now - _SETTLED - end) // _DAY * _DAY for user_id, end in ends.items()}
