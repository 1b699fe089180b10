"""Charts in a page: as wide as there is room for, with tooltips, and told in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import marimo as mo

from asleep_pipeline.charts import Chart

_WIDE: Final = 1120
_NARROW: Final = 300

# For the whole process: rows go into the page, however many.
alt.data_transformers.disable_max_rows()


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its title and a text alternative.

    Attributes:
        title: What it is.
        said: What is to be seen in it, in a sentence or two.
        chart: The chart.
        narrow: Another for narrow screens, where one is not enough.
    """

    title: str
    said: str
    chart: Chart
    narrow: Chart | None = None

    @property
    def html(self) -> str:
        """The chart, as an element to put into a page."""
        return self._drawn(self.chart)

    @property
    def narrow_html(self) -> str:
        """The same for narrow screens; empty if it is the same chart."""
        return self._drawn(self.narrow) if self.narrow else ""

    @property
    def is_fitted(self) -> bool:
        """Whether it takes the width that there is."""
        is_above_others = isinstance(self.chart, alt.VConcatChart)
        return not is_above_others and self.chart.width == "container"

    def _drawn(self, chart: Chart) -> str:
        html: str = mo.as_html(_Drawn(_spec(chart, f"{self.title}. {self.said}"))).text
        return html


class _Drawn:
    """Tells marimo what to draw; of a chart it would put the rows into files beside the page."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec

    def _mime_(self) -> tuple[str, str]:
        return "application/vnd.vegalite.v6+json", json.dumps(self._spec)


def sized(
    draw: Callable[[int], Chart], *, wide: int = _WIDE, narrow: int = _NARROW
) -> tuple[Chart, Chart]:
    """A chart for wide and for narrow screens, whose marks depend on its width.

    Args:
        draw: Draws it in a number of pixels.
        wide: Pixels where there is room.
        narrow: Pixels where there is not.
    """
    return draw(wide), draw(narrow)


def fitted(chart: Chart) -> Chart:
    """Let the page give a chart its width, axes included; not for charts above each other."""
    has_height = chart.autosize.type == "fit"
    autosize = alt.AutoSizeParams(type="fit" if has_height else "fit-x", contains="padding")
    wide: Chart = chart.properties(width="container", autosize=autosize)
    return wide


def _spec(chart: Chart, description: str) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    spec["description"] = description
    # Labels were laid out for another width.
    spec["config"]["axis"] |= {"labelOverlap": "greedy", "labelSeparation": 6}
    # On a canvas a chart is one picture, with one description.
    spec["usermeta"] = {"embedOptions": {"actions": False, "renderer": "canvas"}}
    return spec
