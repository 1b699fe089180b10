"""The dashboard as people see it: the real command, and Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import duckdb
import pytest
from playwright.sync_api import Page, expect

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.browser.axe import Violation, violations
from asleep_pipeline_tests.dashboard.served import Served, served
from asleep_pipeline_tests.dashboard.tale import publish_tale

SLOW_MS: Final = 60_000
PAGES: Final = {
    "person": (
        9,
        (
            "Person ann",
            "92 of 100",
            "Worth noticing",
            "Key figures",
            "Hypnogram of Sun 15 Nov 2026",
        ),
    ),
    "organisation": (4, ("Organisation acme", "Total sleep time by week (h)", "Week by week")),
    "cohorts": (0, ("Not shown: a cohort has fewer", "early55", "asleep-pipeline cohort define")),
    "quality": (4, ("86 sessions of all organisations", "time_in_light", "Stuck sessions")),
}
"""How many charts a page has, and what stands on it."""

IS_PAINTED: Final = """canvas => {
    if (!canvas.width || !canvas.height) return false;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const colours = new Set(new Uint32Array(pixels.buffer));
    return colours.size > 3;
}"""
IS_TOO_WIDE: Final = "() => document.querySelector('#App').scrollWidth > window.innerWidth"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds the published file and nothing else."""
    made = tmp_path_factory.mktemp("made")
    folder = tmp_path_factory.mktemp("data")
    shutil.copy(publish_tale(made), folder / "asleep.duckdb")
    return folder


@pytest.fixture(scope="module")
def dashboard(folder: Path) -> Iterator[Served]:
    """The command on that folder."""
    with served(folder) as running:
        yield running


@pytest.fixture
def troubles(browser_page: Page) -> list[str]:
    """Errors of the page, and everything that it asks of another machine; filled as it runs."""
    found: list[str] = []

    def asked(url: str) -> None:
        if urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).hostname != "127.0.0.1":
            found.append(f"asked {url}")

    browser_page.on("pageerror", lambda error: found.append(f"error {error}"))
    browser_page.on(
        "console", lambda said: found.append(f"error {said.text}") if said.type == "error" else None
    )
    browser_page.on("request", lambda request: asked(request.url))
    browser_page.on("websocket", lambda socket: asked(socket.url))
    browser_page.on(
        "response",
        lambda answer: found.append(f"{answer.status} {answer.url}") if not answer.ok else None,
    )
    return found


def open_page(page: Page, dashboard: Served, name: str) -> None:
    """Load a page, and wait until all its charts are drawn."""
    page.goto(f"{dashboard.url}?page={name}")
    expect(page.locator("h2").first).to_be_visible(timeout=SLOW_MS)
    wait_for_charts(page, PAGES[name][0])


def wait_for_charts(page: Page, number: int) -> None:
    """Wait until all charts are there, and those that are visible are drawn."""
    expect(page.locator("canvas")).to_have_count(number, timeout=SLOW_MS)
    for canvas in page.locator("canvas:visible").all():
        page.wait_for_function(IS_PAINTED, arg=canvas.element_handle(), timeout=SLOW_MS)


def severe(page: Page) -> list[Violation]:
    """What axe finds that keeps people out."""
    return [found for found in violations(page) if found.impact in {"serious", "critical"}]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_quiet_and_accessible(
    browser_page: Page, dashboard: Served, troubles: list[str], name: str
) -> None:
    """A page shows its texts and charts, asks nothing of other machines, and shuts nobody out."""
    open_page(browser_page, dashboard, name)
    expect(browser_page.locator("nav [aria-current]")).to_have_attribute("href", f"?page={name}")
    for text in PAGES[name][1]:
        expect(browser_page.locator("#App")).to_contain_text(text)
    assert severe(browser_page) == []
    assert troubles == []


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(browser_page: Page, dashboard: Served, name: str) -> None:
    """On 400 px nothing reaches beyond the screen; wide tables scroll for themselves."""
    browser_page.set_viewport_size({"width": 400, "height": 900})
    open_page(browser_page, dashboard, name)
    assert not browser_page.evaluate(IS_TOO_WIDE)
    assert severe(browser_page) == []


