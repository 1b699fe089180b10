"""What a score is made of."""

from __future__ import annotations

import altair as alt
import polars as pl

from asleep_pipeline.charts.theme import ACCENT, FAINT, OUTLINE, Chart, no_data, themed


def score_parts(parts: pl.DataFrame, *, width: int = 520, row: int = 34) -> Chart:
    """What each part gives to a score of 0 to 100, of what it could give.

    Args:
        parts: part (its label), points (0 to 100, or NULL) and weight (fraction of the score).
        width: Pixels, axes not included.
        row: Pixels of one part's height.
    """
    rows = _given(parts)
    if rows.is_empty():
        return no_data(width=width)
    base = alt.Chart(rows).encode(y=_part_axis(rows["part"].to_list()), tooltip=_tooltip())
    scale = alt.Scale(domain=[0, max(rows["most"])], nice=False)
    axis = alt.Axis(title=_title(rows), grid=False, tickCount=5)
    track = base.mark_bar(fill=FAINT, stroke=OUTLINE, strokeWidth=0.5)
    said = base.mark_text(align="left", dx=8, fontWeight="bold")
    drawn = alt.layer(
        track.encode(x=alt.X("most:Q", scale=scale, axis=axis)),
        base.mark_bar(color=ACCENT).encode(x="given:Q"),
        said.encode(x="most:Q", text="said:N"),
    )
    return themed(drawn.properties(width=width, height=alt.Step(row)), fit=False)


def _given(parts: pl.DataFrame) -> pl.DataFrame:
    most, given = pl.col("weight") * 100, pl.col("points") * pl.col("weight")
    amount = given.round(1).cast(pl.String).fill_null("none")
    return parts.drop_nulls(["part", "weight"]).select(
        "part",
        "points",
        "weight",
        most=most,
        given=given,
        said=pl.format("{} of {}", amount, most.round(1).cast(pl.String).str.strip_suffix(".0")),
    )


def _title(rows: pl.DataFrame) -> str:
    title = "Contribution to the score (points)"
    return title if rows["given"].has_nulls() else f"{title}, together {rows['given'].sum():.1f}"


def _part_axis(order: list[str]) -> alt.Y:
    axis = alt.Axis(labelFontSize=12, labelPadding=8, ticks=False, domain=False)
    return alt.Y("part:N", sort=order, title=None, axis=axis)


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("part:N", title="Part"),
        alt.Tooltip("points:Q", title="Points of 100", format=".1f"),
        alt.Tooltip("weight:Q", title="Weight", format=".0%"),
        alt.Tooltip("given:Q", title="Contribution (points)", format=".1f"),
    ]
