"""What the pages say: words, figures and text alternatives, without a browser."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from asleep_pipeline.dashboard.measures import MEASURES
from asleep_pipeline.dashboard.pages.cohorts import cohort_choices, cohorts_page, metric_choices
from asleep_pipeline.dashboard.pages.night import night_choices, night_page
from asleep_pipeline.dashboard.pages.nights import nights_page
from asleep_pipeline.dashboard.pages.organisation import organisation_page, week_choices
from asleep_pipeline.dashboard.pages.person import person_page
from asleep_pipeline.dashboard.pages.quality import quality_page
from asleep_pipeline.dashboard.queries.people import Span
from asleep_pipeline.dashboard.words import NONE
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline_tests.dashboard.tale import ANN, MONDAY, SIX_HOURS
from asleep_pipeline_tests.hand_made import hand_made, session

SLEEP = MEASURES["Total sleep time"]
NEVER = replace(ANN, first=date(2020, 1, 1), last=date(2020, 1, 31))


def text(page: str) -> str:
    """What somebody reads of a page, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def descriptions(page: str) -> list[str]:
    """The text alternatives of its charts, which some have twice: wide and narrow."""
    specs = re.findall(r"data-data='([^']*)'", page)
    told = (json.loads(json.loads(html.unescape(spec)))["description"] for spec in specs)
    return list(dict.fromkeys(told))


def test_person(con: duckdb.DuckDBPyConnection) -> None:
    """Score with its parts, weights and version, insights with evidence, and all windows."""
    page = person_page(con, ANN, 14)
    said = text(page)
    assert "Figures up to Sat 14 Nov 2026. Organisation acme. UTC. Sleep need 8 h 00 min." in said
    assert "92 of 100, from 13 nights" in said
    assert "Score = 40% efficiency + 30% consistency + 30% duration. Version 1-" in said
    assert "Nights observed 7 of 7 13 of 14 13 of 30" in said
    assert f"Total sleep time 6 h 17 min 7 h 05 min {NONE}" in said
    assert f"To bed 23:00 ± 0 min 23:00 ± 0 min {NONE}" in said
    assert "6 of 7 nights of the last week were short; the average was 6 h 17 min." in said
    assert "Nights with less sleep than the setting short_sleep_s 6" in said
    (parts,) = descriptions(page)
    assert parts.endswith("efficiency 95 of 100, consistency 88 of 100, duration 91 of 100.")


def test_person_with_too_few_nights(con: duckdb.DuckDBPyConnection) -> None:
    """A score that there is not is a dash with its reason."""
    said = text(person_page(con, ANN, 30))
    assert f"{NONE} 13 nights observed; a score needs half of the days." in said


def test_person_without_nights(con: duckdb.DuckDBPyConnection) -> None:
    """Dates without a night give no figure, on any part of the page."""
    assert "No night in these dates." in text(person_page(con, NEVER, 14))
    assert "There is no night between these dates." in text(nights_page(con, NEVER))
    assert night_choices(con, NEVER) == {}
    assert "There is no session with stages" in text(night_page(con, NEVER, None, "<i>picker</i>"))


def test_nights(con: duckdb.DuckDBPyConnection) -> None:
    """Four charts, each with a title, its unit and a sentence."""
    stages, times, raster, calendar = descriptions(nights_page(con, ANN))
    assert stages == (
        "Sleep stages by night (h). 13 nights, 7 h 05 min asleep (7 % deep, 7 % REM, 86 % light) "
        "on average, awake in between 0 min. 1 date left out: too little sleep, or poor data."
    )
    assert "began before 23:00, half ended before 07:20; 3 nights on free days" in times
    assert raster.startswith("Regularity (local time). One row a day from noon to noon")
    assert "1 nap." in raster
    assert "Shortest: 6 h 00 min on Mon 9 Nov 2026." in calendar


def test_nights_whose_stages_are_not_told_apart(con: duckdb.DuckDBPyConnection) -> None:
    """Where there may be only two stages, no share of a stage is told."""
    said = text(nights_page(con, replace(ANN, user_id="bob")))
    assert "14 nights, 7 h 30 min asleep on average" in said


def test_one_night(con: duckdb.DuckDBPyConnection) -> None:
    """The hypnogram says in words what it shows, the tiles what was not measured."""
    choices = night_choices(con, ANN)
    label = "Mon 2 Nov 2026, from 23:00: 8 h 00 min asleep"
    page = night_page(con, ANN, choices[label], "<i>picker</i>")
    (said,) = descriptions(page)
    assert said.startswith("Hypnogram of Mon 2 Nov 2026 (sleep stage by local time). In bed from")
    assert "8 h 00 min asleep, 0 h 30 min deep, 0 h 30 min REM, 7 h 00 min light" in said
    assert "<i>picker</i>" in page
    assert f"Snoring {NONE} of the sleep period" in text(page)
    assert "Sat 7 Nov 2026, from 14:00: 0 h 30 min asleep (nap)" in choices


