"""`fct_session`, `fct_night` and the epochs of hand-made sessions, with every number written out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest

from asleep_pipeline_tests.hand_made import HandMade, Row, hand_made, session, stages

BERLIN, SEOUL, LOS_ANGELES = "Europe/Berlin", "Asia/Seoul", "America/Los_Angeles"
TWO_LEVELS: Row = {"has_stat": True, "time_in_light": None}
FOUR_LEVELS: Row = {"has_stat": True, "time_in_light": 0}

SESSIONS = [
    # 8.5 h by the clock every night; the clocks are put forward on 29 March, back on 25 October.
    session("spring", "2026-03-27T23:00", "20W 1020L 20W", zone=BERLIN),
    session("spring", "2026-03-28T23:00", "20W 900L 20W", zone=BERLIN),
    session("spring", "2026-03-29T23:00", "20W 1020L 20W", zone=BERLIN),
    session("autumn", "2026-10-23T23:00", "20W 780L 20W", zone=BERLIN),
    session("autumn", "2026-10-24T23:00", "20W 900L 20W", zone=BERLIN),
    session("autumn", "2026-10-25T23:00", "20W 780L 20W", zone=BERLIN),
    # From Seoul to California: the second session begins 8 h after the first one, on the same date.
    session("traveller", "2026-05-01T23:00", "960L", zone=SEOUL),
    session("traveller", "2026-05-02T23:00", "960L", zone=SEOUL),
    session("traveller", "2026-05-02T23:00", "840L", zone=LOS_ANGELES),
    session("traveller", "2026-05-03T22:30", "960L", zone=LOS_ANGELES),
    session("midnight", "2026-06-01T23:30", "840L"),
    session("midnight", "2026-06-03T00:30", "780L"),
    # Two equal parts of a night that lie 2 h apart, and an hour in the afternoon.
    session("parts", "2026-06-02T04:00", "480L"),
    session("parts", "2026-06-01T22:00", "480L"),
    session("parts", "2026-06-02T14:00", "20W 100L"),
    session("apart", "2026-06-01T22:00", "480L"),
    session("apart", "2026-06-02T04:00", "1W 470L"),
    session("before", "2026-06-02T03:00", "480L"),
    session("before", "2026-06-01T23:00", "240L"),
    session("overlap", "2026-06-01T22:00", "960L"),
    session("overlap", "2026-06-01T23:00", "300L"),
    session("snorer", "2026-06-01T22:00", "10W 100L 10W", **FOUR_LEVELS)
    | {
        "snoring_stages": [1] * 10 + [0] * 20 + [1] * 30 + [0] * 10 + [1] * 5 + [0] * 35 + [1] * 10,
        "breath_stages": [2] * 12 + [0] * 48 + [1] * 5 + [2] * 5 + [0] * 50,
    },
    session("two_levels", "2026-06-01T22:00", "20W 400L 10W 500L", **TWO_LEVELS),
    session("four_levels", "2026-06-01T22:00", "20W 300L 100D 10W 200R 300L", **FOUR_LEVELS),
    session("unknown_levels", "2026-06-01T22:00", "20W 400L"),
    session("gaps", "2026-06-01T22:00", "5U 10W 20L 5U 5W 10D 5U", **FOUR_LEVELS),
    session("awake", "2026-06-01T22:00", "960W"),
    session("open", "2026-06-01T22:00", "100L", state="OPEN", ended_at=None, ended_at_local=None)
    | {"night_date": None, "utc_offset_end_min": None},
    session("closed", "2026-06-01T22:00", None, state="CLOSED"),
    session("noon", "2026-06-01T11:59:59.700000", "1W 600L"),
    session("noon", "2026-06-02T11:59:30", "1W 600L"),
    session("noon", "2026-06-03T11:59:59.700000", "1W 600L"),
]

QUALITIES: list[tuple[str, Row, str]] = [
    ("95L 5U", {}, "good"),
    ("94L 6U", {}, "fair"),
    ("70L 30U", {}, "fair"),
    ("69L 31U", {}, "poor"),
    ("100L", {"missing_data_ratio": 0.05}, "good"),
    ("100L", {"missing_data_ratio": 0.06}, "fair"),
    ("100L", {"missing_data_ratio": 0.31}, "poor"),
    ("100L", {"missing_data_ratio": None, "peculiarities": None}, "good"),
    ("100L", {"peculiarities": ["NO_BREATHING_STABILITY"]}, "good"),
    ("100L", {"peculiarities": ["TOO_LONG_FOR_ANALYSIS"]}, "poor"),
    ("100L", {"peculiarities": ["TOO_MANY_DEFECTS_IN_SLEEP_STAGES"]}, "poor"),
]
NIGHTS = [
    ("2026-06-02T14:00", "120L", False),
    ("2026-06-02T14:00", "359L 1W", False),
    ("2026-06-02T14:00", "360L", True),
    ("2026-06-02T05:00", "60L", True),
    ("2026-06-02T05:59", "1W 60L", True),
    ("2026-06-02T06:00", "60L", False),
    ("2026-06-01T21:00", "180L", False),
    ("2026-06-01T23:00", "119L 20W", False),
    ("2026-06-01T23:00", "120L", False),
    ("2026-06-01T23:00", "121L", True),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """All of these, published."""
    with hand_made(tmp_path_factory.mktemp("sessions")) as empty:
        empty.put(*SESSIONS)
        empty.put(*(ten_hours(*case) for case in enumerate(QUALITIES)))
        empty.put(
            *(session(f"night-{n}", start, series) for n, (start, series, _) in enumerate(NIGHTS))
        )
        empty.publish()
        yield empty


def ten_hours(number: int, case: tuple[str, Row, str]) -> Row:
    """A session of 100 times 6 minutes."""
    series, more, _ = case
    long = [stage for stage in stages(series) for _ in range(12)]
    return session(f"quality-{number}", "2026-06-01T22:00", long, **more)


def at(text: str) -> datetime:
    """A wall time of 2026."""
    return datetime.fromisoformat(f"2026-{text}")


def only(row: Row, names: Any) -> Row:
    """Some columns."""
    return {name: row[name] for name in names}


@pytest.mark.parametrize(
    ("user", "night", "expected"),
    [
        (
            "spring",
            date(2026, 3, 29),
            {
                "started_local": at("03-28T23:00"),
                "onset_local": at("03-28T23:10"),
                "midpoint_local": at("03-29T03:55"),
                "final_wake_local": at("03-29T07:40"),
                "ended_local": at("03-29T07:50"),
                "utc_offset_start_min": 60,
                "utc_offset_end_min": 120,
                "tib_s": 28_200,
                "spt_s": 27_000,
                "tst_s": 27_000,
                "sol_s": 600,
                "terminal_wake_s": 600,
            },
        ),
        (
            "autumn",
            date(2026, 10, 25),
            {
                "started_local": at("10-24T23:00"),
                "onset_local": at("10-24T23:10"),
                "midpoint_local": at("10-25T02:55"),
                "final_wake_local": at("10-25T05:40"),
                "ended_local": at("10-25T05:50"),
                "utc_offset_start_min": 120,
                "utc_offset_end_min": 60,
                "tib_s": 28_200,
                "spt_s": 27_000,
                "tst_s": 27_000,
                "sol_s": 600,
                "terminal_wake_s": 600,
            },
        ),
    ],
)
def test_nights_of_a_clock_change(made: HandMade, user: str, night: date, expected: Row) -> None:
    """Durations are those that passed; wall times those that the clock showed, before and after."""
    row = made.row("FROM fct_session WHERE user_id = $1 AND night_date = $2", user, night)
    assert only(row, expected) == expected
    assert row["utc_offset_changes_at"].hour == 1


@pytest.mark.parametrize(
    ("user", "night", "expected"),
    [
        ("spring", date(2026, 3, 29), [-60, -50, 235, 460, 470]),
        ("autumn", date(2026, 10, 25), [-60, -50, 175, 340, 350]),
        ("traveller", date(2026, 5, 2), [-60, -60, 180, 420, 420]),
        ("traveller", date(2026, 5, 4), [-90, -90, 150, 390, 390]),
        ("midnight", date(2026, 6, 2), [-30, -30, 180, 390, 390]),
        ("midnight", date(2026, 6, 3), [30, 30, 225, 420, 420]),
    ],
)
def test_clock_times_of_a_night(
    made: HandMade, user: str, night: date, expected: list[float]
) -> None:
    """Minutes from the midnight of the night date on the clock where one was, also after midnight."""
    row = made.row("FROM fct_night WHERE user_id = $1 AND night_date = $2", user, night)
    names = ("bed_min", "onset_min", "midpoint_min", "wake_min", "rise_min")
    assert [row[name] for name in names] == expected
    assert row["is_clock_change"] is (user in {"spring", "autumn"})
    assert row["is_night"]


@pytest.mark.parametrize(
    ("user", "night", "epochs", "clock"),
    [
        ("spring", "03-29", (359, 360, 361), ("01:59:30", "03:00:00", "03:00:30")),
        ("autumn", "10-25", (479, 480, 599, 600), ("02:59:30", "02:00:00", "02:59:30", "03:00:00")),
    ],
)
def test_epochs_of_a_clock_change(
    made: HandMade, user: str, night: str, epochs: tuple[int, ...], clock: tuple[str, ...]
) -> None:
    """An hour is skipped in spring, and shown twice in autumn; instants go on evenly."""
    rows = made.rows(
        """
        SELECT epoch_local, epoch_at, epoch FROM fct_epoch
        WHERE user_id = $1 AND night_date = $2 AND list_contains($3, epoch) ORDER BY epoch
        """,
        user,
        f"2026-{night}",
        list(epochs),
    )
    assert [row["epoch_local"] for row in rows] == [at(f"{night}T{time}") for time in clock]
    passed = [(row["epoch_at"] - rows[0]["epoch_at"]).total_seconds() for row in rows]
    assert passed == [30 * (epoch - epochs[0]) for epoch in epochs]


@pytest.mark.parametrize(
    ("user", "valid", "same"),
    [
        # The hour that the clock skips can be compared with nothing, neither way.
        ("spring", [None, 82_800, 82_800], [None, 82_800, 82_800]),
        # Of the hour that it shows twice, either was slept.
        ("autumn", [None, 86_400, 86_400], [None, 86_400, 86_400]),
    ],
)
def test_regularity_over_a_clock_change(
    made: HandMade, user: str, valid: list[int | None], same: list[int | None]
) -> None:
    """Who sleeps at the same times by the clock is regular."""
    rows = made.rows("FROM fct_night WHERE user_id = $1 ORDER BY night_date", user)
    assert [row["valid_pair_s"] for row in rows] == valid
    assert [row["same_state_s"] for row in rows] == same


def test_two_nights_of_one_date(made: HandMade) -> None:
    """Who flies back over the date line sleeps twice on a date: the longer one is the night."""
    rows = made.rows(
        "FROM fct_session WHERE user_id = 'traveller' AND night_date = '2026-05-03' ORDER BY started_at"
    )
    assert [row["timezone"] for row in rows] == [SEOUL, LOS_ANGELES]
    assert [row["is_main_sleep"] for row in rows] == [True, False]
    assert [row["is_nap"] for row in rows] == [False, True]
    zones = made.rows(
        "SELECT timezone FROM fct_night WHERE user_id = 'traveller' ORDER BY night_date"
    )
    assert [row["timezone"] for row in zones] == [SEOUL, SEOUL, LOS_ANGELES]


@pytest.mark.parametrize(
    ("user", "roles", "night"),
    [
        # A tie goes to the earlier one; exactly 2 h between them are one night.
        ("parts", "main split nap", [3, 1, 1, 31_800, 14_400, 3000]),
        # Half a minute more, from final wake to onset, is not.
        ("apart", "main nap", [2, 0, 1, 28_500, 0, 14_100]),
        ("before", "split main", [2, 1, 0, 21_600, 7200, 0]),
        # The same sleep recorded twice is neither, and counts once.
        ("overlap", "main none", [2, 0, 0, 28_800, 0, 0]),
    ],
)
def test_parts_of_a_night(made: HandMade, user: str, roles: str, night: list[int]) -> None:
    """The most sleep of the date is the main sleep; the rest belongs to its night, or is a nap."""
    rows = made.rows("FROM fct_session WHERE user_id = $1 ORDER BY started_at", user)
    said = {"main": "is_main_sleep", "split": "is_split_sleep", "nap": "is_nap"}
    seen = [[role for role, flag in said.items() if row[flag]] for row in rows]
    assert seen == [[role] if role != "none" else [] for role in roles.split()]
    row = made.row("FROM fct_night WHERE user_id = $1", user)
    names = ("sessions", "split_sessions", "naps", "sleep_24h_s", "split_s", "nap_s")
    assert [row[name] for name in names] == night


def test_snoring_and_breathing_within_the_sleep_period(made: HandMade) -> None:
    """What is heard before sleep and after it does not count; runs are episodes."""
    row = made.row("FROM fct_session WHERE user_id = 'snorer'")
    expected = {
        "snoring_s": 1050,
        "snoring_of_spt_fraction": 0.35,
        "snoring_episodes": 2,
        "snoring_index_per_h": 2.4,
        # Two epochs go on from before; both degrees of unstable breathing make one run.
        "unstable_breath_s": 360,
        "unstable_breath_of_spt_fraction": 0.12,
        "unstable_breath_episodes": 2,
        "breathing_index_per_h": 2.4,
    }
    assert only(row, expected) == expected


def test_what_was_not_recorded_is_null(made: HandMade) -> None:
    """No snoring analysis is not no snoring."""
    row = made.row("FROM fct_session WHERE user_id = 'midnight' AND night_date = '2026-06-02'")
    unmeasured = [name for name in row if "snoring" in name or "breath" in name]
    assert only(row, unmeasured) == dict.fromkeys(unmeasured)
    night = made.row("FROM fct_night WHERE user_id = 'midnight' AND night_date = '2026-06-02'")
    assert night["snoring_of_spt_fraction"] is night["breathing_index_per_h"] is None


STAGE_FIGURES = [
    "stage_levels",
    "light_s",
    "deep_s",
    "rem_s",
    "light_latency_s",
    "deep_latency_s",
    "rem_latency_s",
    "light_of_tst_fraction",
    "deep_of_tst_fraction",
    "rem_of_spt_fraction",
    "cycles",
    "mean_cycle_s",
]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("two_levels", [2, *[None] * 11]),
        ("unknown_levels", [None] * 12),
        (
            "four_levels",
            [4, 18_000, 3000, 6000, 0, 9000, 12_300, 2 / 3, 1 / 9, 200 / 910, 1, 18_270],
        ),
    ],
)
def test_stages_of_the_plan(made: HandMade, user: str, expected: list[float | None]) -> None:
    """With 2 levels, or where these are unknown, nothing is said about light, deep and REM sleep."""
    row = made.row("FROM fct_session WHERE user_id = $1", user)
    assert [row[name] for name in STAGE_FIGURES] == expected
    assert row["tst_s"] > 0


def test_unknown_epochs(made: HandMade) -> None:
    """They are in the sleep period and in the recording, but neither sleep nor wake."""
    row = made.row("FROM fct_session WHERE user_id = 'gaps'")
    expected = {
        "epochs": 60,
        "recorded_s": 1800,
        "sol_s": 450,
        "spt_s": 1200,
        "tst_s": 900,
        "waso_s": 150,
        "terminal_wake_s": 150,
        "wake_s": 450,
        "unknown_s": 450,
        "awakenings": 1,
        "efficiency_fraction": 0.5,
        "maintenance_efficiency_fraction": 0.75,
        "unknown_fraction": 0.25,
        "transitions": 1,
        "wake_to_light": 1,
        "wake_to_deep": 1,
        "light_to_wake": 0,
        "fragmentation_index_per_h": 0,
        "quality": "fair",
    }
    assert only(row, expected) == expected


@pytest.mark.parametrize("user", ["awake", "open", "closed"])
def test_no_night_without_sleep(made: HandMade, user: str) -> None:
    """The session is there; a night of it is not."""
    assert made.rows("FROM fct_night WHERE user_id = $1", user) == []
    row = made.row("FROM fct_session WHERE user_id = $1", user)
    assert {row[flag] for flag in ("is_main_sleep", "is_nap", "is_split_sleep")} == {False}
    assert row["never_slept"] is {"awake": True, "open": False, "closed": None}[user]
    assert row["quality"] == {"awake": "good", "open": "good", "closed": None}[user]


def test_an_open_session_has_no_end(made: HandMade) -> None:
    """What is not known yet is NULL; its stages so far are counted."""
    row = made.row("FROM fct_session WHERE user_id = 'open'")
    assert row["tib_s"] is row["night_date"] is row["ended_local"] is None
    assert row["tst_s"] == 3000


@pytest.mark.parametrize(("number", "case"), list(enumerate(QUALITIES)))
def test_quality(made: HandMade, number: int, case: tuple[str, Row, str]) -> None:
    """Good up to 5 % unknown or lost, fair up to 30 %, else poor; the API may say so as well."""
    row = made.row("FROM fct_session WHERE user_id = $1", f"quality-{number}")
    assert row["quality"] == case[-1]
    night = made.row("FROM fct_night WHERE user_id = $1", f"quality-{number}")
    assert night["is_night"] is (row["quality"] != "poor")


@pytest.mark.parametrize(("number", "case"), list(enumerate(NIGHTS)))
def test_what_counts_as_a_night(made: HandMade, number: int, case: tuple[str, str, bool]) -> None:
    """3 h of sleep at any time, or a moment of it between midnight and 6:00."""
    night = made.row("FROM fct_night WHERE user_id = $1", f"night-{number}")
    assert only(night, ("is_night", "sessions", "naps")) == {
        "is_night": case[-1],
        "sessions": 1,
        "naps": 0,
    }
    windows = made.rows("FROM fct_user_day WHERE user_id = $1", f"night-{number}")
    assert len(windows) == (3 if night["is_night"] else 0)


def test_sleep_from_a_moment_before_noon(made: HandMade) -> None:
    """Fractions of a second do not move it to another day."""
    rows = made.rows("FROM fct_night WHERE user_id = 'noon' ORDER BY night_date")
    # On the first day nothing but half a minute awake was recorded, on the others 5 h of sleep.
    assert [row["same_state_s"] for row in rows] == [None, 86_400 - 18_000, 86_400]


def test_runs_are_the_hypnogram(made: HandMade) -> None:
    """Every stretch of one stage, without a gap, unknown ones included."""
    rows = made.rows("FROM fct_stage_run WHERE user_id = 'gaps' ORDER BY run")
    assert [(row["run"], row["stage"], row["first_epoch"], row["length_s"]) for row in rows] == [
        (1, "unknown", 0, 150),
        (2, "wake", 5, 300),
        (3, "light", 15, 600),
        (4, "unknown", 35, 150),
        (5, "wake", 40, 150),
        (6, "deep", 45, 300),
        (7, "unknown", 55, 150),
    ]
    assert [row["started_at"] for row in rows[1:]] == [row["ended_at"] for row in rows[:-1]]


def test_runs_of_a_clock_change(made: HandMade) -> None:
    """A run may end at a time that the clock shows an hour later than it is long."""
    row = made.row(
        "FROM fct_stage_run WHERE user_id = 'spring' AND night_date = '2026-03-29' AND stage = 'light'"
    )
    assert (row["started_local"], row["ended_local"]) == (at("03-28T23:10"), at("03-29T07:40"))
    assert row["length_s"] == 27_000


def test_sleep_cycles(made: HandMade) -> None:
    """The first begins with sleep; each ends with the last epoch of its REM."""
    row = made.row("FROM fct_sleep_cycle WHERE user_id = 'four_levels'")
    # 20 epochs awake; 300 light, 100 deep, 10 awake and 200 of REM until the cycle ends.
    assert (row["started_at"] - row["ended_at"]).total_seconds() == -30 * 609
    assert (row["cycle"], row["length_s"]) == (1, 18_270)
    assert f"{row['started_at']:%H:%M:%S}" == "22:10:00"
    assert made.rows("FROM fct_sleep_cycle WHERE user_id = 'two_levels'") == []
