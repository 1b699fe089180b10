"""The charts of a page: inline SVG, once for wide pages and once for narrow ones, with words for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import polars as pl
from markupsafe import Markup

from asleep_pipeline.charts import (
    CLOCK,
    Chart,
    bed_to_wake,
    calendar,
    distribution,
    hypnogram,
    png_markdown,
    raster,
    score_parts,
    stage_stack,
    to_png,
    to_svg,
    trend,
)
from asleep_pipeline.reports.labels import PARTS, stage_name
from asleep_pipeline.reports.model import (
    Hypnogram,
    OrganisationReport,
    Report,
    Score,
    Sleep,
    UserReport,
)
from asleep_pipeline.reports.period import Period
from asleep_pipeline.reports.words import clock, counted, day, duration, shown, title

_WIDE_PX: Final = 720
_NARROW_PX: Final = 340
_HOUR_S: Final = 3600
_FEWEST_NIGHTS: Final = 10
"""Fewer have no spread worth looking at."""
_DAY_MIN: Final = 24 * 60
_HALF_A_DAY: Final = timedelta(hours=12)
_NIGHT_COLUMNS: Final = {
    "night_date": pl.Date(),
    "is_free_day": pl.Boolean(),
    "tst_s": pl.Int64(),
    "waso_s": pl.Int64(),
    "light_s": pl.Int64(),
    "deep_s": pl.Int64(),
    "rem_s": pl.Int64(),
    "sleep_24h_s": pl.Int64(),
    "bed_min": pl.Float64(),
    "onset_min": pl.Float64(),
    "wake_min": pl.Float64(),
    "rise_min": pl.Float64(),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart in two widths.

    Attributes:
        title: What it shows.
        description: What is to be seen in it.
        wide: An `<svg>` for pages of at least 600 px.
        narrow: An `<svg>` for smaller ones.
        is_small: Whether it keeps its size where there is more room.
    """

    title: str
    description: str
    wide: Markup
    narrow: Markup
    is_small: bool = False


def night_pictures(report: UserReport) -> dict[str, Picture]:
    """Amount and times of sleep, night by night."""
    frame = _night_frame(report)
    slept = [night.tst_s for night in report.nights if night.tst_s is not None]
    amount = f"{counted(len(slept), 'night')} with {_from_to(slept, duration)} of sleep."
    times = "; ".join(
        f"{said} between {_from_to(minutes, clock, ' and ')}"
        for said, minutes in (
            ("going to bed", frame["bed_min"].drop_nulls().to_list()),
            ("waking up", frame["wake_min"].drop_nulls().to_list()),
        )
        if minutes
    )
    return {
        "stages": _picture(
            "Sleep and its stages, night by night", amount, lambda px: stage_stack(frame, width=px)
        ),
        "times": _picture(
            "From going to bed to getting up",
            f"{times.capitalize()}.",
            lambda px: bed_to_wake(frame, width=px, height=300),
        ),
    }


def raster_picture(report: UserReport) -> Picture:
    """All sleep on a clock of 24 hours."""
    naps = sum(sleep.kind == "nap" for sleep in report.sleeps)
    frame = _raster_frame(report.sleeps)
    row = 24 if report.period.kind == "week" else 14
    return _picture(
        "When there was sleep, from noon to noon",
        f"{counted(len(report.sleeps) - naps, 'sleep')} at night, {counted(naps, 'nap')}.",
        lambda px: raster(frame, width=px - 96, row=row),
    )


def calendar_picture(report: UserReport) -> Picture:
    """A month at a glance."""
    frame = _night_frame(report).select("night_date", value=pl.col("sleep_24h_s") / _HOUR_S)
    slept = [night.sleep_24h_s for night in report.nights if night.sleep_24h_s is not None]
    drawn = _picture(
        "All sleep of each date, naps included",
        f"{counted(len(slept), 'date')} with {_from_to(slept, duration)} of sleep.",
        lambda px: calendar(frame, cell=44 if px == _WIDE_PX else 32),
    )
    return replace(drawn, is_small=True)


def distribution_picture(report: UserReport) -> Picture | None:
    """The nights of this period against those of the one before, if there are enough of both."""
    present = [n.sleep_24h_s for n in report.nights if n.is_night and n.sleep_24h_s is not None]
    groups = {
        title(report.period): present,
        title(report.comparison.period): report.comparison.sleep_24h_s,
    }
    if min(map(len, groups.values())) < _FEWEST_NIGHTS:
        return None
    rows = [{"group": group, "value": s / _HOUR_S} for group, many in groups.items() for s in many]
    said = "; ".join(
        f"{group}: {counted(len(many), 'night')}, {_from_to(many, duration)}"
        for group, many in groups.items()
    )
    return _picture(
        "How the nights are spread",
        f"{said}.",
        lambda px: distribution(
            pl.DataFrame(rows), label="Sleep in 24 h", unit="h", width=px - 110
        ),
    )


def hypnogram_picture(of: Hypnogram, which: str) -> Picture:
    """The stages of one night."""
    totals: dict[str, int] = {}
    for run in of.runs:
        totals[run.stage] = totals.get(run.stage, 0) + run.length_s
    said = ", ".join(
        f"{duration(s)} {stage_name(stage, of.stage_levels)}" for stage, s in totals.items()
    )
    frame = pl.DataFrame(
        {
            "stage": [run.stage for run in of.runs],
            "started_local": [run.started_local for run in of.runs],
            "ended_local": [run.ended_local for run in of.runs],
        },
        schema={
            "stage": pl.String(),
            "started_local": pl.Datetime("us"),
            "ended_local": pl.Datetime("us"),
        },
    )
    return _picture(
        f"{which}: {day(of.night_date)}",
        f"{said or 'No stages'}.",
        lambda px: hypnogram(frame, stage_levels=of.stage_levels or 2, width=px, height=220),
    )


