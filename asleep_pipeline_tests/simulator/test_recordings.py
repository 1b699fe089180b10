"""Real hypnograms served as sessions."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from asleep_pipeline.errors import UsageError
from asleep_pipeline.simulator import Clock, Faults, SimulatorOptions, World, running

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ALWAYS = (date(1980, 1, 1), date(2026, 5, 1))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A file with one dated session, and two nights of someone without dates."""
    path = tmp_path / "recordings.parquet"
    stages = [[0] * 20 + [1] * 100 + [3] * 25, [0, -1] + [2] * 30, [1] * 50]
    pl.DataFrame(
        {
            "session_id": ["a:1", "b:1", "b:2"],
            "user_id": ["a:me", "b:you", "b:you"],
            "night_index": [1, 1, 2],
            "start_time": ["2024-11-15T00:14:00-08:00", None, None],
            "timezone": ["America/Los_Angeles", None, None],
            "sex": ["F", None, None],
            "age": [30, None, None],
            "sleep_stages": stages,
        }
    ).write_parquet(path)
    return path


def make_world(path: Path) -> World:
    """Make a world of recordings without a server."""
    options = SimulatorOptions(recordings=path, now=NOON)
    return World(options, Clock(NOON), Faults())


def test_a_dated_recording_keeps_its_wall_time(recordings: Path) -> None:
    """Zone, time of day and length are those of the file; the date is moved to the present."""
    (truth,) = make_world(recordings).sessions("a:me", *ALWAYS)
    session = truth["session"]
    # 00:14 in Los Angeles, which has summer time on that date and had not on the recording's.
    assert session["start_time"] == "2026-05-01T07:14:00+00:00"
    assert session["id"].startswith("20260501071400_")
    assert session["created_timezone"] == "America/Los_Angeles"
    assert truth["time_in_bed"] == 145 * 30
    assert truth["stat"]["sleep_cycle_count"] == 1


def test_undated_recordings_end_shortly_before_the_clock(recordings: Path) -> None:
    """Consecutive nights by their index, and unknown epochs stay."""
    world = make_world(recordings)
    first, second = world.sessions("b:you", *ALWAYS)
    ids = [world.recording_of(truth["session"]["id"]) for truth in (first, second)]
    starts = [datetime.fromisoformat(t["session"]["start_time"]) for t in (first, second)]
    assert ids == ["b:1", "b:2"]
    assert first["session"]["sleep_stages"][:3] == [0, -1, 2]
    assert (NOON - starts[1]).days < 2
    assert 20 < (starts[1] - starts[0]).total_seconds() / 3600 < 28


def test_recordings_are_served(recordings: Path) -> None:
    """Users are those of the file, with what it knows of them."""
    with running(SimulatorOptions(recordings=recordings, now=NOON)) as sim:
        me = sim.world.person("a:me")
        assert [person.user_id for person in sim.world.people] == ["a:me", "b:you"]
        assert (me.gender, me.birth_year, me.timezone) == ("female", 1996, "America/Los_Angeles")


def test_all_recordings_have_the_reference_statistics(sleep_data: Path) -> None:
    """Every night without unknown epochs equals the vendor's calculator."""
    world = make_world(sleep_data / "hypnograms.parquet")
    with (sleep_data / "oracles" / "night_statistics.csv").open() as file:
        references = {row["session_id"]: row for row in csv.DictReader(file)}
    truths = [t for p in world.people for t in world.sessions(p.user_id, *ALWAYS)]
    assert len(truths) == 267
    for truth in truths:
        row = references[world.recording_of(truth["session"]["id"])]
        for column in (name for name in row if name.startswith("pysleep_") and row[name]):
            value = truth["stat"][column.removeprefix("pysleep_").removesuffix("_s")]
            # The API's mean cycle is a whole number of seconds.
            assert value == pytest.approx(float(row[column]), abs=0.5 * ("cycle_s" in column))


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """With the columns it should have."""
    path = tmp_path / "nothing.parquet"
    with pytest.raises(UsageError, match="nothing") as caught:
        make_world(path)
    assert "sleep_stages" in caught.value.fix


def test_a_made_up_session_is_no_recording() -> None:
    """Its id has no original."""
    world = World(SimulatorOptions(people=1, now=NOON), Clock(NOON), Faults())
    with pytest.raises(UsageError, match="no recording"):
        world.recording_of("20260401000000_aaaaa")
