"""`dq_session` and `dq_day`: what cannot be trusted is found, and named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asleep_pipeline.simulator.statistics import (
    breathing_statistics,
    packed,
    sleep_span,
    snoring_statistics,
    statistics,
)
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.views.tables import DIFFERENCES
from asleep_pipeline.webhooks.missed import Pushes, pushes_published
from asleep_pipeline_tests.hand_made import HandMade, Row, hand_made, session, stages
from asleep_pipeline_tests.small_world import FIRST, SmallWorld

NIGHT = stages("20W 100L 60D 40R 10W 200L 100D 10W 60R 200L 20W")
SNORING = [0] * 100 + [1] * 50 + [0] * 100 + [1] * 20 + [0] * 550
BREATH = [0] * 200 + [1] * 30 + [0] * 590

WRONG_BY: dict[str, Any] = {
    "sleep_efficiency": 0.02,
    "sleep_ratio": -0.03,
    "breathing_index": 0.2,
    "sleep_cycle": 2,
    "sleep_time": timedelta(seconds=30),
    "wake_time": timedelta(seconds=-30),
} | {f"{name}_ratio": 0.03 for name in ("wake", "light", "deep", "rem", "snoring", "no_snoring")}
"""By how much a statistic is off; a ratio of 0 to 1 by 0.03, a duration by 30 s, a count by 1."""


def api_says(night: list[int], start: str, length: timedelta | None = None) -> Row:
    """The API's statistics of a night with all analyses."""
    begin = datetime.fromisoformat(f"{start}+00:00")
    end = begin + (length or timedelta(seconds=30 * len(night)))
    said = statistics(packed(night), begin, end)
    span = sleep_span(packed(night))
    assert span is not None
    period, asleep = said["time_in_sleep_period"], said["time_in_sleep"]
    return (
        said
        | snoring_statistics(packed(SNORING), span, period)
        | breathing_statistics(packed(BREATH), span, period, asleep)
        | {"has_stat": True, "snoring_stages": SNORING, "breath_stages": BREATH}
    )


def consistent(user: str, length: timedelta | None = None, **more: Any) -> Row:
    """A session of which everything is as the API's arithmetic has it."""
    start = "2026-06-01T22:00:00"
    said = api_says(NIGHT, start, length)
    return session(user, start, NIGHT, length=length, last_received_seq_num=819, **said) | more


def wrong(statistic: str) -> Row:
    """The same with one statistic that is off, of a user who is called after it."""
    row = consistent(statistic)
    by = 0.03 if statistic.endswith("_ratio") else 1 if statistic.endswith("_count") else 30
    return row | {statistic: row[statistic] + WRONG_BY.get(statistic, by)}


