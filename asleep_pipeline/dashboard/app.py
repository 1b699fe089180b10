"""The dashboard as a notebook: which page is open, its filters, and what the page says.

Each cell that shows something opens the published file for itself, so that nobody holds it.
"""

# Whatever somebody has set for their own notebooks:
# /// script
# [tool.marimo.display]
# theme = "light"
# ///

import marimo

app = marimo.App(
    width="full", app_title="Sleep dashboard", css_file="style.css", html_head_file="head.html"
)

with app.setup:
    from datetime import UTC, datetime
    from typing import Any

    import marimo as mo

    from asleep_pipeline.dashboard import filters
    from asleep_pipeline.dashboard.pages.cohorts import (
        cohort_choices,
        cohorts_page,
        metric_choices,
    )
    from asleep_pipeline.dashboard.pages.live import live_choices, live_organisations, live_page
    from asleep_pipeline.dashboard.pages.night import night_choices, night_page
    from asleep_pipeline.dashboard.pages.nights import nights_page
    from asleep_pipeline.dashboard.pages.opening import LIVE, look, page_of
    from asleep_pipeline.dashboard.pages.organisation import organisation_page, week_choices
    from asleep_pipeline.dashboard.pages.person import person_page
    from asleep_pipeline.dashboard.pages.quality import quality_page
    from asleep_pipeline.dashboard.queries.people import Span, people
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.warehouse.export import read_warehouse


@app.cell
def address() -> Any:
    """Which page is asked for, and of which files."""
    _settings, page = load_settings(), page_of(mo.query_params().get("page"))
    published, in_progress = _settings.warehouse_path, _settings.live_path
    return (in_progress, page, published)


@app.cell
def opening(page: Any, published: Any) -> Any:
    """What there is; nothing that rests on it runs when there is nothing."""
    found, _above = look(published, page)
    mo.stop(found is None, mo.Html(_above))
    warehouse = published
    mo.Html(_above)
    return (found, warehouse)


@app.cell
def inputs(found: Any) -> Any:
    """The filters that depend on nothing that is chosen."""
    organisation = filters.organisation(found.organisations)
    one_organisation = filters.organisation(found.organisations, with_all=False)
    dates, window, measure = filters.dates(found), filters.window(), filters.measure()
    return (dates, measure, one_organisation, organisation, window)


@app.cell
def people_input(organisation: Any, warehouse: Any) -> Any:
    """People of the organisation that is chosen."""
    with read_warehouse(warehouse) as _con:
        person = filters.person(people(_con, organisation.value))
    return (person,)


@app.cell
def week_input(one_organisation: Any, warehouse: Any) -> Any:
    """Weeks of the organisation that is chosen."""
    with read_warehouse(warehouse) as _con:
        week = filters.choice(week_choices(_con, one_organisation.value), "Compared week")
    return (week,)


@app.cell
def person_filters(dates: Any, organisation: Any, page: Any, person: Any, window: Any) -> Any:
    """Above the page of one person."""
    mo.stop(page != "person")
    span = Span(person.value, *dates.value)
    filters.bar(organisation, person, dates, window)
    return (span,)


@app.cell
def show_person(span: Any, warehouse: Any, window: Any) -> Any:
    """Score, insights and key figures."""
    with read_warehouse(warehouse) as _con:
        _page = person_page(_con, span, window.value)
    mo.Html(_page)
    return ()


@app.cell
def night_input(span: Any, warehouse: Any) -> Any:
    """Sessions of the person, to choose one."""
    with read_warehouse(warehouse) as _con:
        night = filters.choice(night_choices(_con, span), "Night")
    return (night,)


@app.cell
def show_night(night: Any, span: Any, warehouse: Any) -> Any:
    """One night in detail."""
    with read_warehouse(warehouse) as _con:
        _page = night_page(_con, span, night.value, filters.bar(night, label="Which night").text)
    mo.Html(_page)
    return ()


