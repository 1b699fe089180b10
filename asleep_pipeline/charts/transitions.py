"""From which stage of sleep to which."""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import polars as pl

from asleep_pipeline.charts.theme import (
    HEAT_UNDER_TEXT,
    STAGE_LABELS,
    Chart,
    no_data,
    themed,
)

_STAGES: Final = ("wake", "rem", "light", "deep")
_LABELS: Final = [STAGE_LABELS[name] for name in _STAGES]
_AXIS: Final[dict[str, Any]] = {
    "labelAngle": 0,
    "labelFontSize": 12,
    "labelPadding": 8,
    "ticks": False,
    "domain": False,
}


def transition_matrix(rows: pl.DataFrame, *, cell: int = 72) -> Chart:
    """How often one stage followed another, and in what share of the moves from that stage.

    Args:
        rows: from_stage, to_stage and n, at most one row a pair.
        cell: Pixels of the side of a pair.
    """
    moves = _shares(rows)
    if moves.is_empty():
        return no_data()
    scale = alt.Scale(domain=_LABELS, paddingInner=0.04, paddingOuter=0)
    base = alt.Chart(moves).encode(
        x=alt.X("to:N", scale=scale, axis=alt.Axis(title="To stage", orient="top", **_AXIS)),
        y=alt.Y("from:N", scale=scale, axis=alt.Axis(title="From stage", **_AXIS)),
        tooltip=_tooltip(),
    )
    ramp = alt.Scale(domain=[0, 1], range=list(HEAT_UNDER_TEXT))
    number, share = alt.Text("n:Q", format=",d"), alt.Text("share:Q", format=".0%")
    drawn = alt.layer(
        base.mark_rect().encode(color=alt.Color("share:Q", scale=ramp, legend=None)),
        base.mark_text(dy=-7, fontSize=14, fontWeight="bold").encode(text=number),
        base.mark_text(dy=11, fontSize=11).encode(text=share),
    )
    return themed(drawn.properties(width=alt.Step(cell), height=alt.Step(cell)), fit=False)


def _shares(rows: pl.DataFrame) -> pl.DataFrame:
    n = pl.col("n").cast(pl.Int64)
    known = pl.col("from_stage").is_in(_STAGES) & pl.col("to_stage").is_in(_STAGES)
    return rows.filter(known, n > 0).select(
        n,
        pl.col("from_stage").replace_strict(STAGE_LABELS).alias("from"),
        pl.col("to_stage").replace_strict(STAGE_LABELS).alias("to"),
        share=n / n.sum().over("from_stage"),
    )


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("from:N", title="From"),
        alt.Tooltip("to:N", title="To"),
        alt.Tooltip("n:Q", title="Transitions", format=",d"),
        alt.Tooltip("share:Q", title="Share of those from there", format=".1%"),
    ]
