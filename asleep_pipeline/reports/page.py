"""A report as one page of HTML that needs nothing else: styles and charts are in it, scripts are not."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from asleep_pipeline.reports import pictures, view, words
from asleep_pipeline.reports.labels import COLUMNS, ORGANISATION_GROUPS, USER_GROUPS
from asleep_pipeline.reports.model import OrganisationReport, Report, UserReport


def page(report: Report) -> str:
    """The whole page of a report."""
    if isinstance(report, UserReport):
        return _rendered("user.html", report, _user_parts(report))
    return _rendered("organisation.html", report, _organisation_parts(report))


def _rendered(template: str, report: Report, parts: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("asleep_pipeline.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["words"] = words
    common = {
        "report": report,
        "title": words.title(report.period),
        "dates": words.dates(report.period),
        "kind": report.period.kind,
        "before": words.title(report.comparison.period),
        "figures": view.figures_table(report),
        "trend": view.trend_table(report),
        "trend_pictures": pictures.trend_pictures(report),
        "basis": view.basis_facts(report.basis),
        "glossary": _glossary(report),
    }
    return environment.get_template(template).render(common | parts)


def _user_parts(report: UserReport) -> dict[str, Any]:
    is_month = report.period.kind == "month"
    return {
        "tiles": view.user_tiles(report),
        "insights": [(one, view.evidence(one.evidence)) for one in report.insights],
        "nights": view.nights_table(report),
        "night_pictures": pictures.night_pictures(report) if report.nights else {},
        "sleeps": view.sleeps_table(report.sleeps),
        "raster": pictures.raster_picture(report) if report.sleeps else None,
        "calendar": pictures.calendar_picture(report) if is_month and report.nights else None,
        "distribution": pictures.distribution_picture(report) if is_month else None,
        "hypnograms": _hypnograms(report),
        "score": view.score_table(report.score) if report.score else None,
        "score_picture": pictures.score_picture(report.score) if report.score else None,
        "quality": view.quality_table(report.quality),
    }


def _organisation_parts(report: OrganisationReport) -> dict[str, Any]:
    return {
        "tiles": view.organisation_tiles(report),
        "insights": view.shared_insights_table(report) if report.insights else None,
        "score": view.score_table(report.score) if report.score else None,
        "score_picture": pictures.score_picture(report.score) if report.score else None,
        "quality": view.quality_table(report.quality) if report.quality else None,
    }


def _hypnograms(report: UserReport) -> list[tuple[pictures.Picture, view.Table]]:
    names = {report.shortest_night_date: "Shortest night", report.best_night_date: "Best night"}
    if report.best_night_date == report.shortest_night_date:
        names = {report.best_night_date: "Best and shortest night"}
    best_first = sorted(report.hypnograms, key=lambda one: one.night_date != report.best_night_date)
    return [
        (pictures.hypnogram_picture(one, names[one.night_date]), view.hypnogram_table(one))
        for one in best_first
    ]


def _glossary(report: Report) -> dict[str, str]:
    """What each figure of the page means, as the marts define it."""
    groups = USER_GROUPS if isinstance(report, UserReport) else ORGANISATION_GROUPS
    return {
        label: COLUMNS[name].description
        for labels in groups.values()
        for name, label in labels.items()
    }