def score_picture(score: Score) -> Picture:
    """What the score is made of."""
    rows = [
        {"part": PARTS[p.part], "points": p.points, "weight": p.weight_fraction}
        for p in score.parts
    ]
    schema = {"part": pl.String(), "points": pl.Float64(), "weight": pl.Float64()}
    said = ", ".join(f"{PARTS[p.part]} {shown(p.points, '0-100')} of 100" for p in score.parts)
    frame = pl.DataFrame(rows, schema=schema)
    return _picture(
        "What the score is made of", f"{said}.", lambda px: score_parts(frame, width=px - 190)
    )


def trend_pictures(report: Report) -> list[Picture]:
    """Sleep, score and timing over half a year; those with at least two values."""
    of_people = isinstance(report, OrganisationReport)
    of = "Mean of the people" if of_people else f"Mean of each {report.period.kind}"
    drawn = (_trend_picture(report, line, of) for line in (_SLEEP, _score_line(of_people), _MIDDLE))
    return [picture for picture in drawn if picture]


@dataclass(frozen=True, slots=True)
class _Line:
    """A figure over time: of which field, with which band, in which unit."""

    label: str
    unit: str
    columns: dict[str, str]
    say: Callable[[float], str]
    scale: int = 1


_SLEEP: Final = _Line(
    "Sleep a night",
    "h",
    {"tst_mean_s": "value", "tst_p10_s": "low", "tst_p90_s": "high"},
    lambda hours: duration(hours * _HOUR_S),
    _HOUR_S,
)
_MIDDLE: Final = _Line("Middle of sleep", CLOCK, {"midpoint_mean_min": "value"}, clock)


def _score_line(of_people: bool) -> _Line:
    columns = {"score_mean": "value", "score_p10": "low", "score_p90": "high"}
    return _Line(
        "Sleep score",
        "points",
        columns if of_people else {"score": "value"},
        lambda points: shown(points, "0-100"),
    )


def trend_markdown(report: OrganisationReport) -> str | None:
    """Sleep over half a year as a Markdown image; None where there is no trend."""
    frame = _trend_frame(report, _SLEEP)
    if frame["value"].count() < _TREND_POINTS:
        return None
    return png_markdown(to_png(_trend_chart(frame, _SLEEP, _WIDE_PX)), "Sleep a night over time")


_TREND_POINTS: Final = 2
"""One is no trend."""


def _trend_picture(report: Report, line: _Line, of: str) -> Picture | None:
    frame = _trend_frame(report, line)
    values = frame["value"].drop_nulls().to_list()
    if len(values) < _TREND_POINTS:
        return None
    need_h = report.subject.sleep_need_s / _HOUR_S if isinstance(report, UserReport) else None
    target = need_h if line is _SLEEP else None
    return _picture(
        f"{line.label} over time",
        f"{of}: {_from_to(values, line.say)}, at last {line.say(values[-1])}.",
        lambda px: _trend_chart(frame, line, px, target),
    )


def _trend_chart(frame: pl.DataFrame, line: _Line, px: int, target: float | None = None) -> Chart:
    return trend(
        frame,
        label=line.label,
        unit=line.unit,
        target=target,
        band="10th to 90th percentile",
        width=px,
        height=220,
    )


def _trend_frame(report: Report, line: _Line) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {"date": point.start_date}
        | {name: _scaled(getattr(point, of), line.scale) for of, name in line.columns.items()}
        for point in report.trend
    ]
    floats = dict.fromkeys(line.columns.values(), pl.Float64())
    return pl.DataFrame(rows, schema={"date": pl.Date(), **floats})


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value / scale


def _night_frame(report: UserReport) -> pl.DataFrame:
    """A row for every date of the period, also for those without a night."""
    by_date = {night.night_date: night for night in report.nights}
    rows = [
        {name: getattr(by_date.get(of), name, None) for name in _NIGHT_COLUMNS} | {"night_date": of}
        for of in dates_of(report.period)
    ]
    return pl.DataFrame(rows, schema=_NIGHT_COLUMNS)


def dates_of(period: Period) -> list[date]:
    """Its night dates."""
    return [period.start_date + timedelta(days=n) for n in range(period.days)]


def _raster_frame(sleeps: Sequence[Sleep]) -> pl.DataFrame:
    """Sleep by days from noon to noon; what reaches over noon is cut in two."""
    rows = []
    for sleep in sleeps:
        noon = datetime.combine((sleep.onset_local - _HALF_A_DAY).date(), time()) + _HALF_A_DAY
        ends = (sleep.onset_local, sleep.final_wake_local)
        start, end = ((at - noon).total_seconds() / 60 for at in ends)
        kind = "nap" if sleep.kind == "nap" else "asleep"
        while start < end:
            rows.append((noon.date(), start, min(end, _DAY_MIN), kind))
            noon, start, end = noon + timedelta(days=1), 0.0, end - _DAY_MIN
    schema = {
        "day": pl.Date(),
        "from_min": pl.Float64(),
        "to_min": pl.Float64(),
        "kind": pl.String(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _from_to(values: Sequence[float], say: Callable[[float], str], to: str = " to ") -> str:
    if not values:
        return "nothing"
    low, high = say(min(values)), say(max(values))
    return low if low == high else f"{low}{to}{high}"


def _picture(name: str, description: str, draw: Callable[[int], Chart]) -> Picture:
    wide, narrow = (
        # Its texts are escaped by `to_svg`.
        Markup(to_svg(draw(px), title=name, description=description))  # noqa: S704
        for px in (_WIDE_PX, _NARROW_PX)
    )
    return Picture(name, description, wide, narrow)
