"""How far the nights can be trusted."""

from __future__ import annotations

from typing import Final

import altair as alt
import polars as pl

from asleep_pipeline.charts.axes import day_range, ends, iso, week_axis
from asleep_pipeline.charts.theme import (
    QUALITY_COLOURS,
    Chart,
    bar_style,
    keyed,
    no_data,
    themed,
)

_LABELS: Final = {"good": "Good", "fair": "Fair", "poor": "Poor"}
_LEVELS: Final = {name: level for level, name in enumerate(_LABELS)}


def quality_bars(rows: pl.DataFrame, *, width: int = 720, height: int = 200) -> Chart:
    """The shares of good, fair and poor nights by week; weeks without nights stay empty.

    Args:
        rows: week (its Monday), quality (good, fair or poor) and share (fraction of the nights).
        width: Pixels, axes included.
        height: Pixels, axes included.
    """
    level = pl.col("quality").replace_strict(_LEVELS, default=None)
    shares = rows.select("quality", "share", week=iso("week"), level=level).drop_nulls()
    if shares.is_empty():
        return no_data(width=width)
    first, last = ends(rows["week"])
    weeks = day_range(first, last, step=7)
    axis = week_axis("Week (its Monday)", first, last, length=width)
    drawn = (
        alt.Chart(shares)
        .transform_calculate(Quality=f"{_LABELS}[datum.quality]")
        .mark_bar(**bar_style(len(weeks), width))
        .encode(
            x=alt.X("week:O", axis=axis, scale=alt.Scale(domain=weeks)),
            y=_share_axis(),
            color=keyed("quality", QUALITY_COLOURS, _LABELS),
            order="level:Q",
            tooltip=[
                alt.Tooltip("week:N", title="Week of"),
                "Quality:N",
                alt.Tooltip("share:Q", title="Share of sessions", format=".0%"),
            ],
        )
    )
    return themed(drawn.properties(width=width, height=height))


def _share_axis() -> alt.Y:
    axis = alt.Axis(title="Share of sessions (%)", format=".0%", tickCount=4)
    return alt.Y("share:Q", axis=axis, scale=alt.Scale(domain=[0, 1]))
