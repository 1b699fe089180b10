"""How the values of groups are spread: histograms over each other, and their quantiles."""

from __future__ import annotations

import math
from typing import Final

import altair as alt
import polars as pl

from asleep_pipeline.charts.theme import (
    GROUP_COLOURS,
    GROUP_DASHES,
    WHITE,
    Chart,
    no_data,
    themed,
)

_BINS: Final = 30
_NICE: Final = (1, 2, 2.5, 5, 10)
_QUANTILES: Final = {"p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9}


def distribution(
    rows: pl.DataFrame, *, label: str, unit: str, width: int = 640, height: int = 220
) -> Chart:
    """The values of two groups: what share of each lies where, above their quantiles.

    The strip below spans the 10th to the 90th percentile, its thick part the 25th to the 75th, and
    the dot is the median.

    Args:
        rows: group (its label; one to four) and value, in the unit.
        label: What the value is.
        unit: Of the value.
        width: Pixels, axes not included.
        height: Pixels of the histogram, axes not included.
    """
    values = rows.select("group", pl.col("value").cast(pl.Float64)).drop_nulls()
    if values.is_empty():
        return no_data(width=width)
    groups = values["group"].unique(maintain_order=True).to_list()
    steps = binned(values)
    span = alt.Scale(domain=[min(steps["from"]), max(steps["to"])], nice=False, zero=False)
    x = alt.X("p10:Q", title=f"{label} ({unit})", scale=span)
    above = _histogram(steps, groups, span).properties(width=width, height=height)
    below = _strips(_spread(values), groups, x).properties(width=width, height=alt.Step(28))
    return themed(alt.vconcat(above, below, spacing=12), fit=False)


def binned(values: pl.DataFrame) -> pl.DataFrame:
    """The share of each group in each bin, with an empty bin at both ends."""
    least, most = values.select(low=pl.col("value").min(), high=pl.col("value").max()).row(0)
    size = _nice((most - least) / _BINS)
    first, last = math.floor(least / size) - 1, math.floor(most / size) + 1
    grid = values.select(pl.col("group").unique()).join(
        pl.DataFrame({"bin": range(first, last + 1)}), how="cross"
    )
    counts = values.group_by("group", bin=(pl.col("value") / size).floor().cast(pl.Int64)).len()
    share = pl.col("len").fill_null(0) / pl.col("len").sum().over("group")
    joined = grid.join(counts, on=["group", "bin"], how="left").with_columns(share=share)
    edges = {"from": pl.col("bin") * size, "to": (pl.col("bin") + 1) * size}
    return joined.select("group", "share", **edges).sort("group", "from")


def _nice(size: float) -> float:
    """The next larger of 1, 2, 2.5 and 5 times a power of ten; 1 for nothing."""
    if size <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(size))
    return next(n * power for n in _NICE if n * power >= size)


def _spread(values: pl.DataFrame) -> pl.DataFrame:
    quantiles = {name: pl.col("value").quantile(q, "linear") for name, q in _QUANTILES.items()}
    return values.group_by("group", maintain_order=True).agg(n=pl.len(), **quantiles)


def _histogram(steps: pl.DataFrame, groups: list[str], span: alt.Scale) -> Chart:
    axis = alt.Axis(title=None, labels=False, ticks=False)
    colours, dashes = (
        alt.Scale(domain=groups, range=list(looks)) for looks in (GROUP_COLOURS, GROUP_DASHES)
    )
    base = alt.Chart(steps).encode(
        y=alt.Y("share:Q", title="Share of the group (%)", axis=alt.Axis(format=".0%"), stack=None),
        color=alt.Color("group:N", scale=colours, legend=_LEGEND),
    )
    bars = base.mark_bar(fillOpacity=0.15, binSpacing=0).encode(
        x=alt.X("from:Q", bin="binned", scale=span, axis=axis), x2="to:Q", tooltip=_BIN_TOOLTIP
    )
    lines = base.mark_line(interpolate="step-after", strokeWidth=2).encode(
        x="from:Q", strokeDash=alt.StrokeDash("group:N", scale=dashes, legend=_LEGEND)
    )
    return alt.layer(bars, lines)


def _strips(spread: pl.DataFrame, groups: list[str], x: alt.X) -> Chart:
    colours = alt.Scale(domain=groups, range=list(GROUP_COLOURS))
    axis = alt.Axis(labelPadding=8, ticks=False, domain=False)
    base = alt.Chart(spread).encode(
        y=alt.Y("group:N", sort=groups, title=None, axis=axis),
        color=alt.Color("group:N", scale=colours, legend=None),
        tooltip=_STRIP_TOOLTIP,
    )
    return alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=x, x2="p90:Q"),
        base.mark_bar(size=12).encode(x="p25:Q", x2="p75:Q"),
        base.mark_point(filled=False, fill=WHITE, opacity=1, size=50, strokeWidth=2).encode(
            x="p50:Q"
        ),
    )


_LEGEND: Final = alt.Legend(
    symbolType="stroke", symbolStrokeWidth=2, symbolSize=400, symbolOpacity=1
)
_BIN_TOOLTIP: Final = [
    alt.Tooltip("group:N", title="Group"),
    alt.Tooltip("from:Q", title="From", format=".3~f"),
    alt.Tooltip("to:Q", title="To", format=".3~f"),
    alt.Tooltip("share:Q", title="Share of the group", format=".1%"),
]
_STRIP_TOOLTIP: Final = [
    alt.Tooltip("group:N", title="Group"),
    alt.Tooltip("n:Q", title="Values", format=",d"),
    *(
        alt.Tooltip(f"{name}:Q", title=f"{name[1:]}th percentile", format=".2~f")
        for name in _QUANTILES
    ),
]
