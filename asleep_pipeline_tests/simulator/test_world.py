"""The population: the same from the same seed, and believable."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.errors import UsageError
from asleep_pipeline.roster import read_roster
from asleep_pipeline.simulator import Clock, Faults, SimulatorOptions, World

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
YEAR = (date(2025, 5, 1), date(2026, 4, 30))


def make_world(people: int = 8, seed: int = 7, now: datetime = NOON) -> World:
    """Make a world without a server."""
    options = SimulatorOptions(people=people, seed=seed, now=now)
    return World(options, Clock(now), Faults())


WORLD = make_world(24)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 7), st.integers(0, 200), st.integers(0, 30), st.integers(0, 30))
def test_a_range_is_the_sum_of_its_parts(who: int, offset: int, first: int, second: int) -> None:
    """Whichever dates are asked for, and in whichever order, the sessions are the same."""
    start = date(2025, 6, 1) + timedelta(days=offset)
    middle = start + timedelta(days=first)
    end = middle + timedelta(days=1 + second)
    world, again = make_world(), make_world()
    user_id = world.people[who].user_id
    late_part = again.sessions(user_id, middle + timedelta(days=1), end)
    early_part = again.sessions(user_id, start, middle)
    assert world.sessions(user_id, start, end) == early_part + late_part


def test_a_person_is_the_same_in_a_smaller_world() -> None:
    """People are made one by one from the seed."""
    assert make_world(3).people == make_world(8).people[:3]


def test_another_seed_is_another_world() -> None:
    """No id is shared."""
    ids = {person.user_id for person in make_world(seed=1).people}
    assert not ids & {person.user_id for person in make_world(seed=2).people}


def test_sessions_never_overlap() -> None:
    """Nobody sleeps twice at once, not even when travelling or through a change of clocks."""
    for person in WORLD.people:
        slots = WORLD.visible(person, UTC, *YEAR)
        for earlier, later in pairwise(slots):
            assert earlier.end <= later.start, (earlier.session_id, later.session_id)


def test_ids_are_unique_and_carry_the_utc_start() -> None:
    """The digits of an id are the start, whatever the zone."""
    slots = [slot for person in WORLD.people for slot in WORLD.visible(person, UTC, *YEAR)]
    assert len({slot.session_id for slot in slots}) == len(slots)
    assert all(slot.session_id[:14] == f"{slot.start:%Y%m%d%H%M%S}" for slot in slots)


def test_every_listed_session_is_found_by_its_id() -> None:
    """A session needs no list before it can be read."""
    for person in WORLD.people[:4]:
        for slot in WORLD.visible(person, UTC, *YEAR):
            assert make_world(24).find_session(person, slot.session_id) == slot


def test_arrays_hold_whole_blocks() -> None:
    """Every series has the same length, a multiple of ten epochs, at most the time in bed."""
    for person in WORLD.people[:8]:
        for truth in WORLD.sessions(person.user_id, *YEAR):
            stages = truth["session"]["sleep_stages"] or []
            assert len(stages) == truth["time_in_bed"] // 300 * 10
            others = (truth["session"]["breath_stages"], truth["session"]["snoring_stages"])
            assert all(not series or len(series) == len(stages) for series in others)


def test_every_peculiarity_occurs() -> None:
    """A year of 24 people shows all that the contract lists, by the right nulls."""
    seen: Counter[str] = Counter()
    for person in WORLD.people:
        for truth in WORLD.sessions(person.user_id, *YEAR):
            for name in truth["peculiarities"]:
                seen[name] += 1
                no_stat = name.startswith(("TOO_SHORT", "TOO_MANY"))
                assert no_stat == (truth["stat"] is None) or len(truth["peculiarities"]) > 1
    assert seen.keys() >= {
        "TOO_SHORT_FOR_ANALYSIS",
        "TOO_MANY_DEFECTS_IN_SLEEP_STAGES",
        "TOO_LONG_FOR_ANALYSIS",
        "NEVER_SLEPT",
        "NO_BREATHING_STABILITY",
    }


def test_people_differ_in_zone_and_travel() -> None:
    """There are several homes, and trips change the zone of some sessions."""
    zones = {person.timezone for person in WORLD.people}
    away = [
        slot.timezone
        for person in WORLD.people
        for slot in WORLD.visible(person, UTC, *YEAR)
        if slot.timezone != person.timezone
    ]
    assert len(zones) > 5
    assert len(away) > 50


def test_free_days_follow_later_nights() -> None:
    """Over a year and all people, nights before free days begin later than others."""
    minutes: dict[bool, list[float]] = {True: [], False: []}
    for person in WORLD.people:
        for slot in WORLD.visible(person, UTC, *YEAR):
            local = slot.start.astimezone(ZoneInfo(slot.timezone)) - timedelta(hours=12)
            if slot.timezone == person.timezone and local.hour >= 7:
                free = local.isoweekday() % 7 + 1 in person.free_days
                minutes[free].append(local.hour * 60 + local.minute)
    means = {free: sum(values) / len(values) for free, values in minutes.items()}
    assert means[True] > means[False] + 15


def test_some_uploads_are_late() -> None:
    """A session that arrives after its end is unknown until then."""
    late = next(
        slot
        for person in WORLD.people
        for slot in WORLD.visible(person, UTC, *YEAR)
        if slot.visible_at > slot.end + timedelta(hours=3)
    )
    before = make_world(24, now=late.visible_at - timedelta(seconds=1))
    after = make_world(24, now=late.visible_at)
    assert before.find_session(late.person, late.session_id) is None
    assert after.find_session(late.person, late.session_id) == late


def test_the_roster_file_is_one_the_pipeline_reads(tmp_path: Path) -> None:
    """Every person is in it, with home zone and free days."""
    WORLD.write_roster(tmp_path / "roster.csv")
    entries = read_roster(tmp_path / "roster.csv")
    assert [(e.user_id, e.timezone, e.free_days) for e in entries] == [
        (p.user_id, p.timezone, p.free_days) for p in WORLD.people
    ]


def test_an_unknown_person_is_named() -> None:
    """The message holds the id that was asked for."""
    with pytest.raises(UsageError, match="nobody"):
        WORLD.person("nobody")