def test_organisation(con: duckdb.DuckDBPyConnection) -> None:
    """A trend, how people differ with the week before, short sleepers, and all weeks."""
    week = MONDAY + timedelta(days=7)
    assert list(week_choices(con, "acme").values()) == [week, MONDAY]
    page = organisation_page(con, "acme", SLEEP, week)
    trend, people, short = descriptions(page)
    assert trend.startswith("Total sleep time by week (h). The median of people: 7 h 30 min")
    assert "Week of 9 Nov: 5 people, median 7 h 30 min." in people
    assert "Week of 2 Nov: 5 people, median 7 h 30 min." in people
    assert "less than 7 h 00 min a day on average; 20 % in the last week shown." in short
    assert "Mon 9 Nov 2026 5 34 7 h 30 min 6 h 36 min to 7 h 30 min" in text(page)


def test_small_organisation_is_not_shown(con: duckdb.DuckDBPyConnection) -> None:
    """Of too small a group, no figure leaves the file, and the page says why."""
    page = organisation_page(con, "duo", SLEEP, MONDAY)
    assert "1 week; with fewer than 5 people and not shown: 1." in text(page)
    assert descriptions(page) == []
    assert "Mon 2 Nov 2026 Fewer than 5 people: not shown" in text(page)
    assert "8 h 00 min" not in page
    assert "28800" not in page


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_shown(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Each figure that can be chosen makes a page."""
    assert f"{name} by week" in organisation_page(con, "acme", MEASURES[name], MONDAY)


def test_organisation_without_weeks(con: duckdb.DuckDBPyConnection) -> None:
    """An organisation that nobody has enough nights of has a page that says so."""
    assert week_choices(con, "void") == {}
    said = text(organisation_page(con, "void", SLEEP, None))
    assert "No week has a person with at least half of its nights yet." in said


def test_cohorts(con: duckdb.DuckDBPyConnection) -> None:
    """All cohorts with their sizes, and two compared with sizes of effect."""
    assert cohort_choices(con) == ["all", "early", "late"]
    page = cohorts_page(con, ("all", "early"), "tst", 1)
    (said,) = descriptions(page)
    assert said.startswith("Total sleep time of people (min). Mean of people: all 4")
    assert "Hedges' g" in text(page)
    assert "late 2 2" in text(page)
    assert "asleep-pipeline cohort define" in page


def test_small_cohort_is_not_shown(con: duckdb.DuckDBPyConnection) -> None:
    """A comparison with too small a cohort says only that."""
    page = cohorts_page(con, ("early", "late"), "tst", 1)
    assert "Not shown: a cohort has fewer than 5 people" in text(page)
    assert descriptions(page) == []


@pytest.mark.parametrize("chosen", [("early", "early"), ("early", None), (None, None)])
def test_two_cohorts_are_needed(
    con: duckdb.DuckDBPyConnection, chosen: tuple[str | None, str | None]
) -> None:
    """With one cohort, or the same twice, the page says what is missing."""
    assert "Two different cohorts are needed" in cohorts_page(con, chosen, "tst", 4)


@pytest.mark.parametrize("metric", metric_choices().values())
def test_every_metric_is_shown(con: duckdb.DuckDBPyConnection, metric: str) -> None:
    """Each figure that cohorts can be compared by makes a page, also where it is not measured."""
    assert "Define one" in cohorts_page(con, ("all", "early"), metric, 1)


def test_data_quality(con: duckdb.DuckDBPyConnection) -> None:
    """Tiles, three charts, and the sessions that somebody should look at."""
    page = quality_page(con, None)
    said = text(page)
    assert "86 sessions of all organisations." in said
    assert "Good quality 98.8 % 84 of 85" in said
    assert "time_in_light 1 Mon 2 Nov 2026" in said
    assert "do not follow from their own stages: 1 of 1 compared." in said
    assert "Tue 10 Nov 2026 OPEN fay" in said
    bars, unknown, late = descriptions(page)
    assert bars.startswith("Quality by week (% of sessions). 98.8 % of 85 sessions")
    assert unknown == "Time without a known stage (%). By week: 0.0 % to 2.6 %."
    assert late.startswith("From session end to reading it (h). Median of a week: 0.0 h to 0.0 h.")


def test_data_quality_of_nothing(con: duckdb.DuckDBPyConnection) -> None:
    """Nothing measured is said as such."""
    said = text(quality_page(con, "void"))
    assert "0 sessions of organisation void." in said
    assert f"Complete {NONE}" in said
    assert "By week: nothing measured." in said


def test_names_are_text(tmp_path: Path) -> None:
    """An id that looks like HTML stays text, in pages and in the descriptions of charts."""
    hostile = "\"'><img src=x onerror=alert(1)>"
    with hand_made(tmp_path) as made:
        made.put_users({"user_id": hostile, "org_id": hostile})
        made.put(session(hostile, "2026-11-01T23:00", SIX_HOURS, org_id=hostile))
        made.publish()
        with read_warehouse(made.path) as con:
            span = Span(hostile, MONDAY, MONDAY)
            pages = [
                person_page(con, span, 7),
                organisation_page(con, hostile, SLEEP, MONDAY),
                quality_page(con, hostile),
            ]
    assert all("<img" not in page for page in pages)
    assert hostile in text(pages[0])
