"""The hypnogram: the stages of one session as a step chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import altair as alt
import polars as pl

from asleep_pipeline.charts.axes import clock, clock_axis
from asleep_pipeline.charts.hatching import hatching
from asleep_pipeline.charts.theme import (
    FAINT,
    OUTLINE,
    STAGE_COLOURS,
    STAGE_LABELS,
    Chart,
    no_data,
    themed,
)

_STAGES: Final = ("wake", "rem", "light", "deep")
_TWO_STAGES: Final = ("wake", "asleep")
_HALF_BAR: Final = 0.3
_EDGE: Final = 0.6
_HATCH_PX: Final = 8


def hypnogram(
    runs: pl.DataFrame,
    *,
    stage_levels: int = 4,
    width: int = 720,
    height: int = 240,
    time_title: str = "Local time",
) -> Chart:
    """The stages of one session by local time: wake on top, then REM, light and deep.

    Time without a known stage is hatched. In the night when clocks are put back, the hour that
    comes twice is drawn over itself.

    Args:
        runs: Of one session in `fct_stage_run`, in order: started_local, ended_local (local wall
            times) and stage (unknown, wake, light, deep or rem).
        stage_levels: 2 where `light` only means asleep.
        width: Pixels, axes included.
        height: Pixels, axes included.
        time_title: What clock the times are of.
    """
    names = _TWO_STAGES if stage_levels == len(_TWO_STAGES) else _STAGES
    steps = _steps(runs, names)
    if steps.is_empty():
        return no_data(width=width)
    known, unknown = steps.drop_nulls("level"), steps.filter(pl.col("level").is_null())
    low, high = _ends(steps)
    hatched = "" if unknown.is_empty() else " (hatched: stage unknown)"
    axis = clock_axis(f"{time_title}{hatched}", low, high, length=width)
    x = alt.X("from_min:Q", axis=axis, scale=alt.Scale(domain=[low, high], nice=False))
    pitch_min = _HATCH_PX * (high - low) / width
    hatches = hatching(unknown, pitch_min=pitch_min, bottom=len(names) - 1 + _EDGE, top=-_EDGE)
    y = _stage_axis(names)
    drawn = alt.layer(
        _band(unknown, x), _lines(hatches, x, y), _lines(_risers(known), x, y), _bars(known, x, y)
    )
    return themed(drawn.properties(width=width, height=height))


def _steps(runs: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Minutes from the midnight before the first run, stage, and its level from above or NULL."""
    midnight = pl.col("started_local").min().dt.truncate("1d")
    asleep = dict.fromkeys(_STAGES[1:], "asleep") if names is _TWO_STAGES else {}
    levels = {name: float(level) for level, name in enumerate(names)}
    return (
        runs.drop_nulls(["started_local", "ended_local", "stage"])
        .with_columns(pl.col("stage").replace(asleep))
        .select(
            from_min=(pl.col("started_local") - midnight).dt.total_seconds() / 60,
            to_min=(pl.col("ended_local") - midnight).dt.total_seconds() / 60,
            stage="stage",
            level=pl.col("stage").replace_strict(levels, default=None, return_dtype=pl.Float64),
        )
    )


def _ends(steps: pl.DataFrame) -> tuple[float, float]:
    low, high = steps.select(
        low=pl.min_horizontal("from_min", "to_min").min(),
        high=pl.max_horizontal("from_min", "to_min").max(),
    ).row(0)
    return low, high


def _stage_axis(names: Sequence[str]) -> alt.Y:
    levels, said = list(range(len(names))), [STAGE_LABELS[name] for name in names]
    axis = alt.Axis(title="Sleep stage", values=levels, labelExpr=f"{said}[datum.value]")
    domain = [-_EDGE, len(names) - 1 + _EDGE]
    return alt.Y("level:Q", axis=axis, scale=alt.Scale(domain=domain, reverse=True, nice=False))


def _risers(known: pl.DataFrame) -> pl.DataFrame:
    """Vertical lines between two runs that touch, from edge to edge."""
    here, before = pl.col("level"), pl.col("level").shift()
    return known.select(
        "from_min",
        to_min=pl.when(pl.col("to_min").shift() == pl.col("from_min")).then("from_min"),
        level=pl.min_horizontal(here, before) + _HALF_BAR,
        level_to=pl.max_horizontal(here, before) - _HALF_BAR,
    ).filter(pl.col("to_min").is_not_null(), pl.col("level") < pl.col("level_to"))


def _lines(frame: pl.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    rules = alt.Chart(frame).mark_rule(color=OUTLINE, strokeWidth=1)
    placed: alt.Chart = rules.encode(x=x, x2="to_min:Q", y=y, y2="level_to:Q")
    return placed


def _band(unknown: pl.DataFrame, x: alt.X) -> alt.Chart:
    band = alt.Chart(unknown).transform_calculate(**_SAID).mark_rect(color=FAINT)
    placed: alt.Chart = band.encode(x=x, x2="to_min:Q", tooltip=_TOOLTIP)
    return placed


def _bars(known: pl.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    level = pl.col("level")
    edges = known.with_columns(level=level - _HALF_BAR, level_to=level + _HALF_BAR)
    scale = alt.Scale(domain=list(STAGE_COLOURS), range=list(STAGE_COLOURS.values()))
    colour = alt.Color("stage:N", scale=scale, legend=None)
    bars = alt.Chart(edges).transform_calculate(**_SAID).mark_rect()
    placed: alt.Chart = bars.encode(
        x=x, x2="to_min:Q", y=y, y2="level_to:Q", color=colour, tooltip=_TOOLTIP
    )
    return placed


_SAID: Final = {
    "From": clock("datum.from_min"),
    "To": clock("datum.to_min"),
    "Minutes": "datum.to_min - datum.from_min",
    "Stage": f"{STAGE_LABELS}[datum.stage]",
}
_TOOLTIP: Final = [
    "Stage:N",
    "From:N",
    "To:N",
    alt.Tooltip("Minutes:Q", title="Duration (min)", format=".1~f"),
]
