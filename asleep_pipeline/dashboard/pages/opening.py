"""What stands above every page, or instead of them when there is nothing to show."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.html import render
from asleep_pipeline.dashboard.queries.contents import Contents, contents
from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.warehouse.export import read_warehouse

LIVE: Final = "live"
"""The page that needs no published file."""

PAGES: Final = {
    "person": ("Person", "One person's nights: stages, times, score and what is worth noticing."),
    "organisation": ("Organisation", "How the people of an organisation sleep, week by week."),
    "cohorts": ("Cohorts", "Groups of people, and how two of them differ."),
    "quality": (
        "Data quality",
        "Whether the nights can be trusted, and whether they come in time.",
    ),
    LIVE: ("In progress", "Who is in bed now, and how they sleep so far."),
}
"""The pages by their names in addresses: what they are called, and what each is for."""

_LOAD: Final = (
    "asleep-pipeline demo",
    "asleep-pipeline users import roster.csv",
    "asleep-pipeline backfill --start 2026-01-01",
)


def page_of(asked: object) -> str:
    """The page that an address asks for; the first one when there is none of the name."""
    return next((name for name in PAGES if name == asked), next(iter(PAGES)))


def look(warehouse: Path, page: str) -> tuple[Contents | None, str]:
    """What there is to look at, and what stands above it; None with what to do about it.

    Args:
        warehouse: The published file.
        page: One of `PAGES`.
    """
    if page == LIVE and not warehouse.exists():
        # It needs none.
        return None, _bare_header(page)
    if not warehouse.exists():
        text = f"Nothing is published at {warehouse}."
        return None, _page(page, "There is nothing to show yet", text)
    try:
        with read_warehouse(warehouse) as con:
            found = contents(con)
    except WarehouseError as error:
        return None, _unreadable(page, error.problem)
    except duckdb.Error as error:
        return None, _unreadable(page, str(error).splitlines()[0])
    if not found.nights:
        text = f"{warehouse} holds no night."
        return None, _bare_header(page) if page == LIVE else _page(
            page, "There are no nights yet", text
        )
    return found, render("header", said=_said(found), pages=PAGES, page=page)


def _said(found: Contents) -> str:
    people, nights = (
        words.count(found.people, "person", "people"),
        words.count(found.nights, "night"),
    )
    dates = f"{words.day(found.first)} to {words.day(found.last)}"
    return f"{people}, {nights}, {dates}. Published {words.moment(found.published_at)}."


def _page(page: str, title: str, text: str) -> str:
    notice = render(
        "notice",
        title=title,
        text=f"{text} Load made-up people, or your own users' nights:",
        commands=_LOAD,
        after="Then load this page again.",
    )
    return _bare_header(page) + notice


def _unreadable(page: str, problem: str) -> str:
    notice = render(
        "notice",
        title="The published file cannot be shown",
        text=f"{problem} Another release may have published it; publish it again:",
        commands=("asleep-pipeline rebuild",),
        after="Then load this page again.",
    )
    return _bare_header(page) + notice


def _bare_header(page: str) -> str:
    return render("header", said="Every night, from the published file.", pages=PAGES, page=page)
