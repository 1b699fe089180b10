"""What the report of a user says of nights that are easy to add up."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from msgspec import structs

from asleep_pipeline.errors import UsageError, WarehouseError
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.reports import Period, default_week, month_of, user_report, week_of
from asleep_pipeline.reports.model import OrganisationFigures, UserFigures
from asleep_pipeline.warehouse.marts.tables import ORG_MONTH, ORG_WEEK, USER_MONTH, USER_WEEK
from asleep_pipeline_tests.hand_made import hand_made
from asleep_pipeline_tests.reports.story import BEFORE, WEEK, opened

MONDAY = WEEK.start_date
EIGHT_H = 28_800


def test_nights_observed_of_those_possible(con: duckdb.DuckDBPyConnection) -> None:
    """A night that cannot be trusted is listed and does not count."""
    ada = user_report(con, "ada", WEEK)
    assert (ada.status, ada.nights_observed, ada.nights_possible) == ("measured", 6, 7)
    assert [night.is_night for night in ada.nights] == [True, False, True, True, True, True, True]
    assert [n.quality for n in ada.nights if not n.is_night] == ["poor"]


def test_figures_are_means_of_the_nights_that_count(con: duckdb.DuckDBPyConnection) -> None:
    """Five nights around 8 h, one of 6 h, and a nap of half an hour."""
    figures = user_report(con, "ada", WEEK).figures
    assert figures
    assert figures.tst_mean_s == (4 * EIGHT_H + 21_600 + 29_400) / 6
    assert figures.sleep_24h_mean_s == (4 * EIGHT_H + 21_600 + 29_400 + 1_800) / 6
    assert figures.sol_mean_s == (5 * 600 + 300) / 6
    assert figures.efficiency_mean_fraction == pytest.approx((4 * 0.96 + 0.98 + 720 / 760) / 6)
    assert (figures.short_nights, figures.naps, figures.nights_free) == (1, 1, 2)
    assert figures.bed_mean_min == pytest.approx(-60)
    assert figures.bed_sd_min == pytest.approx(0, abs=1e-6)
    assert figures.free_midpoint_min == pytest.approx(190)


def test_what_was_not_measured_is_none(con: duckdb.DuckDBPyConnection) -> None:
    """Never 0: nobody listened for snoring, and bea has no stages."""
    bea = user_report(con, "bea", WEEK)
    assert bea.figures
    assert bea.figures.snoring_of_spt_mean_fraction is None
    assert bea.figures.deep_of_tst_mean_fraction is None
    assert {night.deep_s for night in bea.nights} == {None}
    assert bea.comparison.change["deep_of_tst_mean_fraction"] is None


def test_the_score_with_its_parts_weights_and_version(con: duckdb.DuckDBPyConnection) -> None:
    """The weighted parts add up to it."""
    score = user_report(con, "ada", WEEK).score
    assert score
    assert score.version.startswith("1-")
    assert [(p.part, p.weight_fraction) for p in score.parts] == [
        ("efficiency", 0.4),
        ("consistency", 0.3),
        ("duration", 0.3),
    ]
    points = [part.points or 0 for part in score.parts]
    assert points[2] == pytest.approx((5 * 100 + 80) / 6)
    assert score.score == pytest.approx(0.4 * points[0] + 0.3 * points[1] + 0.3 * points[2])


def test_the_period_before_is_beside(con: duckdb.DuckDBPyConnection) -> None:
    """Its figures, its nights, and the difference; clock times the short way round."""
    before = user_report(con, "ada", WEEK).comparison
    assert before.period == BEFORE
    assert before.figures
    assert (before.figures.nights, before.figures.tst_mean_s) == (4, EIGHT_H)
    assert before.sleep_24h_s == [EIGHT_H] * 4
    assert before.change["nights"] == 2
    assert before.change["tst_mean_s"] == -1_100
    assert before.change["wake_mean_min"] == pytest.approx(411.358 - 430, abs=1e-3)


def test_best_and_shortest_night(con: duckdb.DuckDBPyConnection) -> None:
    """Best by points for its length, then by efficiency; both with their stages."""
    ada = user_report(con, "ada", WEEK)
    assert ada.best_night_date == date(2026, 11, 20)
    assert ada.shortest_night_date == date(2026, 11, 18)
    shortest, best = ada.hypnograms
    assert (shortest.night_date, best.night_date) == (date(2026, 11, 18), date(2026, 11, 20))
    assert [(run.stage, run.length_s) for run in best.runs] == [
        ("wake", 300),
        ("light", 25_800),
        ("deep", 1_800),
        ("rem", 1_800),
        ("wake", 300),
    ]


def test_insights_are_those_of_the_last_night_with_their_evidence(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Ten nights of the last two weeks, all of them begun at 23:00."""
    (insight,) = user_report(con, "ada", WEEK).insights
    assert (insight.rule, insight.night_date) == ("regular_bedtime", date(2026, 11, 22))
    assert "23:00 on most of 10 nights" in insight.text
    assert insight.evidence["nights_observed"] == 10
    assert insight.evidence["bed_mean_min"] == pytest.approx(-60)


