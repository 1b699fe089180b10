"""What axe-core, run inside a page, finds that keeps people out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

WHOLE_PAGE = ":root"


@dataclass(frozen=True)
class Violation:
    """A rule of axe that a page breaks, and where."""

    id: str
    """The rule's name, as `image-alt`."""
    impact: str
    """minor, moderate, serious or critical."""
    nodes: tuple[str, ...]
    """Each place as `selector: what to mend`."""


def violations(
    page: Page,
    context: str | dict[str, Any] = WHOLE_PAGE,
    options: dict[str, Any] | None = None,
) -> list[Violation]:
    """Return what axe finds wrong in a page as it stands now, in axe's order.

    Args:
        page: A page that has come to rest: axe judges the moment.
        context: A CSS selector, or axe's `{"include": [...], "exclude": [...]}`.
        options: Axe's own, as `{"runOnly": ["wcag2a", "wcag2aa"]}`; every rule by default.
    """
    # In each frame, since axe looks into a frame only through the axe that runs there.
    for frame in page.frames:
        frame.evaluate(_script())
        # Frames of no origin, as of a data: page, would not be heard.
        frame.evaluate("axe.configure({allowedOrigins: ['<unsafe_all_origins>']})")
    found = page.evaluate(
        "async ([context, options]) => (await axe.run(context, options)).violations",
        [context, options or {}],
    )
    return [Violation(one["id"], one["impact"], tuple(map(_place, one["nodes"]))) for one in found]


@cache
def _script() -> str:
    # Read instead of imported: the package's own runner has no types and renders JSON by repr().
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def _place(node: dict[str, Any]) -> str:
    why = " ".join(node["failureSummary"].split())
    return f"{' > '.join(_selectors(node['target']))}: {why}"


def _selectors(target: Iterable[str | list[str]]) -> Iterable[str]:
    """Flatten a path: a step into a frame is a selector, one into shadow trees a list of them."""
    for step in target:
        yield from [step] if isinstance(step, str) else step
