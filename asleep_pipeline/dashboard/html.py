"""HTML by templates. Everything is escaped but what charts and marimo's inputs make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of a row names it.

    Attributes:
        caption: What it is.
        head: Names of the columns.
        rows: Cells as text; a row that is shorter ends with a cell over all that are left.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, large, with what it is and a remark."""

    name: str
    value: str
    remark: str = ""


def render(template: str, **values: object) -> str:
    """Fill in a template of the folder `templates`."""
    return _environment().get_template(f"{template}.html").render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("asleep_pipeline.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
