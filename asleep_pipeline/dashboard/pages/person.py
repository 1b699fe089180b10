"""The page of one person: score, insights, and figures of the last 7, 14 and 30 days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import duckdb
import polars as pl

from asleep_pipeline.charts import score_parts
from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.figures import Figure, sized
from asleep_pipeline.dashboard.html import Table, render
from asleep_pipeline.dashboard.queries.contents import parameters
from asleep_pipeline.dashboard.queries.people import Span, about, insights, windows
from asleep_pipeline.warehouse.marts.tables import FCT_USER_DAY, WINDOWS_DAYS

Row = Mapping[str, Any]

_PARTS: Final = ("efficiency", "consistency", "duration")
_FORMATS: Final[dict[str, Callable[[Any], str]]] = {
    "s": words.duration,
    "min": lambda value: words.number(value, "min"),
    "min from local midnight of the night date": words.clock,
    "fraction 0-1": words.percent,
    "1/h": lambda value: words.number(value, "per h", 1),
    "count": words.number,
}
_COLUMNS: Final = {column.name: column for column in FCT_USER_DAY.columns}
_FIGURES: Final[dict[str, Callable[[Row], str]]] = {
    "Nights observed": lambda row: f"{row['nights_observed']} of {row['window_days']}",
    "Total sleep time": lambda row: words.duration(row["tst_mean_s"]),
    "All sleep, naps included": lambda row: words.duration(row["sleep_24h_mean_s"]),
    "Short nights": lambda row: words.number(row["short_nights"]),
    "Sleep debt": lambda row: words.duration(row["sleep_debt_s"]),
    "Time in bed": lambda row: words.duration(row["tib_mean_s"]),
    "Sleep efficiency": lambda row: words.percent(row["efficiency_mean_fraction"]),
    "Sleep onset latency": lambda row: words.minutes(row["sol_mean_s"]),
    "Wake after sleep onset": lambda row: words.minutes(row["waso_mean_s"]),
    "Awakenings": lambda row: words.number(row["awakenings_mean"], digits=1),
    "Deep sleep": lambda row: words.percent(row["deep_of_tst_mean_fraction"]),
    "REM sleep": lambda row: words.percent(row["rem_of_tst_mean_fraction"]),
    "Light sleep": lambda row: words.percent(row["light_of_tst_mean_fraction"]),
    "To bed": lambda row: words.around(row["bed_mean_min"], row["bed_sd_min"]),
    "Final wake": lambda row: words.around(row["wake_mean_min"], row["wake_sd_min"]),
    "Middle of sleep": lambda row: words.around(row["midpoint_mean_min"], row["midpoint_sd_min"]),
    "Sleep Regularity Index": lambda row: words.number(row["sri"]),
    "Social jetlag": lambda row: words.number(row["social_jetlag_min"], "min"),
    "Chronotype (MSFsc)": lambda row: words.clock(row["chronotype_msfsc_min"]),
    "Snoring": lambda row: words.percent(row["snoring_of_spt_mean_fraction"]),
    "Unstable breathing": lambda row: words.number(row["breathing_index_mean_per_h"], "per h", 1),
    "Sleep score": lambda row: words.number(row["score"]),
}
"""What the table of windows says of each row of `fct_user_day`."""


def person_page(con: duckdb.DuckDBPyConnection, span: Span, window_days: int) -> str:
    """Score, insights and key figures as of the last night of the span."""
    rows, weights = windows(con, span), parameters(con).weights
    row = rows.get(window_days)
    return render(
        "person",
        user_id=span.user_id,
        lead=_lead(about(con, span.user_id), row),
        window_days=window_days,
        **_score(row, weights),
        insights=_insights(con, span.user_id, row),
        windows=_windows(rows) if rows else None,
        windows_said="Means of nights, with the standard deviation of clock times after the ±. "
        f"{words.NONE} stands for what was not measured, and for fewer nights than half of the "
        "days.",
    )


def _lead(person: Row, row: Row | None) -> str:
    until = f"Figures up to {words.day(row['night_date'])}." if row else "No night in these dates."
    need = f"Sleep need {words.duration(person['sleep_need_s'])}."
    return (
        f"{until} Organisation {person['org_id']}. {person['timezone'] or 'No home zone'}. {need}"
    )


def _score(row: Row | None, weights: Mapping[str, float]) -> dict[str, Any]:
    """What the template says of the score."""
    formula = " + ".join(f"{weights[part]:.0%} {part}" for part in _PARTS)
    if row is None or row["score"] is None:
        nights = row["nights_observed"] if row else 0
        said = f"{words.count(nights, 'night')} observed; a score needs half of the days."
        return {"score": words.NONE, "score_said": said, "parts_figure": None, "formula": formula}
    points = {part: row[f"score_{part}"] for part in _PARTS}
    told = ", ".join(f"{part} {value:.0f} of 100" for part, value in points.items())
    frame = pl.DataFrame(
        {
            "part": [part.capitalize() for part in _PARTS],
            "points": list(points.values()),
            "weight": [weights[part] for part in _PARTS],
        }
    )
    figure = Figure(
        "Parts of the sleep score",
        f"Points: {told}.",
        *sized(lambda width: score_parts(frame, width=width), wide=260, narrow=110),
    )
    return {
        "score": words.number(row["score"]),
        "score_said": f"of 100, from {words.count(row['nights_observed'], 'night')}",
        "parts_figure": figure,
        "formula": f"Score = {formula}. Version {row['score_version']}.",
    }


def _insights(
    con: duckdb.DuckDBPyConnection, user_id: str, row: Row | None
) -> list[dict[str, Any]]:
    found = insights(con, user_id, row["night_date"]) if row else []
    return [
        {
            "text": one["text"],
            "rule": one["rule"].replace("_", " "),
            "evidence": [_evidence(name, value) for name, value in one["evidence"].items()],
        }
        for one in found
    ]


def _evidence(name: str, value: float) -> tuple[str, str]:
    """A figure of `fct_user_day` by what it is called there, in its unit."""
    column = _COLUMNS[name]
    return column.description.partition(" (")[0], _FORMATS[column.unit](value)


def _windows(rows: Mapping[int, Row]) -> Table:
    lengths = [days for days in WINDOWS_DAYS if days in rows]
    return Table(
        "Of the last days, up to that night",
        ["Figure", *(f"{days} days" for days in lengths)],
        [[name, *(said(rows[days]) for days in lengths)] for name, said in _FIGURES.items()],
    )
