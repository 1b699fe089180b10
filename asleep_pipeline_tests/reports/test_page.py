"""Pages: whole by themselves, safe, and to be read by everybody."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from asleep_pipeline.reports import month_of, organisation_report, user_report
from asleep_pipeline.reports.model import Report
from asleep_pipeline.reports.page import page
from asleep_pipeline_tests.reports.markup import Markup, read
from asleep_pipeline_tests.reports.story import ORGANISATIONS, WEEK, opened, publish_hostile

HOSTILE_USER = "\"><img src=x onerror=alert(1)>'&amp;{{ 7 * 7 }}"
HOSTILE_ORG = "</title></style><script>alert('org')</script>]]>--&"
USERS = ("ada", "bea", "hal")


MONTH = "ada's month"
NAMES = (*USERS, *ORGANISATIONS, MONTH)


@pytest.fixture(scope="module")
def pages(story: Path) -> dict[str, Markup]:
    """The parsed page of everybody."""
    with opened(story) as con:
        told: dict[str, Report] = {who: user_report(con, who, WEEK) for who in USERS}
        told |= {org_id: organisation_report(con, org_id, WEEK) for org_id in ORGANISATIONS}
        told[MONTH] = user_report(con, "ada", month_of(WEEK.start_date))
    return {name: read(page(report)) for name, report in told.items()}


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_well_formed(pages: dict[str, Markup], name: str) -> None:
    """Every tag is closed in its turn, and no id is given twice."""
    markup = pages[name]
    assert markup.faults == []
    ids = [a["id"] for _, a in markup.elements if "id" in a]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NAMES)
def test_pages_need_nothing_else(pages: dict[str, Markup], name: str) -> None:
    """No script, nothing to be fetched, and a policy that forbids both."""
    markup = pages[name]
    assert markup.references == []
    assert not {tag for tag, _ in markup.elements} & {"script", "link", "img", "iframe", "object"}
    assert [n for _, a in markup.elements for n in a if n.startswith("on")] == []
    policies = [m["content"] for m in markup.named("meta") if "http-equiv" in m]
    assert [str(policy).startswith("default-src 'none'") for policy in policies] == [True]


@pytest.mark.parametrize("name", NAMES)
def test_pages_can_be_read_by_everybody(pages: dict[str, Markup], name: str) -> None:
    """Language, landmarks, headings in order, named tables and pictures with words."""
    markup = pages[name]
    assert [a["lang"] for a in markup.named("html")] == ["en"]
    for landmark in ("header", "main", "footer", "h1"):
        assert len(markup.named(landmark)) == 1
    levels = [int(tag[1]) for tag, _ in markup.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(markup.named("caption")) == len(markup.named("table"))
    assert {cell.get("scope") for cell in markup.named("th")} <= {"col", "row", "rowgroup"}
    for picture in markup.named("svg"):
        assert picture["role"] == "img"
        assert picture["aria-labelledby"]


def test_every_chart_has_words_and_its_data_in_a_table(pages: dict[str, Markup]) -> None:
    """What is drawn is told as well."""
    markup = pages["ada"]
    assert len(markup.named("figcaption")) == len(markup.named("figure")) == 9
    captions = markup.text_of("caption")
    for table in (
        "The nights",
        "The score and its parts",
        "Every stretch",
        "Stages of 20",
        "The last",
    ):
        assert [c for c in captions if c.startswith(table)]


def test_a_page_tells_the_figures(pages: dict[str, Markup]) -> None:
    """In hours and minutes, percents and clock times."""
    markup = pages["ada"]
    assert markup.text_of("h1") == ["Week 47 of 2026"]
    assert {"6 of 7", "7 h 42 min", "7 h 47 min", "96.1 %", "94.7", "23:00"} <= set(
        markup.text_of("dd")
    )
    assert "\N{MINUS SIGN}18 min on the week before" in markup.text_of("dd")


def test_what_was_not_measured_is_a_dash_with_words(pages: dict[str, Markup]) -> None:
    """Never a 0; read aloud it is `not measured`."""
    markup = pages["bea"]
    texts = markup.texts
    at = texts.index(("th", "Deep sleep, share of sleep"))
    assert texts[at + 1 : at + 3] == [("span", "\N{EN DASH}"), ("span", "not measured")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hal", "There are no nights of this week."),
        ("void", "Nobody has at least half of the nights of this week"),
        ("tiny", "Fewer than 5 people have enough nights in this week."),
    ],
)
def test_a_page_without_figures_says_why(pages: dict[str, Markup], name: str, said: str) -> None:
    """And draws nothing."""
    markup = pages[name]
    assert [text for text in markup.text_of("p") if text.startswith(said)]
    assert markup.named("svg") == []


def test_ids_cannot_become_markup(tmp_path: Path) -> None:
    """An organisation or a user may be called anything."""
    path = publish_hostile(tmp_path, HOSTILE_USER, HOSTILE_ORG)
    with opened(path) as con:
        of_user = read(page(user_report(con, HOSTILE_USER, WEEK)))
        of_org = read(page(organisation_report(con, HOSTILE_ORG, WEEK)))
    assert HOSTILE_USER in "".join(of_user.text_of("dd"))
    for markup in (of_user, of_org):
        assert HOSTILE_ORG in "".join(markup.text_of("dd"))
        assert markup.faults == []
        assert not {tag for tag, _ in markup.elements} & {"script", "img"}


def test_a_page_does_not_carry_the_id_into_its_title(pages: dict[str, Markup]) -> None:
    """Titles end up in histories and bookmarks."""
    assert pages["ada"].text_of("title")[0] == "Sleep report, Week 47 of 2026"


def test_a_month_has_a_calendar(pages: dict[str, Markup]) -> None:
    """All of its dates at a glance."""
    assert "All sleep of each date, naps included" in pages[MONTH].text_of("strong")
