"""When each person goes to bed and gets up: a pure function of seed, person and date.

All of it is laid out so that nights never overlap and no date needs another one to be made first:
a main night of date D begins between 20:00 on D and 04:30 and ends before 12:00 on D + 1, naps lie
between 13:20 and 18:00, and a date on which the zone changes is spent travelling, without sleep.
Trips and illnesses belong to fixed blocks of weeks, drifts to points between which one interpolates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from random import Random
from zoneinfo import ZoneInfo

from asleep_pipeline.simulator.dice import chance, dice
from asleep_pipeline.simulator.people import Habits, Person

_TRIP_BLOCK_DAYS = 28
_ILLNESS_BLOCK_DAYS = 60
_DRIFT_BLOCK_DAYS = 45
_DESTINATIONS = (
    "Europe/Paris",
    "America/New_York",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Australia/Sydney",
    "America/Los_Angeles",
    "Asia/Dubai",
    "Pacific/Honolulu",
)
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Flavour(Enum):
    """What is special about a recording."""

    ORDINARY = "ordinary"
    TOO_SHORT = "too short"
    NEVER_SLEPT = "never slept"
    DEFECTIVE = "defective"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Slot:
    """One session as it was recorded, before any analysis.

    Attributes:
        person: Who slept.
        session_id: Digits of the start in UTC, and a suffix.
        start: UTC, whole seconds.
        end: UTC, whole seconds.
        timezone: IANA zone of the device when the session was created.
        visible_at: UTC; before it the API does not know the session (a late upload if after `start`).
        complete_at: UTC; when the analysis is finished.
        flavour: What is special about it.
        unexpected: Whether the app died, and the end was taken from the last chunk.
        ill: Whether the person was ill.
    """

    person: Person
    session_id: str
    start: datetime
    end: datetime
    timezone: str
    visible_at: datetime
    complete_at: datetime
    flavour: Flavour = Flavour.ORDINARY
    unexpected: bool = False
    ill: bool = False

    def __hash__(self) -> int:
        """Hash by the id alone, which is made for one start of one person."""
        return hash(self.session_id)

    @property
    def length_s(self) -> int:
        """Seconds from start to end."""
        return int((self.end - self.start).total_seconds())


@dataclass(frozen=True, slots=True)
class _Stay:
    """A stay in bed: wall-clock minutes after 12:00 on the date, its length, and a real delay.

    A delay is no wall time, since clocks may change between the two parts of a night.
    """

    start_min: float
    length_min: float
    flavour: Flavour = Flavour.ORDINARY
    delay_min: float = 0.0


@lru_cache(maxsize=1 << 17)
def slots_of_date(seed: int, person: Person, day: date) -> tuple[Slot, ...]:
    """Return the sessions that belong to a person's local date, in order of their start."""
    zone = zone_on(seed, person, day)
    travelling = zone != zone_on(seed, person, day - timedelta(days=1))
    if travelling or _forgot_to_stop(seed, person, day - timedelta(days=1)):
        return ()
    rng = dice(seed, person.user_id, day.toordinal())
    ill = is_ill(seed, person, day)
    return tuple(
        _slot(rng, person, day, zone, stay, ill=ill) for stay in _stays(rng, seed, person, day)
    )


def zone_on(seed: int, person: Person, day: date) -> str:
    """Return the zone a person is in on a date: home, or the destination of a trip."""
    block, offset = divmod(day.toordinal(), _TRIP_BLOCK_DAYS)
    days, destination = _trip(seed, person, block)
    return destination if offset in days else person.timezone


@lru_cache(maxsize=1 << 14)
def _trip(seed: int, person: Person, block: int) -> tuple[range, str]:
    """Return the days of a block that are spent away, often none, and where."""
    rng = dice(seed, person.user_id, "trip", block)
    goes, first = rng.random() < _habits(person).travels, rng.randint(3, 14)
    days = range(first, first + rng.randint(3, 11)) if goes else range(0)
    return days, rng.choice(_DESTINATIONS)


def is_ill(seed: int, person: Person, day: date) -> bool:
    """Say whether a person is ill on a date: a few days, about three times a year."""
    block, offset = divmod(day.toordinal(), _ILLNESS_BLOCK_DAYS)
    return offset in _illness(seed, person, block)


@lru_cache(maxsize=1 << 14)
def _illness(seed: int, person: Person, block: int) -> range:
    rng = dice(seed, person.user_id, "illness", block)
    falls_ill, first = rng.random() < 0.5, rng.randint(2, 45)  # noqa: PLR2004
    return range(first, first + rng.randint(3, 8)) if falls_ill else range(0)


def _forgot_to_stop(seed: int, person: Person, day: date) -> bool:
    return chance(seed, person.user_id, "forgot", day.toordinal()) < 0.0015  # noqa: PLR2004


