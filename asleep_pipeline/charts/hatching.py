"""Hatching, which Vega has no pattern for: slanted lines cut at the ends of an interval."""

from __future__ import annotations

import polars as pl


def hatching(
    intervals: pl.DataFrame, *, pitch_min: float, bottom: float, top: float
) -> pl.DataFrame:
    """Lines from the bottom to the top of a chart.

    Args:
        intervals: from_min and to_min.
        pitch_min: Distance of a line to the next.
        bottom: Level where lines begin.
        top: Level where they end.

    Returns:
        from_min, level, to_min, level_to of each line.
    """
    lean = 10 * pitch_min
    foot = pl.col("from_min") - lean + pl.col("line") * pitch_min
    count = ((pl.col("to_min") - pl.col("from_min") + lean) / pitch_min).ceil().cast(pl.Int64)
    cut = (
        intervals.with_columns(line=pl.int_ranges(1, count))
        .explode("line")
        .with_columns(
            foot=foot,
            low=pl.max_horizontal("from_min", foot),
            high=pl.min_horizontal("to_min", foot + lean),
        )
    ).filter(pl.col("low") < pl.col("high"))
    rise = (top - bottom) / lean
    return cut.select(
        from_min="low",
        to_min="high",
        level=bottom + (pl.col("low") - pl.col("foot")) * rise,
        level_to=bottom + (pl.col("high") - pl.col("foot")) * rise,
    )
