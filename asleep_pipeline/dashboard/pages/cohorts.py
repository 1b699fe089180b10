"""The page of cohorts: which there are, and how two of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import duckdb

from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.figures import Figure, fitted
from asleep_pipeline.dashboard.histogram import histogram
from asleep_pipeline.dashboard.html import Table, Tile, render
from asleep_pipeline.dashboard.queries.groups import cohorts
from asleep_pipeline.errors import UsageError
from asleep_pipeline.warehouse.cohorts import (
    METRICS,
    Comparison,
    Sample,
    compare_cohorts,
    min_group_size,
)

_LABELS: Final = {
    "tst": "Total sleep time",
    "sleep-24h": "All sleep, naps included",
    "efficiency": "Sleep efficiency",
    "latency": "Sleep onset latency",
    "waso": "Wake after sleep onset",
    "awakenings": "Awakenings",
    "deep": "Deep sleep share",
    "rem": "REM sleep share",
    "snoring": "Snoring share",
    "midpoint-sd": "Spread of the middle of sleep",
    "sri": "Sleep Regularity Index",
    "score": "Sleep score",
}
_UNITS: Final = {"fraction": ("%", 100.0), "count": ("a night", 1.0)}
_HEAD: Final = (
    "Cohort",
    "People",
    "Mean",
    "Standard deviation",
    "Median",
    "10th to 90th percentile",
)
_HINT: Final = (
    "asleep-pipeline cohort define over-50 --where 'birth_year < 1976'",
    "asleep-pipeline cohort define pilot --from pilot.csv",
)


def cohort_choices(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the cohorts that hold somebody."""
    return [row["cohort"] for row in cohorts(con)]


def metric_choices() -> dict[str, str]:
    """What cohorts are compared by, by what people read of it."""
    return {_LABELS.get(name, name): name for name in METRICS}


def cohorts_page(
    con: duckdb.DuckDBPyConnection, chosen: Sequence[str | None], metric: str, weeks: int
) -> str:
    """All cohorts, and two of them compared.

    Args:
        con: A connection to the published file.
        chosen: Names of two cohorts; None where there is none.
        metric: What they are compared by.
        weeks: The newest whole weeks that are looked at.
    """
    rows = [
        [row["cohort"], f"{row['people']:,}", f"{row['people_with_nights']:,}"]
        for row in cohorts(con)
    ]
    return render(
        "cohorts",
        cohorts=Table(
            "Cohorts as of the last publication", ["Cohort", "People", "With nights"], rows
        ),
        hint=_HINT,
        **_compared(con, [name for name in chosen if name], metric, weeks),
    )


def _compared(
    con: duckdb.DuckDBPyConnection, chosen: Sequence[str], metric: str, weeks: int
) -> dict[str, Any]:
    """What the template says of the comparison."""
    nothing: dict[str, Any] = {"figure": None, "tiles": [], "samples": None}
    if len(set(chosen)) < len(("first", "second")):
        return nothing | {"said": "Two different cohorts are needed to compare."}
    try:
        found = compare_cohorts(con, *chosen, metric=metric, weeks=weeks)
    except UsageError as error:
        return nothing | {"said": error.problem}
    dates = f"{words.day(found.first_date)} to {words.day(found.last_date)}"
    if found.is_suppressed:
        few = min_group_size(con, chosen)
        said = f"Not shown: a cohort has fewer than {few} people with half of the nights, {dates}."
        return nothing | {"said": said}
    return _shown(found, dates)


def _shown(found: Comparison, dates: str) -> dict[str, Any]:
    unit, factor = _unit(found)
    first, second = found.samples
    chart = histogram(
        {sample.cohort: sample.histogram for sample in found.samples},
        [edge * factor for edge in found.bin_edges],
        label=_LABELS.get(found.metric, found.metric),
        unit=unit,
    )
    means = [
        f"{sample.cohort} {words.number(sample.mean * factor, unit, 1)}"
        for sample in (first, second)
    ]
    title = f"{_LABELS.get(found.metric, found.metric)} of people ({unit})"
    return {
        "said": f"One figure a person, over their nights: {dates}. "
        f"{words.count(found.users_in_both or 0, 'person', 'people')} in both.",
        "figure": Figure(title, f"Mean of people: {', '.join(means)}.", fitted(chart)),
        "tiles": _tiles(found, unit, factor),
        "samples": Table(
            "Figures of people, by cohort",
            _HEAD,
            [_row(sample, unit, factor) for sample in found.samples],
        ),
    }


def _unit(found: Comparison) -> tuple[str, float]:
    """The unit that people read, and what makes it of the comparison's."""
    return _UNITS.get(found.unit, (found.unit, 1.0))


def _tiles(found: Comparison, unit: str, factor: float) -> list[Tile]:
    sizes = found.effects
    assert sizes
    interval = (
        "no interval: nothing varies"
        if sizes.low is None or sizes.high is None
        else f"95 % interval {sizes.low * factor:+.1f} to {sizes.high * factor:+.1f}"
    )
    first, second = (sample.cohort for sample in found.samples)
    return [
        Tile(f"{first} minus {second}", f"{sizes.mean_difference * factor:+.1f} {unit}", interval),
        Tile("Hedges' g", _signed(sizes.hedges_g), "standard deviations apart"),
        Tile("Cliff's delta", _signed(sizes.cliffs_delta), f"-1 to 1; above 0, {first} has more"),
    ]


def _signed(value: float | None) -> str:
    return words.NONE if value is None else f"{value:+.2f}"


def _row(sample: Sample, unit: str, factor: float) -> list[str]:
    low, high = (words.number(value * factor, unit, 1) for value in (sample.p10, sample.p90))
    spread = None if sample.sd is None else sample.sd * factor
    return [
        sample.cohort,
        words.number(sample.users),
        words.number(sample.mean * factor, unit, 1),
        words.number(spread, unit, 1),
        words.number(sample.median * factor, unit, 1),
        f"{low} to {high}",
    ]
