"""What can be chosen. Every input has a label, and all of them work by keyboard."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import marimo as mo
import polars as pl

from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.html import render
from asleep_pipeline.dashboard.measures import MEASURES
from asleep_pipeline.dashboard.queries.contents import Contents
from asleep_pipeline.warehouse.marts.tables import WINDOWS_DAYS

_DAYS: Final = 60
_ALL: Final = "All organisations"


def organisation(found: Contents, *, with_all: bool = True) -> Any:
    """One organisation, or all of them as None."""
    each: dict[str, str | None] = {name: name for name in found.organisations}
    options = ({_ALL: None} if with_all else {}) | each
    return mo.ui.dropdown(
        options, value=next(iter(options)), label="Organisation", allow_select_none=False
    )


def person(people: pl.DataFrame) -> Any:
    """One of those with nights."""
    names = people["user_id"].to_list()
    return mo.ui.dropdown(
        names, value=names[0], label="Person", searchable=True, allow_select_none=False
    )


def dates(found: Contents) -> Any:
    """Night dates from and to, at first the last 60 days."""
    assert found.first
    assert found.last
    begin = max(found.first, found.last - timedelta(days=_DAYS - 1))
    return mo.ui.date_range(
        start=found.first, stop=found.last, value=(begin, found.last), label="Nights"
    )


def window() -> Any:
    """Length of the window of the score, in days."""
    options = {f"{days} days": days for days in WINDOWS_DAYS}
    return mo.ui.dropdown(options, value="14 days", label="Score window", allow_select_none=False)


def measure() -> Any:
    """A figure of groups."""
    return mo.ui.dropdown(
        MEASURES, value=next(iter(MEASURES)), label="Figure", allow_select_none=False
    )


def weeks() -> Any:
    """How many of the newest weeks are looked at."""
    options = {words.count(number, "week"): number for number in (1, 2, 4, 8, 12)}
    return mo.ui.dropdown(options, value="4 weeks", label="Over", allow_select_none=False)


def choice(options: dict[str, Any], label: str) -> Any:
    """One of what there is; None when there is nothing."""
    return mo.ui.dropdown(
        options, value=next(iter(options), None), label=label, allow_select_none=not options
    )


def bar(*inputs: Any, label: str = "Filters") -> mo.Html:
    """Inputs in a row, as a region of the page."""
    return mo.Html(render("filters", filters=[chosen.text for chosen in inputs], label=label))
