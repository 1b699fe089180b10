"""One look for every chart: fonts, sizes, and colours that stay apart for colour-blind eyes.

Marks have a contrast of at least 3:1 to white, text of at least 4.5:1 (WCAG 2). Dark and medium
colours take turns, so that those which touch differ in lightness as well as in hue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import altair as alt
import polars as pl

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart
"""What a chart can be."""

WHITE: Final = "#FFFFFF"
INK: Final = "#1F2933"
MUTED: Final = "#52606D"
GRID: Final = "#E4E8ED"
FAINT: Final = "#EEF1F4"
OUTLINE: Final = "#7B8794"
ACCENT: Final = "#1F5FA8"
ACCENT_PALE: Final = "#A9C6E8"
WARM: Final = "#C2500A"
IN_BED: Final = "#7F93A8"

STAGE_COLOURS: Final = {
    "wake": "#D97706",
    "rem": "#7D1242",
    "light": "#4A8FD8",
    "deep": "#1D2B6F",
    "asleep": "#2C7285",
    "unknown": "#87919C",
}
"""Fixed everywhere; `asleep` where stages are not told apart."""
STAGE_LABELS: Final = {
    "wake": "Awake",
    "rem": "REM",
    "light": "Light",
    "deep": "Deep",
    "asleep": "Asleep",
    "unknown": "Unknown",
}
QUALITY_COLOURS: Final = {"good": "#17406D", "fair": "#C98500", "poor": "#8A1538"}
GROUP_COLOURS: Final = (ACCENT, WARM, "#2C7285", "#7D1242")
GROUP_DASHES: Final = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))
HEAT: Final = ("#DCE8F5", "#9CC3EA", "#4A8FD8", "#1F5FA8", "#12315E")
"""Colours of one amount, from little to much."""
HEAT_UNDER_TEXT: Final = ("#F1F6FB", "#6AA5E0")
"""The same for cells with a number, which `INK` can be read on."""

FONT: Final = "Arial, Liberation Sans, Helvetica, sans-serif"
"""Of the same widths, so that what was laid out here fits there."""

_NARROW_PX: Final = 5
_BROAD_PX: Final = 56

_AXIS: Final[dict[str, Any]] = {
    "labelColor": MUTED,
    "labelFontSize": 11,
    "labelLimit": 160,
    "titleColor": INK,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "titlePadding": 8,
    "domainColor": OUTLINE,
    "tickColor": OUTLINE,
    "gridColor": GRID,
}
_LEGEND: Final[dict[str, Any]] = {
    "orient": "top",
    "direction": "horizontal",
    "title": None,
    "labelColor": INK,
    "labelFontSize": 12,
    "titleColor": INK,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "symbolType": "square",
    "symbolSize": 110,
    "symbolStrokeWidth": 0,
    "columnPadding": 16,
    "offset": 8,
}
CONFIG: Final[dict[str, Any]] = {
    "background": WHITE,
    "font": FONT,
    "padding": 8,
    "aria": False,
    "view": {"stroke": None},
    "axis": _AXIS,
    "legend": _LEGEND,
    "text": {"color": INK, "fontSize": 12},
    "scale": {"bandPaddingInner": 0.15, "bandPaddingOuter": 0.3},
}


def themed(chart: Chart, *, fit: bool = True) -> Chart:
    """Put the look on a finished chart.

    Args:
        chart: The outermost one, as a part of another must not have a look of its own.
        fit: Whether its size holds axes and legends; without, only what lies between them.
    """
    autosize = alt.AutoSizeParams(type="fit" if fit else "pad", contains="padding")
    looking: Chart = chart.properties(autosize=autosize).configure(**CONFIG)
    return looking


def no_data(*, width: int = 320, text: str = "No data") -> Chart:
    """A small chart that says so, for frames without rows."""
    said = alt.Chart(pl.DataFrame({"text": [text]})).mark_text(color=MUTED, fontSize=14)
    return themed(said.encode(text="text:N").properties(width=width, height=80))


def bar_style(bars: int, length: int) -> dict[str, Any]:
    """Few bars are not made broad, and many not hidden by the lines between their parts."""
    band = length / bars
    style: dict[str, Any] = {"stroke": WHITE, "strokeWidth": 1} if band > _NARROW_PX else {}
    return style | ({"width": _BROAD_PX} if band > _BROAD_PX else {})


def named(layer: alt.Chart, name: str, colours: Mapping[str, str]) -> alt.Chart:
    """Give a whole layer its colour, and its entry in the legend of all layers."""
    told = layer.transform_calculate(layer=json.dumps(name))
    coloured: alt.Chart = told.encode(color=keyed("layer", colours))
    return coloured


def keyed(
    field: str, colours: Mapping[str, str], labels: Mapping[str, str] | None = None
) -> alt.Color:
    """Fixed colours by the values of a field, with a legend of their labels if there are several."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    said = alt.Legend(labelExpr=f"{dict(labels)}[datum.value]") if labels else alt.Legend()
    legend = said if len(colours) > 1 else None
    return alt.Color(f"{field}:N", scale=scale, legend=legend)
