"""What the report of an organisation says, and what it keeps to itself."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from asleep_pipeline.errors import UsageError
from asleep_pipeline.reports import organisation_report
from asleep_pipeline.reports.files import report_json
from asleep_pipeline.reports.page import page
from asleep_pipeline_tests.reports.story import (
    BEFORE,
    ORGANISATIONS,
    WEEK,
    opened,
    publish_two_kinds,
)

PEOPLE = [who for people in ORGANISATIONS.values() for who in people]


def test_figures_are_means_of_the_people(con: duckdb.DuckDBPyConnection) -> None:
    """Four who slept 8 h, and ada."""
    acme = organisation_report(con, "acme", WEEK)
    assert (acme.status, acme.users_possible) == ("measured", 5)
    assert (acme.nights_observed, acme.nights_possible) == (6 + 4 * 7, 5 * 7)
    assert acme.figures
    assert acme.figures.users == 5
    assert acme.figures.tst_mean_s == (27_700 + 4 * 28_800) / 5
    assert acme.figures.tst_median_s == 28_800
    assert acme.figures.short_sleeper_fraction == 0


def test_the_parts_of_the_score_add_up(con: duckdb.DuckDBPyConnection) -> None:
    """They are means over the same people."""
    score = organisation_report(con, "acme", WEEK).score
    assert score
    weighted = [(part.points or 0) * part.weight_fraction for part in score.parts]
    assert score.score == pytest.approx(sum(weighted))
    assert score.parts[2].points == pytest.approx((580 / 6 + 4 * 100) / 5)


def test_the_period_before_is_beside(con: duckdb.DuckDBPyConnection) -> None:
    """Four slept half an hour less then."""
    before = organisation_report(con, "acme", WEEK).comparison
    assert (before.period, before.is_suppressed) == (BEFORE, False)
    assert before.figures
    assert before.figures.tst_mean_s == (28_800 + 4 * 27_000) / 5
    assert before.change["tst_mean_s"] == 28_580 - 27_360
    assert before.change["nights"] == 34 - 32


def test_a_group_too_small_to_hide_in_shows_no_figure(con: duckdb.DuckDBPyConnection) -> None:
    """Neither its size, nor quality, nor insights."""
    tiny = organisation_report(con, "tiny", WEEK)
    assert tiny.status == "suppressed"
    assert (tiny.figures, tiny.score, tiny.quality, tiny.insights) == (None, None, None, [])
    assert (tiny.users_possible, tiny.nights_possible, tiny.nights_observed) == (None, None, None)
    assert set(tiny.comparison.change.values()) == {None}
    assert [(point.is_suppressed, point.users, point.tst_mean_s) for point in tiny.trend] == [
        (True, None, None)
    ]


def test_a_suppressed_period_before_shows_no_difference(con: duckdb.DuckDBPyConnection) -> None:
    """In week 45 two people had nights."""
    before = organisation_report(con, "acme", BEFORE).comparison
    assert (before.is_suppressed, before.figures) == (True, None)
    assert set(before.change.values()) == {None}
    trend = organisation_report(con, "acme", WEEK).trend
    assert [point.is_suppressed for point in trend] == [True, False, False]


def test_an_organisation_without_nights_says_so(con: duckdb.DuckDBPyConnection) -> None:
    """It is a report, not an error."""
    void = organisation_report(con, "void", WEEK)
    assert (void.status, void.figures, void.quality) == ("no_nights", None, None)


def test_rules_are_told_only_where_people_can_hide(tmp_path: Path) -> None:
    """Two of four sleep too little, which is told; all four are regular, which is not."""
    with opened(publish_two_kinds(tmp_path)) as con:
        insights = organisation_report(con, "duo", WEEK).insights
    assert {one.rule: (one.users, one.users_fraction) for one in insights} == {
        "short_of_need": (2, 0.5),
        "need_met": (2, 0.5),
        "short_nights": (2, 0.5),
    }


@pytest.mark.parametrize("org_id", ORGANISATIONS)
def test_no_user_is_named(con: duckdb.DuckDBPyConnection, org_id: str) -> None:
    """Neither in the JSON nor on the page."""
    told = organisation_report(con, org_id, WEEK)
    text = report_json(told) + page(told)
    assert [who for who in PEOPLE if f'"{who}"' in text or f">{who}<" in text] == []


def test_an_unknown_organisation_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    """As an unknown user is."""
    with pytest.raises(UsageError, match="no organisation 'nowhere'"):
        organisation_report(con, "nowhere", WEEK)