STATISTICS = [
    column.name.removeprefix("diff_")
    .removesuffix("_s")
    .removesuffix("_fraction")
    .removesuffix("_per_h")
    for column in DIFFERENCES
]
OTHERS = [
    consistent("right"),
    consistent("tail", length=timedelta(seconds=24_600 + 299)),
    consistent("long_tail", length=timedelta(seconds=24_600 + 300)),
    consistent("too_long_stages", length=timedelta(seconds=24_600 - 1)),
    consistent("half_uploaded", last_received_seq_num=409),
    consistent("more_uploaded", last_received_seq_num=900),
    consistent("nothing_uploaded", last_received_seq_num=None),
    consistent("late", fetched_at=datetime.fromisoformat("2026-06-02T06:50:00+00:00")),
    consistent("rounded") | {"light_ratio": 0.65, "sleep_efficiency": 0.93},
    consistent("broken", is_quarantined=True),
    consistent("unknown") | {"sleep_stages": [*NIGHT[:50], -1, *NIGHT[51:]], "time_in_sleep": 1},
    session("without_statistics", "2026-06-01T22:00", NIGHT),
    session("never_slept", "2026-06-01T22:00", "960W", has_stat=True, time_in_sleep=0),
    session("closed", "2026-06-01T22:00", None, state="CLOSED", length=timedelta(hours=7)),
    session("stuck", "2026-06-09T11:59:59", "100W", state="OPEN", ended_at=None, night_date=None),
    session("open", "2026-06-09T12:00", "100W", state="OPEN", ended_at=None, night_date=None),
    session("listed", "2026-06-10T01:00", "100L")
    | {"listed_at": datetime.fromisoformat("2026-06-10T12:00+00:00")},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """A session for each wrong statistic, and others, published."""
    with hand_made(tmp_path_factory.mktemp("quality")) as empty:
        empty.put(*map(wrong, STATISTICS), *OTHERS)
        empty.publish()
        yield empty


def of(made: HandMade, user: str) -> Row:
    """What is said of a user's session."""
    return made.row("FROM dq_session WHERE user_id = $1", user)


def test_a_simulated_world_is_consistent(world: SmallWorld, tmp_path: Any) -> None:
    """Whatever plan people have: the API's statistics are those of its stages."""
    world.load(FIRST, world.today)
    publish(world.lake, path := tmp_path / "asleep.duckdb")
    rows = HandMade(world.lake, path).rows("FROM dq_session")
    assert {row["is_consistent"] for row in rows} <= {True, None}
    assert sum(row["is_consistent"] is True for row in rows) > 40
    assert not any(row["out_of_tolerance"] or row["is_stage_length_wrong"] for row in rows)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_wrong_statistic_is_found_by_name(made: HandMade, statistic: str) -> None:
    """It alone, with the difference beside it."""
    row = of(made, statistic)
    assert row["out_of_tolerance"] == [statistic]
    assert row["is_consistent"] is False
    assert row[DIFFERENCES[STATISTICS.index(statistic)].name]


def test_every_statistic_of_the_api_is_compared() -> None:
    """But its own score, its word for the breathing, and times that are shown elsewhere."""
    assert len(STATISTICS) == 35


@pytest.mark.parametrize("user", ["right", "tail", "rounded", "half_uploaded", "broken", "late"])
def test_the_tolerance_is_that_of_rounding(made: HandMade, user: str) -> None:
    """Whole percents, and a tail of less than 5 minutes that was not analysed."""
    row = of(made, user)
    assert (row["out_of_tolerance"], row["is_consistent"]) == ([], True)


@pytest.mark.parametrize("user", ["unknown", "without_statistics", "closed", "open"])
def test_what_cannot_be_compared_is_neither(made: HandMade, user: str) -> None:
    """Unknown epochs are counted otherwise by the API; no statistics are no difference."""
    row = of(made, user)
    assert row["out_of_tolerance"] is row["is_consistent"] is None


def test_a_sleepless_night_is_consistent(made: HandMade) -> None:
    """What the API leaves out is no contradiction."""
    assert of(made, "never_slept")["is_consistent"] is True


@pytest.mark.parametrize(
    ("user", "mismatch", "is_wrong"),
    [
        ("right", 0, False),
        ("tail", 299, False),
        ("long_tail", 300, True),
        ("too_long_stages", -1, True),
        ("closed", None, None),
        ("open", None, None),
    ],
)
def test_stages_that_do_not_fit_the_time_in_bed(
    made: HandMade, user: str, mismatch: int | None, is_wrong: bool | None
) -> None:
    """A block of 5 minutes that was begun may be missing, nothing else."""
    row = of(made, user)
    assert row["stage_length_mismatch_s"] == mismatch
    assert row["is_stage_length_wrong"] is is_wrong


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("right", [820, 820, 1]),
        ("half_uploaded", [410, 820, 0.5]),
        ("more_uploaded", [901, 820, 1]),
        ("nothing_uploaded", [None, 820, None]),
        ("open", [None, None, None]),
    ],
)
def test_upload_integrity(made: HandMade, user: str, expected: list[float | None]) -> None:
    """Chunks that arrived of those expected; where either is unknown it is NULL and not 1."""
    row = of(made, user)
    names = ("chunks_received", "chunks_expected", "upload_integrity_fraction")
    assert [row[name] for name in names] == expected


@pytest.mark.parametrize(
    ("user", "is_stuck"),
    [("stuck", True), ("open", False), ("closed", True), ("right", False), ("listed", False)],
)
def test_stuck_sessions(made: HandMade, user: str, is_stuck: bool) -> None:
    """Not COMPLETE although the newest listing came more than a day after the start."""
    assert of(made, user)["is_stuck"] is is_stuck


@pytest.mark.parametrize(("user", "lateness"), [("right", 0), ("late", 7200), ("open", None)])
def test_lateness(made: HandMade, user: str, lateness: int | None) -> None:
    """From the end of the session to when its detail was read."""
    assert of(made, user)["lateness_s"] == lateness


