"""Night by night: how much sleep of which stage, and from when to when."""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import polars as pl

from asleep_pipeline.charts.axes import clock, clock_axis, day_axis, day_range, ends, iso
from asleep_pipeline.charts.theme import (
    IN_BED,
    STAGE_COLOURS,
    STAGE_LABELS,
    WARM,
    Chart,
    bar_style,
    keyed,
    named,
    no_data,
    themed,
)

_STACK: Final = ("wake", "rem", "light", "deep", "asleep")
"""From top to bottom."""
_KINDS_OF_BARS: Final = {"In bed": IN_BED, "Asleep": STAGE_COLOURS["asleep"]}
_KINDS: Final = {**_KINDS_OF_BARS, "Free day": WARM}
_MINUTES: Final = {
    "bed_min": "In bed",
    "onset_min": "Asleep",
    "wake_min": "Awake",
    "rise_min": "Up",
}
_ROOM_MIN: Final = 20


def stage_stack(nights: pl.DataFrame, *, width: int = 720, height: int = 260) -> Chart:
    """Hours of each stage by night, stacked, with time awake within the night on top.

    Args:
        nights: Of one user in `fct_night`: night_date, light_s, deep_s, rem_s (NULL where stages
            are not told apart; sleep is one block then), waso_s and tst_s.
        width: Pixels, axes included.
        height: Pixels, axes included.
    """
    rows = _stacked(nights)
    if rows.is_empty():
        return no_data(width=width)
    there = set(rows["stage"])
    colours = {name: STAGE_COLOURS[name] for name in _STACK if name in there}
    drawn = (
        _bars(alt.Chart(rows), nights, width)
        .transform_calculate(Stage=f"{STAGE_LABELS}[datum.stage]")
        .encode(
            y=alt.Y("hours:Q", title="Duration (h)", axis=alt.Axis(tickMinStep=1)),
            color=keyed("stage", colours, STAGE_LABELS),
            order="level:Q",
            tooltip=[
                alt.Tooltip("night:N", title="Night"),
                "Stage:N",
                alt.Tooltip("hours:Q", title="Duration (h)", format=".2f"),
            ],
        )
    )
    return themed(drawn.properties(width=width, height=height))


def bed_to_wake(nights: pl.DataFrame, *, width: int = 720, height: int = 320) -> Chart:
    """From going to bed to getting up, the sleep period darker; evening on top, free days marked.

    Args:
        nights: Of one user in `fct_night`: night_date, bed_min, onset_min, wake_min, rise_min
            (minutes from local midnight of the night date) and is_free_day.
        width: Pixels, axes included.
        height: Pixels, axes included.
    """
    rows = nights.select(*_MINUTES, "is_free_day", night=iso("night_date")).drop_nulls()
    if rows.is_empty():
        return no_data(width=width)
    said = {title: clock(f"datum.{name}") for name, title in _MINUTES.items()}
    base = alt.Chart(rows).transform_calculate(**said).encode(tooltip=_TOOLTIP)
    y = _clock_span(rows, height)
    bars = _bars(base, nights, width)
    kinds = _KINDS if rows["is_free_day"].any() else _KINDS_OF_BARS
    drawn = alt.layer(
        named(bars.encode(y=alt.Y("bed_min:Q", **y), y2="rise_min:Q"), "In bed", kinds),
        named(bars.encode(y=alt.Y("onset_min:Q", **y), y2="wake_min:Q"), "Asleep", kinds),
        named(_free(base, nights, width).encode(y=alt.Y("bed_min:Q", **y)), "Free day", kinds),
    )
    return themed(drawn.properties(width=width, height=height))


def _stacked(nights: pl.DataFrame) -> pl.DataFrame:
    """One row a night and stage: night (ISO date), stage, hours, level from the bottom."""
    seconds = {
        "wake": pl.col("waso_s"),
        "rem": pl.col("rem_s"),
        "light": pl.col("light_s"),
        "deep": pl.col("deep_s"),
        "asleep": pl.when(pl.col("deep_s").is_null()).then(pl.col("tst_s")),
    }
    parts = [
        nights.select(
            night=iso("night_date"),
            stage=pl.lit(name),
            hours=seconds[name] / 3600,
            level=pl.lit(-_STACK.index(name)),
        )
        for name in _STACK
    ]
    return pl.concat(parts).drop_nulls("hours")


def _bars(base: alt.Chart, nights: pl.DataFrame, length: int) -> alt.Chart:
    days = len(day_range(*ends(nights["night_date"])))
    bars: alt.Chart = base.mark_bar(**bar_style(days, length)).encode(x=_night_axis(nights, length))
    return bars


def _free(base: alt.Chart, nights: pl.DataFrame, length: int) -> alt.Chart:
    """Marks above the bars of free days, no broader than the bars."""
    side = min(7.0, 0.6 * length / len(day_range(*ends(nights["night_date"]))))
    marks = base.mark_square(opacity=1, size=side**2, yOffset=-9)
    placed: alt.Chart = marks.transform_filter("datum.is_free_day").encode(
        x=_night_axis(nights, length)
    )
    return placed


def _night_axis(nights: pl.DataFrame, length: int) -> alt.X:
    first, last = ends(nights["night_date"])
    axis = day_axis("Night (date of waking)", first, last, length=length)
    return alt.X("night:O", axis=axis, scale=alt.Scale(domain=day_range(first, last)))


def _clock_span(rows: pl.DataFrame, length: int) -> dict[str, Any]:
    """Full hours around the bars and their marks; reversed, so that time runs downwards."""
    first, last = rows.select(
        low=((pl.col("bed_min").min() - _ROOM_MIN) / 60).floor() * 60,
        high=(pl.col("rise_min").max() / 60).ceil() * 60,
    ).row(0)
    axis = clock_axis("Local time", first, last, length=length, label_px=36)
    return {"axis": axis, "scale": alt.Scale(domain=[first, last], reverse=True, nice=False)}


_TOOLTIP: Final = [
    alt.Tooltip("night:N", title="Night"),
    *(alt.Tooltip(f"{title}:N") for title in _MINUTES.values()),
    alt.Tooltip("is_free_day:N", title="Free day"),
]
