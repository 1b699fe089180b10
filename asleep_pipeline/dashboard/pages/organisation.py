"""The page of one organisation: its weeks, and how its people differ."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import duckdb
import polars as pl

from asleep_pipeline.charts import CLOCK, Chart, distribution, trend
from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.figures import Figure, fitted, sized
from asleep_pipeline.dashboard.html import Table, render
from asleep_pipeline.dashboard.measures import Measure
from asleep_pipeline.dashboard.queries.contents import parameters
from asleep_pipeline.dashboard.queries.groups import least, people_of_week, weeks

_HEAD: Final = (
    "Week of",
    "People",
    "Nights",
    "Sleep, median",
    "10th to 90th percentile",
    "Efficiency",
    "Regularity Index",
    "Score",
    "Short sleepers",
)


def week_choices(con: duckdb.DuckDBPyConnection, org_id: str) -> dict[str, date]:
    """Weeks of an organisation by what people read of them, the newest first."""
    mondays = weeks(con, org_id)["week"].sort(descending=True)
    return {f"Week of {words.day(monday)}": monday for monday in mondays}


def organisation_page(
    con: duckdb.DuckDBPyConnection, org_id: str, measure: Measure, week: date | None
) -> str:
    """One measure by week and by person, the share of short sleepers, and all weeks as a table."""
    rows, given = weeks(con, org_id), parameters(con)
    few = least(con, org_id)
    hidden = f"Fewer than {few} people: not shown"
    figures = []
    if week and not rows["is_suppressed"].all():
        figures = [
            _trend(rows, measure),
            _people(con, org_id, measure, week, hidden),
            _short_sleepers(rows, given.short_sleep_s),
        ]
    return render(
        "organisation",
        org_id=org_id,
        lead=_lead(rows, few),
        figures=figures,
        weeks=Table("Weeks, the newest first", _HEAD, [_row(row, hidden) for row in _newest(rows)]),
        rule="A week counts people with at least half of its nights. Figures are those of the "
        "people's own means, so that nobody weighs more than another.",
    )


def _lead(rows: pl.DataFrame, least: int) -> str:
    if rows.is_empty():
        return "No week has a person with at least half of its nights yet."
    suppressed = int(rows["is_suppressed"].sum())
    said = words.count(rows.height, "week")
    few = f"fewer than {least} people and not shown"
    return f"{said}; with {few}: {suppressed}." if suppressed else f"{said}."


def _trend(rows: pl.DataFrame, measure: Measure) -> Figure:
    shown = rows.select(
        date="week",
        value=pl.col(measure.middle) * measure.factor,
        **{
            name: pl.col(column) * measure.factor
            for name, column in zip(("low", "high"), measure.spread or (), strict=False)
        },
    )
    chart = trend(
        shown,
        label=f"{measure.label}, {measure.statistic}",
        unit=measure.unit,
        band="Middle 80 % of people",
    )
    title = f"{measure.label} by week ({_unit(measure)})"
    return Figure(title, _change(shown, measure), fitted(chart))


def _change(shown: pl.DataFrame, measure: Measure) -> str:
    known = shown.drop_nulls("value")
    if known.is_empty():
        return "No week can be shown."
    first, last = known.row(0, named=True), known.row(-1, named=True)
    weeks_of = [words.day(row["date"]) for row in (first, last)]
    values = [_said(row["value"], measure) for row in (first, last)]
    return (
        f"The {measure.statistic} of people: {values[0]} in the week of {weeks_of[0]}, "
        f"{values[1]} in the week of {weeks_of[1]}."
    )


def _people(
    con: duckdb.DuckDBPyConnection, org_id: str, measure: Measure, week: date, hidden: str
) -> Figure:
    """How people differ in a week, with the week before to compare."""
    groups = {
        f"Week of {monday.day} {monday:%b}": people_of_week(con, org_id, measure, monday)
        for monday in (week, week - timedelta(days=7))
    }
    title = f"{measure.label} of people ({measure.person_unit})"
    told = [f"{name}: {_spread(values, measure, hidden)}" for name, values in groups.items()]
    return Figure(title, " ".join(told), *_spread_charts(groups, measure))


def _spread_charts(groups: Mapping[str, pl.Series], measure: Measure) -> tuple[Chart, Chart]:
    frame = pl.concat(
        pl.DataFrame({"group": [name] * values.len(), "value": values.cast(pl.Float64)})
        for name, values in groups.items()
    )
    return sized(
        lambda width: distribution(
            frame, label=measure.label, unit=measure.person_unit, width=width
        ),
        wide=380,
        narrow=165,
    )


def _spread(values: pl.Series, measure: Measure, hidden: str) -> str:
    if values.is_empty():
        return f"{hidden}."
    median = values.median()
    assert isinstance(median, float)
    return f"{words.count(values.len(), 'person', 'people')}, median {_said(median, measure)}."


def _short_sleepers(rows: pl.DataFrame, short_s: int) -> Figure:
    shown = rows.select(date="week", value=100 * pl.col("short_sleeper_fraction"))
    known = shown["value"].drop_nulls()
    last = words.percent(known[-1] / 100) if known.len() else words.NONE
    limit = words.duration(short_s)
    return Figure(
        "Share of short sleepers (% of people)",
        f"People who sleep less than {limit} a day on average; {last} in the last week shown.",
        fitted(trend(shown, label="Short sleepers", unit="% of people", height=300)),
    )


def _newest(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return rows.sort("week", descending=True).to_dicts()


def _row(row: Mapping[str, Any], hidden: str) -> list[str]:
    week = words.day(row["week"])
    if row["is_suppressed"]:
        return [week, hidden]
    low, high = words.duration(row["tst_p10_s"]), words.duration(row["tst_p90_s"])
    return [
        week,
        words.number(row["users"]),
        words.number(row["nights"]),
        words.duration(row["tst_median_s"]),
        f"{low} to {high}",
        words.percent(row["efficiency_median_fraction"]),
        words.number(row["sri_median"]),
        words.number(row["score_median"]),
        words.percent(row["short_sleeper_fraction"]),
    ]


def _said(value: float, measure: Measure) -> str:
    """A value of a measure with its unit."""
    if measure.unit == CLOCK:
        return words.clock(value)
    if measure.unit == "h":
        return words.duration(3600 * value)
    return words.number(value, measure.unit if measure.unit in {"%", "min"} else "", 1)


def _unit(measure: Measure) -> str:
    return "local time" if measure.unit == CLOCK else measure.unit
