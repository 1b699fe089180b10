"""The accessibility check finds what is wrong, and only that."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from asleep_pipeline_tests.browser.axe import violations

PAGE = """<!doctype html>
<html lang="en"><head><title>A night</title></head>
<body><main><h1>A night</h1>{}</main></body></html>"""
IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
PALE = '<p style="color: #bbb; background: #fff">pale</p>'


def test_a_sound_page_has_no_violation(browser_page: Page) -> None:
    """A page without faults is not accused of any."""
    browser_page.set_content(PAGE.format(f'<p>Slept well.</p><img src="{IMAGE}" alt="Stages">'))
    assert violations(browser_page) == []


@pytest.mark.parametrize(
    ("fault", "rule", "impact", "place"),
    [
        (f'<img src="{IMAGE}">', "image-alt", "critical", "img: "),
        (PALE, "color-contrast", "serious", "p: "),
        (f"<iframe title='A frame' srcdoc='{PALE}'></iframe>", "color-contrast", "serious", "ifr"),
    ],
    ids=["image", "contrast", "frame"],
)
def test_a_fault_is_found(
    browser_page: Page, fault: str, rule: str, impact: str, place: str
) -> None:
    """An image without words and pale text are found, with their places."""
    browser_page.set_content(PAGE.format(fault))
    (found,) = violations(browser_page)
    assert (found.id, found.impact) == (rule, impact)
    assert [node.startswith(place) for node in found.nodes] == [True]


def test_a_fault_in_a_shadow_tree_is_found(browser_page: Page) -> None:
    """What a web component draws is checked as well."""
    component = f"<div><template shadowrootmode='open'>{PALE}</template></div>"
    # Only a parsed document makes shadow trees of templates, and set_content writes one.
    browser_page.set_content(PAGE.format(component))
    (found,) = violations(browser_page)
    assert found.nodes[0].startswith("div > p: ")


def test_a_strict_policy_does_not_hinder_the_check(browser_page: Page) -> None:
    """A page that forbids every script is still checked."""
    policy = '<meta http-equiv="Content-Security-Policy" content="script-src \'none\'">'
    page = PAGE.format(f'<img src="{IMAGE}">').replace("<head>", f"<head>{policy}")
    browser_page.set_content(page)
    assert [found.id for found in violations(browser_page)] == ["image-alt"]


def test_the_check_can_be_narrowed(browser_page: Page) -> None:
    """Parts and rules of a page can be left out."""
    browser_page.set_content(PAGE.format(PALE))
    assert violations(browser_page, {"exclude": ["p"]}) == []
    assert violations(browser_page, options={"runOnly": ["image-alt"]}) == []
