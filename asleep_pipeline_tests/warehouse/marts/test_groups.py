"""Organisations and cohorts: figures over users, and none of too small a group."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.cohorts import Cohort, drop_cohort, put_cohort
from asleep_pipeline.sleep.parameters import Parameters
from asleep_pipeline.warehouse.marts.tables import ORG_WEEK
from asleep_pipeline_tests.hand_made import LONG_AGO, HandMade, Row, hand_made, session

NOW = datetime(2026, 7, 1, tzinfo=UTC)
WEEK, LATER_WEEK = date(2026, 6, 1), date(2026, 6, 8)
FOUR_LEVELS: Row = {"has_stat": True, "time_in_light": 0}
HALF_HOUR = 60


def nights(user: str, org: str, epochs: int, days: range, *, deep: bool) -> Iterator[Row]:
    """A night from 0:30 on each of some dates of June, a fifth of it deep sleep."""
    series = [1] * (epochs * 4 // 5) + [2 if deep else 1] * (epochs // 5)
    plan: Row = FOUR_LEVELS if deep else {}
    for day in days:
        yield session(user, f"2026-06-{day:02}T00:30", series, org_id=org, **plan)


def everybody() -> Iterator[Row]:
    """In each group somebody sleeps 6 h, the next one 6.5 h, and so on; and one has too few nights."""
    for number in range(5):
        epochs = 720 + number * HALF_HOUR
        yield from nights(f"five-{number}", "five", epochs, range(1, 5), deep=number > 0)
        if number < 4:
            yield from nights(f"four-{number}", "four", epochs, range(1, 5), deep=True)
            yield from nights(f"five-{number}", "five", 720, range(8, 13), deep=True)
    for org in ("five", "four"):
        yield from nights(f"{org}-odd", org, 100, range(1, 4), deep=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """Two organisations and four cohorts, published."""
    with hand_made(tmp_path_factory.mktemp("groups")) as empty:
        rows = list(everybody())
        users = {row["user_id"]: row["org_id"] for row in rows}
        empty.put_users(
            *(
                {
                    "user_id": user,
                    "org_id": org,
                    "birth_year": 1980 + int(user[-1:].replace("d", "9")),
                }
                for user, org in users.items()
            )
        )
        empty.put(*rows)
        listed = tuple(f"five-{n}" for n in range(5))
        for cohort in (
            Cohort("of a condition", "org_id = 'five' AND birth_year < 1989"),
            Cohort("of a list", user_ids=(*listed, "nobody")),
            Cohort("too small", user_ids=(*listed[:4], "four-odd")),
            Cohort("of both", "birth_year = 1980 OR birth_year = 1981 OR user_id = 'five-2'"),
            Cohort("nobody", user_ids=()),
        ):
            put_cohort(empty.lake, cohort, now=NOW)
        empty.publish()
        yield empty


OF_FIVE: Row = {
    "is_suppressed": False,
    "users": 5,
    "nights": 20,
    "tst_mean_s": 25_200,
    "tst_median_s": 25_200,
    "tst_p10_s": 22_320,
    "tst_p90_s": 28_080,
    "sol_mean_s": 0,
    "efficiency_mean_fraction": 1,
    "short_sleeper_fraction": 0.4,
    "midpoint_mean_min": 240,
    "bed_sd_median_min": 0,
    "sri_mean": 100,
    # Bands: 80, 80, 100, 100 and 100 for the duration.
    "score_mean": 97.6,
    "score_median": 100,
    "score_p10": 94,
    "score_p90": 100,
    # Only four of the five have a plan with stages, and nobody has enough free days.
    "deep_of_tst_mean_fraction": None,
    "rem_of_tst_mean_fraction": None,
    "social_jetlag_median_min": None,
}


def assert_has(row: Row, expected: Row) -> None:
    """The expected columns have the expected values."""
    about = {name: pytest.approx(value) for name, value in expected.items() if value is not None}
    assert {name: row[name] for name in expected} == expected | about


def test_five_users_are_a_group(made: HandMade) -> None:
    """Each counts once, however many nights; one with three nights of the week does not."""
    assert_has(made.row("FROM mart_org_week WHERE org_id = 'five' AND week = $1", WEEK), OF_FIVE)


@pytest.mark.parametrize(
    ("table", "group", "week"),
    [
        ("mart_org_week", "four", WEEK),
        ("mart_org_week", "five", LATER_WEEK),
        ("mart_cohort_week", "too small", WEEK),
        ("mart_cohort_week", "of both", LATER_WEEK),
    ],
)
def test_four_users_are_none(made: HandMade, table: str, group: str, week: date) -> None:
    """Nothing is said of them, not even how many they are."""
    key = "org_id" if table == "mart_org_week" else "cohort"
    row = made.row(f"FROM {table} WHERE {key} = $1 AND week = $2", group, week)
    assert row["is_suppressed"] is True
    figures = ORG_WEEK.column_names[3:]
    assert {row[name] for name in figures} == {None}


def test_months_of_few_nights_are_no_group(made: HandMade) -> None:
    """Nobody has half of the nights of the month."""
    rows = made.rows("FROM mart_org_month")
    assert rows
    assert {(row["is_suppressed"], row["users"], row["tst_mean_s"]) for row in rows} == {
        (True, None, None)
    }


@pytest.mark.parametrize("cohort", ["of a condition", "of a list"])
def test_a_cohort_is_a_group_as_an_organisation_is(made: HandMade, cohort: str) -> None:
    """However it is defined."""
    assert_has(
        made.row("FROM mart_cohort_week WHERE cohort = $1 AND week = $2", cohort, WEEK), OF_FIVE
    )


def test_a_cohort_may_cross_organisations(made: HandMade) -> None:
    """Two of the one and three of the other: 6, 6, 6.5, 6.5 and 7 h; all but one with stages."""
    row = made.row("FROM mart_cohort_week WHERE cohort = 'of both' AND week = $1", WEEK)
    assert_has(row, {"users": 5, "nights": 20, "tst_mean_s": 23_040, "tst_median_s": 23_400})


def test_members(made: HandMade) -> None:
    """Whoever is on a list but unknown is no member."""
    counts = made.rows("SELECT cohort, count(*) AS n FROM cohort_member GROUP BY ALL ORDER BY ALL")
    assert [tuple(row.values()) for row in counts] == [
        ("of a condition", 5),
        ("of a list", 5),
        ("of both", 5),
        ("too small", 5),
    ]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[HandMade]:
    """Four users of one organisation."""
    with hand_made(tmp_path) as empty:
        empty.put_users(*({"user_id": f"four-{n}", "org_id": "four"} for n in range(4)))
        empty.put(
            *(row for row in everybody() if row["user_id"] in {f"four-{n}" for n in range(4)})
        )
        yield empty


def test_the_least_size_is_a_setting(small: HandMade) -> None:
    """With another one, everything is made anew."""
    small.publish()
    assert small.row("FROM mart_org_week")["is_suppressed"]
    assert small.publish(Parameters(min_group_size=4)).is_full
    assert_has(
        small.row("FROM mart_org_week"),
        {
            "is_suppressed": False,
            "users": 4,
            "deep_of_tst_mean_fraction": 0.2,
            "tst_mean_s": 24_300,
        },
    )


def test_a_cohort_comes_and_goes(small: HandMade) -> None:
    """Its weeks with it, without any new session."""
    four = Parameters(min_group_size=4)
    small.publish(four)
    put_cohort(small.lake, Cohort("all", "true"), now=NOW)
    assert not small.publish(four).is_full
    assert [row["users"] for row in small.rows("FROM mart_cohort_week")] == [4]
    put_cohort(small.lake, Cohort("all", user_ids=("four-1",)), now=NOW)
    small.publish(four)
    assert [row["users"] for row in small.rows("FROM mart_cohort_week")] == [None]
    drop_cohort(small.lake, "all")
    assert not small.publish(four).is_full
    assert small.rows("FROM mart_cohort_week") == small.rows("FROM cohort_member") == []


@pytest.mark.parametrize("condition", ["age > 30", "birth_year >", "1 = 1) OR (nothing"])
def test_a_condition_that_cannot_be_evaluated_is_named(small: HandMade, condition: str) -> None:
    """With what to do; the published file stays as it is."""
    small.publish()
    put_cohort(small.lake, Cohort("strange", condition), now=NOW)
    with pytest.raises(WarehouseError, match="cohort 'strange'") as caught:
        small.publish()
    assert "cohort drop strange" in str(caught.value.fix)
    assert small.rows("FROM cohort_member") == []


def test_a_lake_of_an_earlier_release_is_published(tmp_path: Path) -> None:
    """It has no cohorts yet; opening it makes the tables."""
    with hand_made(tmp_path) as earlier:
        with earlier.lake.write("as it was before there were cohorts") as con:
            for table in ("cohorts", "cohort_lists"):
                con.execute(f"DROP TABLE lake.{table}")
        earlier.put(session("somebody", "2026-06-01T00:30", "900L"))
        opened = HandMade(type(earlier.lake).open(earlier.lake.root), earlier.path)
        opened.publish()
        put_cohort(opened.lake, Cohort("all", "true"), now=NOW)
        opened.publish()
        assert opened.row("SELECT count(*) AS n FROM fct_night") == {"n": 1}
        assert type(earlier.lake).open(earlier.lake.root).snapshot_id() == opened.lake.snapshot_id()


def test_a_user_whom_a_condition_cannot_judge_holds_nothing_up(tmp_path: Path) -> None:
    """Publishing goes on, also when somebody comes whom nobody thought of."""
    with hand_made(tmp_path) as lake:
        numbered = Cohort("low", condition="CAST(substr(user_id, 2) AS INTEGER) < 100")
        put_cohort(lake.lake, numbered, now=LONG_AGO)
        lake.put_users({"user_id": "U1", "org_id": "acme"}, {"user_id": "guest", "org_id": "acme"})
        lake.publish()
        assert lake.rows("FROM cohort_member") == [{"cohort": "low", "user_id": "U1"}]


def test_an_untrustworthy_recording_does_not_hide_a_sound_night(tmp_path: Path) -> None:
    """However much sleep it claims; and the same sleep counts once."""
    forgotten = session(
        "u", "2026-06-01T06:00:00", "2980L", peculiarities=["TOO_LONG_FOR_ANALYSIS"]
    )
    with hand_made(tmp_path) as lake:
        lake.put(forgotten, session("u", "2026-06-01T22:00:00", "20W 900L"))
        lake.publish()
        night = lake.row("FROM fct_night WHERE night_date = '2026-06-02'")
    assert (night["is_night"], night["tst_s"], night["sleep_24h_s"]) == (True, 27_000, 27_000)
