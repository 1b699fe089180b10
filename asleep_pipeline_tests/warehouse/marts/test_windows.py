"""Rolling windows, weeks and months of hand-made nights, with every number written out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from asleep_pipeline.warehouse.marts.tables import FCT_USER_DAY, USER_WEEK
from asleep_pipeline_tests.hand_made import HandMade, Row, hand_made, session

MONDAY = date(2026, 6, 1)
SUNDAY = date(2026, 6, 7)
FOUR_LEVELS: Row = {"has_stat": True, "time_in_light": 0}


def night(user: str, day: int, clock: str, series: str, **more: Any) -> Row:
    """A session whose night is the date of June; a clock from 18:00 on is of the evening before."""
    start = MONDAY + timedelta(days=day - 1 - (clock >= "18:00"))
    return session(user, f"{start}T{clock}", series, **more)


def of_four_nights() -> Iterator[Row]:
    """On Monday, Wednesday, Friday and Sunday 7, 8, 9 and 6 h, and a night that cannot be trusted."""
    for day, epochs in ((1, 840), (3, 960), (5, 1080), (7, 720)):
        yield night("four", day, "23:00", f"{epochs}L")
    yield night("four", 2, "23:30", "600L", missing_data_ratio=0.5)


def of_two_weeks(user: str, free_days: list[int]) -> Iterator[Row]:
    """1:00 to 10:00 on free days, else 23:00 to 6:00."""
    for day in range(1, 15):
        is_free = (MONDAY + timedelta(days=day - 1)).isoweekday() in free_days
        yield night(user, day, *(("01:00", "1080L") if is_free else ("23:00", "840L")))


def of_a_napper() -> Iterator[Row]:
    """6 h a night, and one in the afternoon."""
    for day in range(1, 8):
        yield night("napper", day, "23:00", "720L")
        yield night("napper", day, "14:00", "120L")


FREE_DAYS = {"jetlagged": [5, 6], "three_days_off": [4, 5, 6]}

NIGHTS = [
    *of_four_nights(),
    *(row for user, days in FREE_DAYS.items() for row in of_two_weeks(user, days)),
    *of_a_napper(),
    *(night("few", day, "23:00", "840L") for day in (3, 5, 7)),
    # Noon and midnight: no clock time is the mean of these.
    *(night("around", day, clock, "120W 600L") for day, clock in ((1, "22:00"), (2, "10:00"))),
    *(night("around", day, clock, "120W 600L") for day, clock in ((4, "22:00"), (5, "10:00"))),
    night("plans", 1, "23:00", "600L 200D", **FOUR_LEVELS),
    night("plans", 2, "23:00", "400L 400D", **FOUR_LEVELS),
    night("plans", 3, "23:00", "800L"),
    night("plans", 4, "23:00", "800L") | {"snoring_stages": [1] * 80 + [0] * 720},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """All of these, published."""
    with hand_made(tmp_path_factory.mktemp("windows")) as empty:
        need = {"org_id": "default", "sleep_need_s": 27_000}
        for user, days in FREE_DAYS.items():
            empty.put_users({"user_id": user, "free_days": days} | need)
        empty.put(*NIGHTS)
        empty.publish()
        yield empty


def window(made: HandMade, user: str, until: date, days: int) -> Row:
    """One row of the rolling windows."""
    where = "user_id = $1 AND night_date = $2 AND window_days = $3"
    return made.row(f"FROM fct_user_day WHERE {where}", user, until, days)


def week(made: HandMade, user: str, monday: date = MONDAY) -> Row:
    """One row of the weeks."""
    return made.row("FROM mart_user_week WHERE user_id = $1 AND week = $2", user, monday)


def assert_has(row: Row, expected: Row) -> None:
    """The expected columns have the expected values."""
    about = {
        n: pytest.approx(v, abs=5e-4) if isinstance(v, float) else v for n, v in expected.items()
    }
    assert {name: row[name] for name in expected} == about


FOUR: Row = {
    "tst_mean_s": 27_000.0,
    "sleep_24h_mean_s": 27_000.0,
    "tib_mean_s": 27_000.0,
    "efficiency_mean_fraction": 1.0,
    "short_nights": 1,
    "bed_mean_min": -60.0,
    "bed_sd_min": 0.0,
    "wake_mean_min": 390.0,
    "wake_sd_min": 67.4127,
    "midpoint_mean_min": 165.0,
    "midpoint_sd_min": 33.5819,
    # 86.0 for a spread of 16.8 min; of the nights three are worth 100 and one 80.
    "score_efficiency": 100.0,
    "score_consistency": 86.0075,
    "score_duration": 95.0,
    "score": 94.3023,
    # No two nights follow each other, and one free day says little about free days.
    "sri": None,
    "sri_valid_fraction": 0.0,
    "social_jetlag_min": None,
    "free_midpoint_min": None,
}


def test_half_of_the_nights_are_enough(made: HandMade) -> None:
    """Four of seven; the one of poor quality is not counted."""
    assert_has(
        window(made, "four", SUNDAY, 7),
        FOUR
        | {
            "nights_observed": 4,
            "nights_free": 1,
            "nights_work": 3,
            "tst_sd_s": 4647.58,
            "sleep_need_s": 28_800.0,
            "sleep_debt_s": 7200.0,
            "chronotype_msfsc_min": None,
        },
    )


@pytest.mark.parametrize(
    ("user", "days"), [("few", 7), ("four", 14), ("four", 30), ("jetlagged", 30)]
)
def test_below_half_of_the_nights_everything_is_null(made: HandMade, user: str, days: int) -> None:
    """Only the counts are not: three nights of seven say nothing of a week."""
    (row,) = made.rows(
        "FROM fct_user_day WHERE user_id = $1 AND window_days = $2 ORDER BY night_date DESC LIMIT 1",
        user,
        days,
    )
    counts = ("nights_observed", "nights_free", "nights_work")
    assert {row[name] for name in row.keys() - set(FCT_USER_DAY.key) - {"org_id", *counts}} == {
        None
    }
    assert row["nights_observed"] == row["nights_free"] + row["nights_work"] > 0


def test_a_window_ends_with_each_night(made: HandMade) -> None:
    """And holds the nights up to it; a date without a night ends none."""
    rows = made.rows(
        """
        SELECT night_date, nights_observed FROM fct_user_day
        WHERE user_id = 'four' AND window_days = 7 ORDER BY night_date
        """
    )
    assert [tuple(row.values()) for row in rows] == [
        (date(2026, 6, day), nights) for day, nights in ((1, 1), (3, 2), (5, 3), (7, 4))
    ]


JETLAGGED: Row = {
    "nights_free": 4,
    "nights_work": 10,
    "free_midpoint_min": 330.0,
    "work_midpoint_min": 150.0,
    "social_jetlag_min": 180.0,
    # 9 h against a mean of 53/7 h: half of 10/7 h is 42.857 min.
    "chronotype_msfsc_min": 287.1429,
    "sleep_24h_mean_s": 27_257.1429,
    "sleep_need_s": 27_000.0,
    "sleep_debt_s": 0.0,
    # Four of 13 pairs of days differ in 6 of 24 h.
    "sri": 84.6154,
    "sri_valid_fraction": 1.0,
}


def test_social_jetlag_of_own_free_days(made: HandMade) -> None:
    """The roster says when the user is free, and how much sleep the user needs."""
    assert_has(window(made, "jetlagged", date(2026, 6, 14), 14), JETLAGGED)
    days = made.rows(
        "FROM fct_night WHERE user_id = 'jetlagged' AND is_free_day ORDER BY night_date"
    )
    assert [row["night_date"].day for row in days] == [5, 6, 12, 13]


def test_the_week_of_the_chronotype_has_the_users_free_days(made: HandMade) -> None:
    """With three of them the mean is 55/7 h, and half of 8/7 h is 34.286 min."""
    row = window(made, "three_days_off", date(2026, 6, 14), 14)
    assert_has(
        row, {"nights_free": 6, "chronotype_msfsc_min": 295.7143, "social_jetlag_min": 180.0}
    )


def test_the_first_date_of_a_window_is_compared_with_none(made: HandMade) -> None:
    """From Sunday on there is one change of 6 h in 6 pairs; that from Saturday lies before."""
    row = window(made, "jetlagged", date(2026, 6, 13), 7)
    assert_has(row, {"nights_observed": 7, "sri": 91.6667, "sri_valid_fraction": 1.0})


def test_naps_count_as_sleep_of_the_date(made: HandMade) -> None:
    """In the debt, in short nights and in the duration of the score, but not in TST."""
    expected = {
        "tst_mean_s": 21_600.0,
        "sleep_24h_mean_s": 25_200.0,
        "short_nights": 0,
        "score_duration": 100.0,
        # Days run from noon to noon: only on the first of them there was no nap, an hour of 6 days.
        "sri": 98.6111,
    }
    assert_has(window(made, "napper", SUNDAY, 7), expected | {"sleep_debt_s": 25_200.0})
    assert_has(week(made, "napper"), expected | {"naps": 7, "nights": 7})


def test_a_score_without_one_of_its_parts_is_null(made: HandMade) -> None:
    """Where bedtimes cancel each other out there is no spread, and no score."""
    expected = {
        "bed_mean_min": None,
        "bed_sd_min": None,
        "score_efficiency": 83.3333,
        "score_consistency": None,
        "score_duration": 60.0,
        "score": None,
        "score_version": None,
    }
    assert_has(window(made, "around", date(2026, 6, 5), 7), expected)
    assert_has(week(made, "around"), expected)


def test_a_mean_is_over_the_nights_that_have_a_value(made: HandMade) -> None:
    """A night without stages is no night without deep sleep."""
    expected = {
        "deep_of_tst_mean_fraction": 0.375,
        "light_of_tst_mean_fraction": 0.625,
        "rem_of_tst_mean_fraction": 0.0,
        "snoring_of_spt_mean_fraction": 0.1,
        "breathing_index_mean_per_h": None,
    }
    assert_has(window(made, "plans", date(2026, 6, 4), 7), expected)


def test_a_week_says_what_its_window_says(made: HandMade) -> None:
    """And how the nights are spread."""
    assert_has(
        week(made, "four"),
        FOUR
        | {
            "nights": 4,
            "naps": 0,
            "tst_median_s": 27_000.0,
            "tst_p10_s": 22_680.0,
            "tst_p90_s": 31_320.0,
            "sol_median_s": 0.0,
            "efficiency_median_fraction": 1.0,
            "short_night_fraction": 0.25,
        },
    )


def test_weeks_begin_on_monday(made: HandMade) -> None:
    """Its Sunday is the last date of a week."""
    weeks = made.rows("FROM mart_user_week WHERE user_id = 'jetlagged' ORDER BY week")
    assert [(row["week"].day, row["nights"], row["nights_free"]) for row in weeks] == [
        (1, 7, 2),
        (8, 7, 2),
    ]
    # From Friday on the free days are later: 2 of 6 pairs of days differ in 6 of 24 h.
    assert weeks[0]["sri"] == pytest.approx(100 - 200 * 2 * 6 / (6 * 24))


@pytest.mark.parametrize(
    ("table", "user", "nights"),
    [
        ("mart_user_week", "few", 3),
        ("mart_user_month", "four", 4),
        ("mart_user_month", "jetlagged", 14),
    ],
)
def test_few_nights_of_a_period_have_means_only(
    made: HandMade, table: str, user: str, nights: int
) -> None:
    """Regularity and score need half of its dates."""
    row = made.row(f"FROM {table} WHERE user_id = $1", user)
    assert row["nights"] == nights
    assert row["tst_mean_s"] > 0
    names = USER_WEEK.column_names[USER_WEEK.column_names.index("short_night_fraction") + 1 :]
    assert {row[name] for name in names} == {None}


def test_a_month_with_half_of_its_nights(tmp_path: Any) -> None:
    """14 of the 28 of February are enough, 15 of the 31 of March are not."""
    with hand_made(tmp_path) as made:
        for first, nights in ((date(2026, 2, 1), 14), (date(2026, 3, 1), 15)):
            starts = [first + timedelta(days=day) for day in range(nights)]
            made.put(*(session("somebody", f"{start}T00:30", "900L") for start in starts))
        made.publish()
        rows = made.rows("FROM mart_user_month ORDER BY month")
    assert [(row["month"].month, row["nights"]) for row in rows] == [(2, 14), (3, 15)]
    assert [row["bed_mean_min"] for row in rows] == [pytest.approx(30), None]
    # 13 of the 27 pairs of February are there, which is less than half of them.
    assert [row["sri_valid_fraction"] for row in rows] == [pytest.approx(13 / 27), None]
    assert [row["sri"] for row in rows] == [None, None]
