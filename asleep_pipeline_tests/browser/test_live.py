"""Sessions in progress as people see them: the real command, and Chromium."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from asleep_pipeline.webhooks.live_table import publish_live
from asleep_pipeline_tests.browser.test_dashboard import (
    IS_TOO_WIDE,
    SLOW_MS,
    severe,
    troubles,
    wait_for_charts,
)
from asleep_pipeline_tests.dashboard.bedtime import publish_bedtime
from asleep_pipeline_tests.dashboard.served import served

__all__ = ["troubles"]


def test_people_come_and_go(browser_page: Page, tmp_path: Path, troubles: list[str]) -> None:
    """The page fills, follows and empties by itself; whoever was chosen stays so."""
    page, title = browser_page, browser_page.locator("h2").first
    with served(tmp_path) as running:
        page.goto(f"{running.url}?page=live")
        expect(title).to_have_text("Nobody is followed yet", timeout=SLOW_MS)
        assert severe(page) == []
        publish_bedtime(tmp_path / "live.duckdb")
        expect(title).to_have_text("In progress", timeout=SLOW_MS)
        wait_for_charts(page, 1)
        page.reload()
        expect(title).to_have_text("In progress", timeout=SLOW_MS)
        page.get_by_role("button", name="Stages of").click()
        page.get_by_role("option", name="ann, from 22:00").click()
        expect(page.get_by_role("heading", name="Stages so far of ann")).to_be_visible(
            timeout=SLOW_MS
        )
        wait_for_charts(page, 1)
        assert severe(page) == []
        publish_live(tmp_path / "live.duckdb", [])
        expect(title).to_have_text("Nobody is in bed", timeout=SLOW_MS)
        assert troubles == []


def test_it_fits_and_shuts_nobody_out(browser_page: Page, tmp_path: Path) -> None:
    """On a desk and on a phone."""
    page = browser_page
    publish_bedtime(tmp_path / "live.duckdb")
    with served(tmp_path) as running:
        page.goto(f"{running.url}?page=live")
        expect(page.get_by_role("heading", name="Stages so far of bob")).to_be_visible(
            timeout=SLOW_MS
        )
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            wait_for_charts(page, 1)
            assert severe(page) == []
            assert not page.evaluate(IS_TOO_WIDE)