def test_quality_counts_sessions_and_their_shares(con: duckdb.DuckDBPyConnection) -> None:
    """Six good nights and a good nap, and a night of which 90 % is unknown."""
    quality = user_report(con, "ada", WEEK).quality
    assert (quality.sessions, quality.good_sessions, quality.poor_sessions) == (8, 7, 1)
    assert (quality.good_fraction, quality.poor_fraction) == (7 / 8, 1 / 8)
    assert quality.unknown_mean_fraction == pytest.approx(0.9 / 8)


def test_every_stretch_of_sleep_is_there(con: duckdb.DuckDBPyConnection) -> None:
    """Naps too, on the wall clock."""
    sleeps = user_report(con, "ada", WEEK).sleeps
    assert len(sleeps) == 8
    (nap,) = (sleep for sleep in sleeps if sleep.kind == "nap")
    assert (nap.onset_local.isoformat(), nap.tst_s) == ("2026-11-19T14:00:00", 1_800)


def test_the_trend_begins_with_the_first_nights(con: duckdb.DuckDBPyConnection) -> None:
    """A week without nights stands in it without figures."""
    trend = user_report(con, "ada", week_of(MONDAY + timedelta(days=14))).trend
    assert [(point.key, point.nights, point.tst_mean_s) for point in trend] == [
        ("2026-W45", 4, EIGHT_H),
        ("2026-W46", 4, EIGHT_H),
        ("2026-W47", 6, 27_700),
        ("2026-W48", 0, None),
        ("2026-W49", 0, None),
    ]


def test_the_trend_ends_after_half_a_year(con: duckdb.DuckDBPyConnection) -> None:
    """26 weeks, the one of the report included."""
    trend = user_report(con, "ada", week_of(MONDAY + timedelta(weeks=24))).trend
    assert (len(trend), trend[0].key) == (26, "2026-W46")


def test_a_month_is_told_as_a_week_is(con: duckdb.DuckDBPyConnection) -> None:
    """All 14 nights that count, of 30; too few for a score."""
    november = user_report(con, "ada", month_of(MONDAY))
    assert (november.nights_observed, november.nights_possible) == (14, 30)
    assert november.figures
    assert november.figures.tst_mean_s == (12 * EIGHT_H + 21_600 + 29_400) / 14
    assert november.score
    assert november.score.score is None


def test_what_the_numbers_rest_on(con: duckdb.DuckDBPyConnection) -> None:
    """Snapshot, publication, zone rules and settings."""
    basis = user_report(con, "ada", WEEK).basis
    assert basis.lake_snapshot > 0
    assert basis.published_at
    assert basis.published_at.tzname() == "UTC"
    assert basis.tzdata_version
    assert basis.last_night_date == date(2026, 11, 22)
    assert (basis.parameters.sleep_need_s, basis.parameters.min_group_size) == (EIGHT_H, 5)


@pytest.mark.parametrize(("user_id", "week"), [("hal", WEEK), ("ada", WEEK.before(9))])
def test_a_period_without_nights_says_so(
    con: duckdb.DuckDBPyConnection, user_id: str, week: Period
) -> None:
    """It is a report, not an error."""
    empty = user_report(con, user_id, week)
    assert (empty.status, empty.nights_observed, empty.figures) == ("no_nights", 0, None)
    assert (empty.nights, empty.insights, empty.quality.sessions) == ([], [], 0)


def test_an_unknown_user_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    """With a way to find out who there is."""
    with pytest.raises(UsageError, match="no user 'nobody'") as caught:
        user_report(con, "nobody", WEEK)
    assert "users list" in caught.value.fix


def test_the_default_is_the_last_whole_week_with_nights(con: duckdb.DuckDBPyConnection) -> None:
    """The newest night is that of its Sunday."""
    assert default_week(con) == WEEK


def test_without_any_night_a_period_must_be_named(tmp_path: Path) -> None:
    """There is nothing to choose from."""
    with hand_made(tmp_path) as made:
        made.publish()
        with opened(made.path) as con, pytest.raises(UsageError, match="no night"):
            default_week(con)


def test_a_file_without_marts_is_explained(tmp_path: Path) -> None:
    """One sentence and what to do, not an error of the database."""
    with duckdb.connect(str(tmp_path / "old.duckdb")) as con:
        with pytest.raises(WarehouseError, match="dim_user") as caught:
            user_report(con, "ada", WEEK)
        assert "rebuild" in caught.value.fix


@pytest.mark.parametrize(
    ("mart", "figures"),
    [
        (USER_WEEK, UserFigures),
        (USER_MONTH, UserFigures),
        (ORG_WEEK, OrganisationFigures),
        (ORG_MONTH, OrganisationFigures),
    ],
)
def test_every_figure_of_the_marts_is_told(
    mart: Table, figures: type[UserFigures | OrganisationFigures]
) -> None:
    """In their order and under their names; a new column of a mart is a new key."""
    names = [field.name for field in structs.fields(figures)]
    assert names == [
        n for n in mart.column_names if n not in {*mart.key, "org_id", "is_suppressed"}
    ]
