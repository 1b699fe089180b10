"""How two groups are spread over the same bins, of which there is nothing but how many are where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from asleep_pipeline.charts import Chart
from asleep_pipeline.charts.theme import GROUP_COLOURS, GROUP_DASHES, themed


def histogram(
    counts: Mapping[str, Sequence[int]], edges: Sequence[float], *, label: str, unit: str
) -> Chart:
    """What share of each group lies in each bin, over each other.

    Args:
        counts: By group, how many of it are in each bin.
        edges: Of the bins, one more than there are bins.
        label: What is counted by.
        unit: Of the edges.
    """
    groups, dashes = list(counts), [list(dash) for dash in GROUP_DASHES]
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2, symbolSize=400, symbolOpacity=1)
    colours = alt.Scale(domain=groups, range=list(GROUP_COLOURS))
    span = alt.Scale(domain=[edges[0], edges[-1]], nice=False, zero=False)
    axis = alt.Axis(title=f"{label} ({unit})", values=list(edges), format=".3~f")
    percent = alt.Axis(title="Share of the cohort (%)", format=".0%")
    base = alt.Chart(_shares(counts, edges)).encode(
        x=alt.X("from:Q", axis=axis, scale=span),
        y=alt.Y("share:Q", axis=percent, stack=None),
        color=alt.Color("group:N", scale=colours, legend=legend),
        tooltip=[
            alt.Tooltip("group:N", title="Cohort"),
            alt.Tooltip("from:Q", title=f"From ({unit})", format=".3~f"),
            alt.Tooltip("to:Q", title=f"To ({unit})", format=".3~f"),
            alt.Tooltip("share:Q", title="Share of its people", format=".0%"),
        ],
    )
    areas = base.mark_area(interpolate="step-after", opacity=0.18)
    lines = base.mark_line(interpolate="step-after", strokeWidth=2)
    dashed = alt.StrokeDash("group:N", scale=alt.Scale(domain=groups, range=dashes), legend=legend)
    return themed(
        alt.layer(areas, lines.encode(strokeDash=dashed)).properties(width=720, height=280)
    )


def _shares(counts: Mapping[str, Sequence[int]], edges: Sequence[float]) -> pl.DataFrame:
    """One row a group and bin, and one at the end of the last bin, where the line comes down."""
    return pl.DataFrame(
        [
            {"group": group, "from": low, "to": high, "share": number / sum(of_group)}
            for group, of_group in counts.items()
            for low, high, number in zip(edges, [*edges[1:], None], [*of_group, 0], strict=True)
        ],
        schema={"group": pl.String, "from": pl.Float64, "to": pl.Float64, "share": pl.Float64},
    )
