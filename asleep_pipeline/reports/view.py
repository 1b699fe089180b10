"""What stands on a page: tiles and tables, all of them words already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from asleep_pipeline.reports.labels import (
    COLUMNS,
    ORGANISATION_GROUPS,
    PARTS,
    USER_GROUPS,
    stage_name,
)
from asleep_pipeline.reports.model import (
    Basis,
    Hypnogram,
    Night,
    OrganisationReport,
    Quality,
    Report,
    Score,
    Sleep,
    UserReport,
)
from asleep_pipeline.reports.pictures import dates_of
from asleep_pipeline.reports.words import (
    DASH,
    changed,
    clock,
    compact,
    day,
    duration,
    moment,
    percent,
    shown,
    title,
    weekday,
    weekdays,
)
from asleep_pipeline.warehouse.insights import RULES

_SHORT: Final = 12
"""Rows."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure that is looked at first."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the first cell of a row is its head. Groups have a name each, or one has none."""

    caption: str
    head: Sequence[str]
    groups: Mapping[str, Sequence[Sequence[str]]]
    texts: frozenset[int] = field(default_factory=frozenset)
    """Numbers of the columns that hold text, not figures."""

    @property
    def is_short(self) -> bool:
        """Whether it is not to be torn apart in print."""
        return sum(map(len, self.groups.values())) <= _SHORT


def user_tiles(report: UserReport) -> list[Tile]:
    """The six figures of a user that are looked at first."""
    figures, need = report.figures, report.subject.sleep_need_s
    if figures is None:
        return []
    spread = "" if figures.bed_sd_min is None else f"± {shown(figures.bed_sd_min, 'min')}"
    in_24_h = shown(figures.sleep_24h_mean_s, "s")
    return [
        Tile("Nights", f"{report.nights_observed} of {report.nights_possible}", "that count"),
        _tile("Sleep a night", "tst_mean_s", report),
        Tile("Sleep in 24 h", in_24_h, f"of {duration(need)} needed"),
        _tile("Sleep efficiency", "efficiency_mean_fraction", report),
        _tile("Sleep score", "score", report),
        Tile("Going to bed", shown(figures.bed_mean_min, COLUMNS["bed_mean_min"].unit), spread),
    ]


def organisation_tiles(report: OrganisationReport) -> list[Tile]:
    """The six figures of an organisation that are looked at first."""
    figures = report.figures
    if figures is None:
        return []
    people = f"{figures.users} of {report.users_possible}"
    nights = f"{report.nights_observed} of {report.nights_possible}"
    return [
        Tile("People", people, "with at least half of the nights"),
        Tile("Nights", nights, "of these people"),
        _tile("Sleep a night", "tst_mean_s", report),
        _tile("Sleep efficiency", "efficiency_mean_fraction", report),
        _tile("Sleep score", "score_mean", report),
        _tile("People with short sleep", "short_sleeper_fraction", report),
    ]


def figures_table(report: Report) -> Table:
    """Every figure of the period beside the one before."""
    of_user = isinstance(report, UserReport)
    groups = USER_GROUPS if of_user else ORGANISATION_GROUPS
    before = report.comparison
    return Table(
        f"{title(report.period)} and {title(before.period)}",
        ("Figure", title(report.period), title(before.period), "Change"),
        {
            group: [
                (
                    label,
                    shown(getattr(report.figures, name, None), COLUMNS[name].unit),
                    shown(getattr(before.figures, name, None), COLUMNS[name].unit),
                    changed(before.change[name], COLUMNS[name].unit),
                )
                for name, label in labels.items()
            ]
            for group, labels in groups.items()
        },
    )


def score_table(score: Score) -> Table:
    """Points, weights, and what comes of them."""
    rows = [
        (
            PARTS[part.part],
            shown(part.points, "0-100"),
            percent(part.weight_fraction),
            shown(None if part.points is None else part.points * part.weight_fraction, "0-100"),
        )
        for part in score.parts
    ]
    points = shown(score.score, "0-100")
    whole = ("Score", points, percent(1), points)
    return Table(
        "The score and its parts",
        ("Part", "Points of 100", "Weight", "Contribution"),
        {"": [*rows, whole]},
    )


def nights_table(report: UserReport) -> Table:
    """A row for every date of the period."""
    by_date = {night.night_date: night for night in report.nights}
    rows = [
        (weekday(of), *_night_cells(by_date[of], report))
        if of in by_date
        else (weekday(of), *[DASH] * (len(_NIGHT_HEAD) - 2), "no night")
        for of in dates_of(report.period)
    ]
    return Table(
        "The nights, by the date of waking",
        _NIGHT_HEAD,
        {"": rows},
        frozenset({len(_NIGHT_HEAD) - 1}),
    )


_NIGHT_HEAD: Final = (
    "Night", "To bed", "Asleep", "Woke", "Up", "Sleep", "Efficiency",
    "Light", "Deep", "REM", "Awake", "Notes",
)  # fmt: skip


def sleeps_table(sleeps: Iterable[Sleep]) -> Table:
    """Every stretch of sleep."""
    kinds = {"night": "Night", "part": "Part of the night", "nap": "Nap"}
    return Table(
        "Every stretch of sleep, in local time",
        ("Date", "From", "To", "Sleep", "Kind"),
        {
            "": [
                (
                    weekday(sleep.night_date),
                    f"{sleep.onset_local:%H:%M}",
                    f"{sleep.final_wake_local:%H:%M}",
                    duration(sleep.tst_s),
                    kinds[sleep.kind],
                )
                for sleep in sleeps
            ]
        },
        frozenset({4}),
    )


def hypnogram_table(of: Hypnogram) -> Table:
    """The runs of a night."""
    rows = [
        (
            f"{run.started_local:%H:%M:%S}",
            f"{run.ended_local:%H:%M:%S}",
            stage_name(run.stage, of.stage_levels),
            f"{run.length_s / 60:g} min",
        )
        for run in of.runs
    ]
    head = ("From", "To", "Stage", "Length")
    return Table(f"Stages of {day(of.night_date)}, in local time", head, {"": rows}, frozenset({2}))


def trend_table(report: Report) -> Table:
    """The points of the trend."""
    score, sri = ("score", "sri") if isinstance(report, UserReport) else ("score_mean", "sri_mean")
    columns = {
        "nights": "count",
        "tst_mean_s": "s",
        "tst_p10_s": "s",
        "tst_p90_s": "s",
        "efficiency_mean_fraction": "fraction",
        "midpoint_mean_min": "min from",
        sri: "-100 to 100",
        score: "0-100",
    }
    rows = [
        (point.key, *(shown(getattr(point, name), unit) for name, unit in columns.items()))
        for point in report.trend
    ]
    head = (
        "Week" if report.period.kind == "week" else "Month",
        *("Nights", "Sleep a night", "10th percentile", "90th percentile", "Efficiency"),
        *("Middle of sleep", "Regularity Index", "Score"),
    )
    return Table("The last half year", head, {"": rows})


def quality_table(quality: Quality) -> Table:
    """How far the sessions can be trusted."""
    rows = [
        ("Good", str(quality.good_sessions), shown(quality.good_fraction, "fraction")),
        ("Fair", str(quality.fair_sessions), shown(quality.fair_fraction, "fraction")),
        ("Poor, left out", str(quality.poor_sessions), shown(quality.poor_fraction, "fraction")),
        ("Not judged: unfinished or without stages", str(quality.unjudged_sessions), ""),
        ("All", str(quality.sessions), ""),
    ]
    return Table(
        "Sessions by quality", ("Quality", "Sessions", "Share of those judged"), {"": rows}
    )


def basis_facts(basis: Basis) -> dict[str, str]:
    """What the numbers rest on."""
    given = basis.parameters
    bands = "; ".join(
        f"{band.points:g} points from {band.from_h:g} to {band.to_h:g} h"
        for band in given.duration_bands
    )
    return {
        "Published": moment(basis.published_at),
        "Snapshot of the data": f"{basis.lake_snapshot}, {moment(basis.snapshot_at)}",
        "Newest night": day(basis.last_night_date),
        "Release": f"asleep-pipeline {basis.pipeline_version}",
        "Time zone rules": basis.tzdata_version or DASH,
        "Sleep need, unless known": duration(given.sleep_need_s),
        "A night is short below": duration(given.short_sleep_s),
        "Free days, unless known": weekdays(given.free_days),
        "Smallest group that is shown": f"{given.min_group_size} people",
        "Score": f"version {given.score_version}",
        "Weights of the score": ", ".join(
            f"{part} {percent(getattr(given, f'{name}_weight'))}" for name, part in PARTS.items()
        ),
        "Consistency gives no points from": duration(60 * given.consistency_limit_min),
        "Duration gives": f"{bands}; otherwise {given.duration_otherwise:g}",
    }


def evidence(figures: Mapping[str, float | None]) -> dict[str, str]:
    """The figures that an insight rests on, by their meaning."""
    return {
        COLUMNS[name].description if name in COLUMNS else name: shown(
            value, COLUMNS[name].unit if name in COLUMNS else ""
        )
        for name, value in figures.items()
    }


def shared_insights_table(report: OrganisationReport) -> Table:
    """Which rules hold, of how many people."""
    texts = {rule["name"]: rule["text"].replace("{}", "\N{HORIZONTAL ELLIPSIS}") for rule in RULES}
    rows = [
        (
            one.rule.replace("_", " ").capitalize(),
            str(one.users),
            percent(one.users_fraction),
            texts.get(one.rule, DASH),
        )
        for one in report.insights
    ]
    head = ("What holds", "People", "Share", "What each of them is told")
    return Table("What holds for how many people", head, {"": rows}, frozenset({3}))


def _tile(label: str, name: str, report: Report) -> Tile:
    unit, change = COLUMNS[name].unit, report.comparison.change[name]
    before = f"the {report.period.kind} before"
    note = "" if change is None else f"{changed(change, unit)} on {before}"
    return Tile(label, shown(getattr(report.figures, name), unit), note)


def _night_cells(night: Night, report: UserReport) -> tuple[str, ...]:
    clocks = (night.bed_min, night.onset_min, night.wake_min, night.rise_min)
    stages = (night.light_s, night.deep_s, night.rem_s, night.waso_s)
    return (
        *(DASH if minutes is None else clock(minutes) for minutes in clocks),
        compact(night.tst_s),
        shown(night.efficiency_fraction, "fraction"),
        *map(compact, stages),
        _notes(night, report),
    )


def _notes(night: Night, report: UserReport) -> str:
    said = {
        "best": night.night_date == report.best_night_date,
        "shortest": night.night_date == report.shortest_night_date,
        "free day": night.is_free_day,
        f"{night.quality} quality": night.quality in {"fair", "poor"},
        "does not count": not night.is_night,
        "clocks changed": night.is_clock_change,
        f"{duration(night.nap_s or 0)} of naps": bool(night.nap_s),
        f"{duration(night.split_s or 0)} in further parts": bool(night.split_s),
    }
    return ", ".join(text for text, holds in said.items() if holds)
