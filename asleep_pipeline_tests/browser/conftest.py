"""A page of the system's own Chromium for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from shutil import which

import pytest
from playwright.sync_api import Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",  # root, as in a container, has no sandbox
    "--disable-gpu",
    "--no-first-run",
    # Nothing but what the page itself asks for goes out.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one the test skips, or fails where CI runs."""
    found = next(filter(None, map(which, PROGRAMS)), None)
    if found:
        return found
    reason = f"no browser: none of {', '.join(PROGRAMS)} is on the PATH"
    if os.environ.get("CI") == "true":
        # A skip would let a change land that no browser has seen.
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def browser_page(chromium: str) -> Iterator[Page]:
    """An empty page in a fresh profile: English, UTC, 1280 by 720, without animations."""
    # Not one browser a session, which would save 0.4 s a test: while Playwright's blocking API is
    # open, its event loop counts as running in this thread, and no other test could run its own.
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser,
    ):
        yield browser.new_page(locale="en-US", timezone_id="UTC", reduced_motion="reduce")