def _drift_min(seed: int, person: Person, day: date) -> float:
    """Return the slow wandering of bedtimes and its yearly wave, in minutes."""
    block, offset = divmod(day.toordinal(), _DRIFT_BLOCK_DAYS)
    here, there = (chance(seed, person.user_id, "drift", b) - 0.5 for b in (block, block + 1))
    season = 8 * math.sin(2 * math.pi * day.timetuple().tm_yday / 365.25)
    return 80 * (here + (there - here) * offset / _DRIFT_BLOCK_DAYS) + season


def _habits(person: Person) -> Habits:
    assert person.habits is not None
    return person.habits


def _stays(rng: Random, seed: int, person: Person, day: date) -> Iterator[_Stay]:
    habits = _habits(person)
    ill = is_ill(seed, person, day)
    if rng.random() < (0.5 if ill else habits.nap):
        yield _nap(rng)
    if rng.random() < habits.missed:
        return
    night = _night(rng, seed, person, day)
    if _forgot_to_stop(seed, person, day):
        yield _Stay(night.start_min, 24 * 60 + rng.uniform(20, 90), Flavour.FORGOTTEN)
    elif rng.random() < habits.split:
        yield from _split(rng, night)
    elif rng.random() < 0.015:  # noqa: PLR2004 - started by mistake, and again
        yield _Stay(night.start_min, rng.uniform(0.5, 4.5), Flavour.TOO_SHORT)
        yield replace(night, delay_min=12)
    else:
        yield night


def _night(rng: Random, seed: int, person: Person, day: date) -> _Stay:
    habits = _habits(person)
    tomorrow_is_free = day.isoweekday() % 7 + 1 in person.free_days
    late = habits.free_delay_min if tomorrow_is_free else 0.0
    bedtime = habits.bedtime_min + _drift_min(seed, person, day) + late
    start = min(980.0, max(500.0, rng.gauss(bedtime, habits.irregularity_min)))
    need_min = person.sleep_need_s / 60 / 0.88
    rest = rng.gauss(need_min + (40 if tomorrow_is_free else -20), 35)
    rest += 60 if is_ill(seed, person, day) else 0
    flavour = _rare_flavour(rng)
    return _Stay(start, min(1435 - start, max(150.0, rest)), flavour)


def _rare_flavour(rng: Random) -> Flavour:
    draw = rng.random()
    if draw < 0.006:  # noqa: PLR2004
        return Flavour.DEFECTIVE
    return Flavour.NEVER_SLEPT if draw < 0.009 else Flavour.ORDINARY  # noqa: PLR2004


def _nap(rng: Random) -> _Stay:
    flavour = Flavour.NEVER_SLEPT if rng.random() < 0.1 else Flavour.ORDINARY  # noqa: PLR2004
    return _Stay(rng.uniform(80, 240), rng.uniform(16, 100), flavour)


def _split(rng: Random, night: _Stay) -> Iterator[_Stay]:
    first = night.length_min * rng.uniform(0.35, 0.65)
    gap = rng.uniform(5, 50)
    yield _Stay(night.start_min, first)
    rest = max(20.0, night.length_min - first - gap)
    yield _Stay(night.start_min, rest, delay_min=first + gap)


def _slot(rng: Random, person: Person, day: date, zone: str, stay: _Stay, *, ill: bool) -> Slot:
    noon = datetime.combine(day, time(12), ZoneInfo(zone))
    # Added as wall time: a bedtime is kept through a change to summer time.
    bedtime = (noon + timedelta(seconds=round(stay.start_min * 60))).astimezone(UTC)
    start = bedtime + timedelta(seconds=round(stay.delay_min * 60))
    unexpected = rng.random() < 0.012  # noqa: PLR2004
    length_s = round(stay.length_min * 60 * (rng.uniform(0.3, 0.95) if unexpected else 1))
    end = start + timedelta(seconds=length_s)
    visible_at = start
    if rng.random() < _habits(person).late_upload:
        visible_at = end + timedelta(seconds=round(rng.lognormvariate(math.log(9 * 3600), 1.3)))
    closed_at = max(end, visible_at)
    return Slot(
        person=person,
        session_id=make_session_id(rng, start),
        start=start,
        end=end,
        timezone=zone,
        visible_at=visible_at,
        complete_at=closed_at + timedelta(seconds=rng.randint(100, 540)),
        flavour=stay.flavour,
        unexpected=unexpected,
        ill=ill,
    )


def make_session_id(rng: Random, start: datetime) -> str:
    """Make an id in the API's shape: `YYYYMMDDhhmmss` of the UTC start, and five characters."""
    return f"{start:%Y%m%d%H%M%S}_{''.join(rng.choices(_ID_LETTERS, k=5))}"