def test_a_day_counts_its_sessions(made: HandMade) -> None:
    """By what is wrong with them; an open one on the date of its start."""
    rows = made.rows("FROM dq_day ORDER BY night_date")
    assert [(row["night_date"], row["sessions"]) for row in rows] == [
        (date(2026, 6, 2), 35 + 14),
        (date(2026, 6, 9), 2),
        (date(2026, 6, 10), 1),
    ]
    expected = {
        "complete_sessions": 35 + 13,
        "stuck_sessions": 1,
        "quarantined_sessions": 1,
        "good_sessions": 35 + 13,
        "fair_sessions": 0,
        "poor_sessions": 0,
        "stage_length_wrong_sessions": 2,
        "compared_sessions": 35 + 11,
        # The wake time of somebody whose stages are longer than the night is no end of a stage.
        "inconsistent_sessions": 35 + 1,
        "unknown_mean_fraction": pytest.approx(1 / 820 / 48),
        "lateness_median_s": 0,
        "lateness_max_s": 7200,
    }
    assert {name: rows[0][name] for name in expected} == expected
    assert (rows[1]["stuck_sessions"], rows[1]["upload_integrity_mean_fraction"]) == (1, None)


UNFOUNDED: dict[str, tuple[str, Any]] = {
    "rem_latency": ("20W 700L 100D", 600),
    "deep_latency": ("20W 700L 100R", 600),
    "sleep_cycle": ("20W 700L 100D", 5400),
    "waso_count": ("820W", 5),
    "time_in_wake": ("820W", 100),
    "sleep_ratio": ("820W", 0.9),
    "sleep_cycle_time": ("20W 700L 100D", [datetime(2026, 6, 1, 22, tzinfo=UTC)]),
}
"""Stages that have nothing to make a statistic of, and what the API says of it all the same."""


@pytest.mark.parametrize("statistic", UNFOUNDED)
def test_a_statistic_without_any_ground_is_found_by_name(tmp_path: Path, statistic: str) -> None:
    """Where ours is NULL there is no difference, and yet the API contradicts its stages."""
    night, value = UNFOUNDED[statistic]
    said = {"has_stat": True, "time_in_light": 0, statistic: value}
    with hand_made(tmp_path) as made:
        made.put(session("u", "2026-06-01T22:00:00", night, **said))
        made.publish()
        found = made.row("FROM dq_session")
    assert (found["is_consistent"], statistic in found["out_of_tolerance"]) == (False, True)


def test_cycle_times_that_do_not_fit_are_found(tmp_path: Path) -> None:
    """Sleep onset first, then the end of each cycle."""
    row = consistent("u")
    late = [moment + timedelta(minutes=1) for moment in row["sleep_cycle_time"]]
    assert late
    with hand_made(tmp_path) as made:
        made.put(row | {"sleep_cycle_time": late})
        made.publish()
        assert made.row("FROM dq_session")["out_of_tolerance"] == ["sleep_cycle_time"]


def night(user: str, day: int, *, pushed: bool, **more: Any) -> Row:
    """A night of June that ends at 05:00 UTC of a day, and its webhook an hour later."""
    ended_at = datetime(2026, 6, day, 5, tzinfo=UTC)
    start = f"{ended_at - timedelta(hours=7):%Y-%m-%dT%H:%M}"
    pushed_at = ended_at + timedelta(hours=1) if pushed else None
    return session(user, start, "840L", pushed_at=pushed_at, **more)


PUSHED_NIGHTS = [
    night("u", 2, pushed=False),  # before the first webhook
    night("u", 3, pushed=True),
    night("u", 4, pushed=False),  # missed
    night("u", 5, pushed=True),
    night("u", 6, pushed=False, state="CLOSED"),
    night("u", 8, pushed=False),  # missed, just a day before the newest listing
    night("u", 9, pushed=False),  # may still come
    night("without_callback", 4, pushed=False),
    night("other", 10, pushed=True, listed_at=datetime(2026, 6, 9, 5, 0, 1, tzinfo=UTC)),
]


def test_what_webhooks_missed_is_found(tmp_path: Path) -> None:
    """Of users with webhooks, complete sessions since the first one, a day after their end."""
    with hand_made(tmp_path) as made:
        made.put(*PUSHED_NIGHTS)
        made.publish()
        rows = made.rows("FROM dq_session WHERE is_missed ORDER BY started_at")
        days = made.rows("FROM dq_day ORDER BY night_date")
        counted = pushes_published(made.path)
    assert [(row["user_id"], row["night_date"].day) for row in rows] == [("u", 4), ("u", 8)]
    assert {row["night_date"].day for row in days if row["missed_sessions"]} == {4, 8}
    assert {row["night_date"].day for row in days if row["pushed_sessions"]} == {3, 5, 10}
    assert counted == Pushes(pushed=1, missed=2)