def test_filters_work_by_keyboard(browser_page: Page, dashboard: Served) -> None:
    """Pages, organisations and people can be chosen without a mouse."""
    page, title = browser_page, browser_page.locator("h2").first
    open_page(page, dashboard, "person")
    page.locator("select").first.focus()
    page.keyboard.type("duo")
    expect(title).to_have_text("Person fay", timeout=SLOW_MS)
    page.get_by_role("button", name="Person").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("gus")
    page.keyboard.press("Enter")
    expect(title).to_have_text("Person gus", timeout=SLOW_MS)
    page.get_by_role("link", name="Organisation").focus()
    page.keyboard.press("Enter")
    expect(title).to_have_text("Organisation acme", timeout=SLOW_MS)
    page.go_back()
    expect(title).to_have_text("Person ann", timeout=SLOW_MS)


def test_a_small_organisation_is_not_shown(browser_page: Page, dashboard: Served) -> None:
    """Of too few people there is a sentence instead of figures."""
    open_page(browser_page, dashboard, "organisation")
    browser_page.locator("select").first.select_option("duo")
    hidden = browser_page.get_by_text("Fewer than 5 people: not shown").first
    expect(hidden).to_be_visible(timeout=SLOW_MS)


def test_two_cohorts_are_compared(browser_page: Page, dashboard: Served) -> None:
    """Over the weeks that are chosen, two cohorts stand against each other."""
    open_page(browser_page, dashboard, "cohorts")
    browser_page.locator("select").last.select_option("2 weeks")
    expect(browser_page.get_by_text("all minus early")).to_be_visible(timeout=SLOW_MS)
    wait_for_charts(browser_page, 1)
    assert severe(browser_page) == []


def test_a_chart_says_what_it_shows(browser_page: Page, dashboard: Served) -> None:
    """Who cannot see a chart is told its title and the sentence that stands above it."""
    open_page(browser_page, dashboard, "quality")
    chart = browser_page.locator("[role='graphics-document']:visible").nth(1)
    said = "Time without a known stage (%). By week: 0.0 % to 2.6 %."
    expect(chart).to_have_attribute("aria-label", said)


def test_loading_again_shows_what_was_published_since(
    browser_page: Page, dashboard: Served, folder: Path
) -> None:
    """A publish is not held up by a page that is open, and is there when that is loaded again."""
    open_page(browser_page, dashboard, "quality")
    expect(browser_page.get_by_text("7 people, 84 nights")).to_be_visible()
    with duckdb.connect(str(folder / "next")) as con:
        con.execute(f"ATTACH '{folder / 'asleep.duckdb'}' AS old (READ_ONLY)")
        con.execute("COPY FROM DATABASE old TO next")
        con.execute("DELETE FROM fct_night WHERE user_id = 'gus'")
    (folder / "next").replace(folder / "asleep.duckdb")
    browser_page.reload()
    expect(browser_page.get_by_text("6 people, 77 nights")).to_be_visible(timeout=SLOW_MS)


def test_it_ends_while_a_page_is_open(browser_page: Page, tmp_path: Path, folder: Path) -> None:
    """Somebody who looks at a page does not keep the command from ending."""
    shutil.copy(folder / "asleep.duckdb", tmp_path)
    with served(tmp_path) as running:
        open_page(browser_page, running, "quality")
        assert running.stop() == (ExitCode.OK, "Ctrl-C ends it.\n")


def test_without_data_it_says_what_to_do(
    browser_page: Page, tmp_path: Path, troubles: list[str]
) -> None:
    """Without a published file, the page names the commands that make one, and then shows it."""
    page = browser_page
    with served(tmp_path) as running:
        page.goto(running.url)
        expect(page.get_by_role("heading", name="There is nothing to show yet")).to_be_visible(
            timeout=SLOW_MS
        )
        expect(page.get_by_text("asleep-pipeline demo")).to_be_visible()
        assert severe(page) == []
        shutil.copy(publish_tale(tmp_path / "made"), tmp_path / "asleep.duckdb")
        page.reload()
        expect(page.get_by_text("7 people, 84 nights")).to_be_visible(timeout=SLOW_MS)
        assert troubles == []