@app.cell
def show_nights(span: Any, warehouse: Any) -> Any:
    """Night by night."""
    with read_warehouse(warehouse) as _con:
        _page = nights_page(_con, span)
    mo.Html(_page)
    return ()


@app.cell
def organisation_filters(measure: Any, one_organisation: Any, page: Any, week: Any) -> Any:
    """Above the page of an organisation."""
    mo.stop(page != "organisation")
    filters.bar(one_organisation, measure, week)
    return ()


@app.cell
def show_organisation(
    measure: Any, one_organisation: Any, page: Any, warehouse: Any, week: Any
) -> Any:
    """Weeks of an organisation."""
    mo.stop(page != "organisation")
    with read_warehouse(warehouse) as _con:
        _page = organisation_page(_con, one_organisation.value, measure.value, week.value)
    mo.Html(_page)
    return ()


@app.cell
def cohort_inputs(warehouse: Any) -> Any:
    """Two cohorts, and what they are compared by."""
    with read_warehouse(warehouse) as _con:
        _names = cohort_choices(_con)
    first_cohort = filters.choice({name: name for name in _names}, "Cohort")
    second_cohort = filters.choice({name: name for name in _names[1:] + _names[:1]}, "Against")
    metric, weeks = filters.choice(metric_choices(), "By"), filters.weeks()
    return (first_cohort, metric, second_cohort, weeks)


@app.cell
def cohort_filters(
    first_cohort: Any, metric: Any, page: Any, second_cohort: Any, weeks: Any
) -> Any:
    """Above the page of cohorts."""
    mo.stop(page != "cohorts")
    two_cohorts = (first_cohort.value, second_cohort.value)
    filters.bar(first_cohort, second_cohort, metric, weeks)
    return (two_cohorts,)


@app.cell
def show_cohorts(metric: Any, two_cohorts: Any, warehouse: Any, weeks: Any) -> Any:
    """Which cohorts there are, and how two of them differ."""
    with read_warehouse(warehouse) as _con:
        _page = cohorts_page(_con, two_cohorts, metric.value, weeks.value)
    mo.Html(_page)
    return ()


@app.cell
def quality_filters(organisation: Any, page: Any) -> Any:
    """Above the page of data quality."""
    mo.stop(page != "quality")
    filters.bar(organisation)
    return ()


@app.cell
def show_quality(organisation: Any, page: Any, warehouse: Any) -> Any:
    """How good the data are."""
    mo.stop(page != "quality")
    with read_warehouse(warehouse) as _con:
        _page = quality_page(_con, organisation.value)
    mo.Html(_page)
    return ()


@app.cell
def live_inputs(in_progress: Any, page: Any) -> Any:
    """Above the page of sessions in progress; without a published file too."""
    mo.stop(page != LIVE)
    live_organisation = filters.organisation(live_organisations(in_progress))
    rhythm = filters.rhythm()
    filters.bar(live_organisation, rhythm)
    return (live_organisation, rhythm)


@app.cell
def clock(rhythm: Any) -> Any:
    """What makes the page look again."""
    again = filters.clock(rhythm.value)
    filters.unseen(again)
    return (again,)


@app.cell
def live_choice(in_progress: Any, live_organisation: Any) -> Any:
    """Sessions as they are when the page is opened: a list that changes cannot be chosen from."""
    _choices = live_choices(in_progress, live_organisation.value)
    live_session = filters.searched(_choices, "Stages of")
    filters.bar(live_session, label="Which session") if len(_choices) > 1 else None
    return (live_session,)


@app.cell
def show_live(again: Any, in_progress: Any, live_organisation: Any, live_session: Any) -> Any:
    """Who is in bed, again and again."""
    again  # noqa: B018 -- it is what runs this cell again
    mo.Html(live_page(in_progress, live_organisation.value, live_session.value, datetime.now(UTC)))
    return ()


if __name__ == "__main__":
    app.run()
