"""Pages of reports in a browser: nothing keeps people out, nothing is fetched, nothing sticks out."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from asleep_pipeline.reports import month_of, organisation_report, user_report
from asleep_pipeline.reports.model import Report
from asleep_pipeline.reports.page import page
from asleep_pipeline_tests.browser.axe import violations
from asleep_pipeline_tests.reports.story import WEEK, opened, publish_story

SIZES = {"wide": 1280, "narrow": 400}
NAMES = ("user", "month", "organisation", "suppressed", "empty")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    with opened(publish_story(folder)) as con:
        told: dict[str, Report] = {
            "user": user_report(con, "ada", WEEK),
            "month": user_report(con, "ada", month_of(WEEK.start_date)),
            "organisation": organisation_report(con, "acme", WEEK),
            "suppressed": organisation_report(con, "tiny", WEEK),
            "empty": user_report(con, "hal", WEEK),
        }
    for name, report in told.items():
        (folder / f"{name}.html").write_text(page(report), encoding="utf-8")
    return folder


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_keeps_people_out(browser_page: Page, pages: Path, name: str, width: int) -> None:
    """With all that can be unfolded open, on a desk and on a phone."""
    browser_page.set_viewport_size({"width": width, "height": 800})
    browser_page.goto((pages / f"{name}.html").as_uri())
    assert violations(browser_page) == []
    browser_page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert violations(browser_page) == []


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_sticks_out(browser_page: Page, pages: Path, name: str, width: int) -> None:
    """Wide tables scroll for themselves; the page does not scroll sideways."""
    browser_page.set_viewport_size({"width": width, "height": 800})
    browser_page.goto((pages / f"{name}.html").as_uri())
    assert browser_page.evaluate("document.documentElement.scrollWidth") == width


def test_a_page_asks_for_nothing_and_complains_of_nothing(browser_page: Page, pages: Path) -> None:
    """It is whole by itself."""
    asked, said = [], []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.on("console", lambda message: said.append(message.text))
    address = (pages / "user.html").as_uri()
    browser_page.goto(address)
    assert (asked, said) == ([address], [])


@pytest.mark.parametrize(
    ("width", "shown", "hidden"), [(1280, "wide", "narrow"), (400, "narrow", "wide")]
)
def test_charts_fit_the_width(
    browser_page: Page, pages: Path, width: int, shown: str, hidden: str
) -> None:
    """One of two drawings is shown, and the other is for nobody."""
    browser_page.set_viewport_size({"width": width, "height": 800})
    browser_page.goto((pages / "user.html").as_uri())
    assert browser_page.locator(f"figure .{shown} svg").first.is_visible()
    assert not browser_page.locator(f"figure .{hidden} svg").first.is_visible()


def test_print_shows_wide_charts_and_no_folded_parts(browser_page: Page, pages: Path) -> None:
    """Paper cannot be unfolded."""
    browser_page.goto((pages / "user.html").as_uri())
    browser_page.emulate_media(media="print")
    browser_page.set_viewport_size({"width": 500, "height": 800})
    assert browser_page.locator("figure .wide svg").first.is_visible()
    assert not browser_page.locator("details").first.is_visible()
