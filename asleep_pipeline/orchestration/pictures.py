"""Small charts on the pages of runs, made without a browser. Never a user id: see `story`."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl

from asleep_pipeline.extract.sessions import Window
from asleep_pipeline.lake import Lake
from asleep_pipeline.warehouse.export import read_warehouse

_EPOCH_S = 30
_STAGES = {-1: "unknown", 0: "wake", 1: "light", 2: "deep", 3: "rem"}
_NEWEST = """
SELECT started_at_local, sleep_stages, time_in_light IS NULL AND has_stat AS has_two_levels
FROM lake.sessions
WHERE shard = $shard AND start_date BETWEEN $start AND $end AND len(sleep_stages) > 0
ORDER BY started_at DESC LIMIT 1
"""
_DATES_SHOWN = 90
_SLEEP = f"""
SELECT night_date AS date, median(sleep_24h_s) / 3600 AS value,
    quantile_cont(sleep_24h_s, 0.1) / 3600 AS low, quantile_cont(sleep_24h_s, 0.9) / 3600 AS high
FROM fct_night
WHERE is_night AND night_date > (SELECT max(night_date) FROM fct_night) - {_DATES_SHOWN}
GROUP BY night_date HAVING count(*) >= (SELECT max(min_group_size) FROM dim_organisation)
ORDER BY night_date
"""


def newest_hypnogram(lake: Lake, *, shard: int, window: Window) -> dg.MetadataValue | None:
    """The stages of the session that started last within the window; None without any."""
    found = lake.frame(_NEWEST, {"shard": shard, "start": window.start, "end": window.end})
    if found.is_empty():
        return None
    from asleep_pipeline.charts import hypnogram, png_markdown, to_png  # noqa: PLC0415 -- slow

    (row,) = found.to_dicts()
    levels = 2 if row["has_two_levels"] else 4
    runs = _runs(pl.Series(row["sleep_stages"])).with_columns(
        (pl.lit(row["started_at_local"]) + pl.duration(seconds=name)).alias(name)
        for name in ("started_local", "ended_local")
    )
    png = to_png(hypnogram(runs, stage_levels=levels, width=560, height=180), scale=1.5)
    return dg.MetadataValue.md(png_markdown(png, "Hypnogram of the newest session of the run"))


def sleep_of_all(file: Path) -> dg.MetadataValue | None:
    """Sleep by night date, median and 10th to 90th percentile; None for fewer than a group."""
    with read_warehouse(file) as con:
        rows = con.execute(_SLEEP).pl()
    if rows.is_empty():
        return None
    from asleep_pipeline.charts import png_markdown, to_png, trend  # noqa: PLC0415 -- slow

    chart = trend(
        rows, label="Sleep, median", unit="h", band="10th to 90th percentile", width=560, height=200
    )
    png = to_png(chart, scale=1.5)
    return dg.MetadataValue.md(png_markdown(png, "Median sleep of all users by night date"))


def _runs(stages: pl.Series) -> pl.DataFrame:
    """Stretches of one stage, their ends in seconds from the first epoch."""
    runs = stages.rle().struct.unnest()
    ended_s = pl.col("len").cum_sum().cast(pl.Int64) * _EPOCH_S
    return runs.select(
        started_local=ended_s - pl.col("len").cast(pl.Int64) * _EPOCH_S,
        ended_local=ended_s,
        stage=pl.col("value").replace_strict(_STAGES, return_dtype=pl.String),
    )
