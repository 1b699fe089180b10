"""What can be chosen. Every input has a label, and all of them work by keyboard."""

from __future__ import annotations

from collections.abc import Sequence
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


def organisation(names: Sequence[str], *, with_all: bool = True) -> Any:
    """One organisation, or all of them as None."""
    options: dict[str, str | None] = {_ALL: None} if with_all else {}
    options |= {name: name for name in names}
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


def searched(options: dict[str, Any], label: str) -> Any:
    """One of many, which can be typed for; at first the first."""
    return mo.ui.dropdown(
        options, value=next(iter(options)), label=label, searchable=True, allow_select_none=False
    )


def rhythm() -> Any:
    """How often a page looks again; None lets it stand still."""
    options = {"every 5 s": "5s", "every 30 s": "30s", "every 5 min": "5m", "not by itself": None}
    return mo.ui.dropdown(options, value="every 5 s", label="Look again", allow_select_none=False)


def clock(interval: str | None) -> Any:
    """Runs the cells again that name it; None for a clock that stands still."""
    return mo.ui.refresh(options=[interval], default_interval=interval) if interval else None


def unseen(clock: Any) -> mo.Html:
    """A clock in the page, where nobody meets it: its own buttons have no names."""
    return mo.Html(f"<div hidden>{clock.text if clock else ''}</div>")


def bar(*inputs: Any, label: str = "Filters") -> mo.Html:
    """Inputs in a row, as a region of the page."""
    return mo.Html(render("filters", filters=[chosen.text for chosen in inputs], label=label))
