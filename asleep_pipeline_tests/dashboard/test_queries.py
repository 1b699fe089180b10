"""The figures that the pages show, of nights that are easy to add up."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import duckdb
import pytest

from asleep_pipeline.dashboard.measures import MEASURES
from asleep_pipeline.dashboard.queries import groups, people, quality
from asleep_pipeline.dashboard.queries.contents import contents, parameters
from asleep_pipeline_tests.dashboard.tale import ANN, LAST, MONDAY

DUO_SESSIONS = {"sessions": 15, "complete": 14, "stuck": 1, "good": 14, "judged": 14}


def test_contents(con: duckdb.DuckDBPyConnection) -> None:
    """What there is: organisations, people, nights and their dates."""
    found = contents(con)
    assert found.organisations == ("acme", "duo")
    assert (found.people, found.nights) == (7, 84)
    assert (found.first, found.last) == (MONDAY, LAST)
    assert found.published_at is not None


def test_parameters(con: duckdb.DuckDBPyConnection) -> None:
    """The pages tell what the marts were made with."""
    given = parameters(con)
    assert given.short_sleep_s == 7 * 3600
    assert groups.least(con, "acme") == 5
    assert sum(given.weights.values()) == pytest.approx(1)


def test_people_of_all_and_of_one_organisation(con: duckdb.DuckDBPyConnection) -> None:
    """People are counted with their nights, and can be narrowed to an organisation."""
    assert people.people(con)["user_id"].to_list() == [
        "ann",
        "bob",
        "cid",
        "dot",
        "eli",
        "fay",
        "gus",
    ]
    assert people.people(con, "duo").to_dicts() == [
        {"user_id": who, "org_id": "duo", "nights": 7, "last_night": date(2026, 11, 8)}
        for who in ("fay", "gus")
    ]


def test_nights_of_a_span(con: duckdb.DuckDBPyConnection) -> None:
    """Both ends of a span are in it; a night of poor quality is there and does not count."""
    rows = people.nights(con, ANN)
    assert rows["night_date"].to_list() == [MONDAY + timedelta(days=n) for n in range(14)]
    assert rows["is_night"].to_list() == [True] * 13 + [False]
    assert rows["tst_s"].to_list() == [8 * 3600] * 7 + [6 * 3600] * 6 + [50 * 60]


def test_windows_end_with_the_last_night_of_the_span(con: duckdb.DuckDBPyConnection) -> None:
    """Rolling figures are those of the last night that counts; too few nights give none."""
    rows = people.windows(con, ANN)
    assert {days: row["nights_observed"] for days, row in rows.items()} == {7: 7, 14: 13, 30: 13}
    assert {row["night_date"] for row in rows.values()} == {date(2026, 11, 14)}
    assert rows[7]["tst_mean_s"] == pytest.approx((8 + 6 * 6) * 3600 / 7)
    assert rows[30]["score"] is None
    first_week = people.windows(con, replace(ANN, last=date(2026, 11, 8)))
    assert first_week[7]["tst_mean_s"] == 8 * 3600


def test_insights_with_their_evidence(con: duckdb.DuckDBPyConnection) -> None:
    """An insight comes with the figures that it rests on."""
    found = {one["rule"]: one for one in people.insights(con, "ann", date(2026, 11, 14))}
    assert found.keys() == {"regular_bedtime", "short_nights", "short_of_need"}
    assert found["short_nights"]["evidence"]["short_nights"] == 6
    assert found["short_of_need"]["evidence"]["nights_observed"] == 13


def test_sleep_intervals_from_noon_to_noon(con: duckdb.DuckDBPyConnection) -> None:
    """A night belongs to the day before, a nap to its own; poor data are left out."""
    rows = people.sleep_intervals(con, ANN).to_dicts()
    assert len(rows) == 14
    assert rows[0] == {"day": date(2026, 11, 1), "from_min": 670, "to_min": 1150, "kind": "asleep"}
    (nap,) = (row for row in rows if row["kind"] == "nap")
    assert nap == {"day": date(2026, 11, 7), "from_min": 120, "to_min": 150, "kind": "nap"}


def test_sessions_and_their_stages(con: duckdb.DuckDBPyConnection) -> None:
    """Every session with stages can be chosen, the newest first, and has a hypnogram."""
    rows = people.sessions(con, ANN)
    assert rows.height == 15
    assert rows["night_date"][0] == LAST
    runs = people.stage_runs(con, "ann", rows["session_id"][-1])
    assert runs["stage"].to_list() == ["wake", "light", "deep", "rem", "wake"]
    assert runs["length_s"].sum() == 1000 * 30


def test_weeks_of_an_organisation(con: duckdb.DuckDBPyConnection) -> None:
    """A large group has figures; of a small one there is only that it is not shown."""
    rows = groups.weeks(con, "acme")
    assert rows["users"].to_list() == [5, 5]
    assert rows["nights"].to_list() == [35, 34]
    assert rows["tst_median_s"].to_list() == [7.5 * 3600] * 2
    assert rows["short_sleeper_fraction"].to_list() == [0.0, 0.2]
    (small,) = groups.weeks(con, "duo").to_dicts()
    known = {name: value for name, value in small.items() if value is not None}
    assert known == {"org_id": "duo", "week": MONDAY, "is_suppressed": True}


def test_people_of_a_week(con: duckdb.DuckDBPyConnection) -> None:
    """One value a person in the measure's unit, and none of a small group."""
    sleep = MEASURES["Total sleep time"]
    assert sorted(groups.people_of_week(con, "acme", sleep, MONDAY)) == [7.5] * 4 + [8.0]
    assert groups.people_of_week(con, "duo", sleep, MONDAY).is_empty()


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_has_its_columns(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """What can be chosen can be shown."""
    measure = MEASURES[name]
    columns = groups.weeks(con, "acme").columns
    assert {measure.middle, *(measure.spread or ())} <= set(columns)
    assert groups.people_of_week(con, "acme", measure, MONDAY).name == "value"


def test_cohorts(con: duckdb.DuckDBPyConnection) -> None:
    """Cohorts come with how many people they hold."""
    assert groups.cohorts(con) == [
        {"cohort": name, "people": size, "people_with_nights": size}
        for name, size in {"all": 7, "early": 5, "late": 2}.items()
    ]


def test_totals_of_data_quality(con: duckdb.DuckDBPyConnection) -> None:
    """Sessions are counted by what is wrong with them, over all organisations and of one."""
    quality.judge(con, None)
    everything = quality.totals(con)
    assert (everything["sessions"], everything["good"], everything["judged"]) == (86, 84, 85)
    assert (everything["compared"], everything["inconsistent"]) == (1, 1)
    quality.judge(con, "duo")
    assert quality.totals(con).items() >= DUO_SESSIONS.items()
    quality.judge(con, "nobody's")
    assert quality.totals(con)["sessions"] == 0


def test_totals_are_those_of_the_days(con: duckdb.DuckDBPyConnection) -> None:
    """What the page adds up is what `dq_day` says."""
    quality.judge(con, None)
    sums = "sum(sessions), sum(good_sessions), sum(stuck_sessions), sum(inconsistent_sessions)"
    (days,) = con.execute(f"SELECT {sums} FROM dq_day").fetchall()
    found = quality.totals(con)
    assert days == tuple(found[name] for name in ("sessions", "good", "stuck", "inconsistent"))


def test_quality_by_week(con: duckdb.DuckDBPyConnection) -> None:
    """The shares of a week add up to one; the one poor night is in the second week."""
    quality.judge(con, None)
    rows = quality.quality_by_week(con)
    assert {(row["week"], row["quality"]): row["share"] for row in rows.to_dicts()} == {
        (MONDAY, "good"): 1,
        (MONDAY + timedelta(days=7), "good"): pytest.approx(34 / 35),
        (MONDAY + timedelta(days=7), "poor"): pytest.approx(1 / 35),
    }


def test_unknown_stages_and_lateness_by_week(con: duckdb.DuckDBPyConnection) -> None:
    """900 of 1000 epochs of one in 35 sessions are unknown; the tale is read as it happens."""
    quality.judge(con, None)
    unknown = quality.unknown_by_week(con)["unknown_fraction"].to_list()
    assert unknown == [0, pytest.approx(0.9 / 35)]
    assert quality.lateness_by_week(con)["p90_s"].to_list() == [0, 0]


def test_sessions_that_somebody_should_look_at(con: duckdb.DuckDBPyConnection) -> None:
    """The statistic that contradicts its stages, and the session that was never closed."""
    quality.judge(con, "acme")
    assert quality.contradicted(con) == [
        {"statistic": "time_in_light", "sessions": 1, "last_night": MONDAY}
    ]
    assert quality.stuck(con) == []
    quality.judge(con, "duo")
    assert quality.contradicted(con) == []
    assert [row["user_id"] for row in quality.stuck(con)] == ["fay"]
