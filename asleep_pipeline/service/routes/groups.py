"""Figures of groups: of the caller's organisation, and of its part of each cohort."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get
from litestar.params import PathParameter

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.service.admission import NEEDS, caller_of, warehouse_of
from asleep_pipeline.service.etags import stop_if_known
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of
from asleep_pipeline.service.problems import NotFound
from asleep_pipeline.service.ranges import FirstDate, LastDate, check_range
from asleep_pipeline.warehouse.groups import (
    CohortSize,
    GroupPeriod,
    cohort_weeks,
    cohorts,
    has_cohort,
    organisation_periods,
)

_MOST_WEEK_DAYS: Final = 7 * 104
_MOST_MONTH_DAYS: Final = 31 * 60

CohortName = Annotated[str, PathParameter(max_length=200, description="Name of a cohort.")]


class GroupPeriods(msgspec.Struct, frozen=True, kw_only=True):
    """Weeks or months in their order; one in which nobody slept is left out."""

    periods: list[GroupPeriod]


@get("/organisation/weeks", opt={NEEDS: Permission.FIGURES}, sync_to_thread=True)
def organisation_weeks(
    request: Request[Any, Any, Any], first: FirstDate, last: LastDate
) -> GroupPeriods:
    """The organisation week by week, by the Mondays of up to two years."""
    check_range(first, last, most_days=_MOST_WEEK_DAYS)
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    with warehouse.of(caller_of(request).org_id) as con:
        return GroupPeriods(periods=organisation_periods(con, "week", first, last))


@get("/organisation/months", opt={NEEDS: Permission.FIGURES}, sync_to_thread=True)
def organisation_months(
    request: Request[Any, Any, Any], first: FirstDate, last: LastDate
) -> GroupPeriods:
    """The organisation month by month, by the first days of up to five years."""
    check_range(first, last, most_days=_MOST_MONTH_DAYS)
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    with warehouse.of(caller_of(request).org_id) as con:
        return GroupPeriods(periods=organisation_periods(con, "month", first, last))


@get("/cohorts", opt={NEEDS: Permission.FIGURES}, sync_to_thread=True)
def list_cohorts(
    request: Request[Any, Any, Any], limit: Limit = USUAL_LIMIT, cursor: Cursor = None
) -> Page[CohortSize]:
    """The cohorts that hold somebody of the organisation, by name."""
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    listing = listing_of(request)
    (after,) = listing.place(cursor) or ("",)
    with warehouse.of(listing.org_id) as con:
        found = cohorts(con, after, limit + 1)
    return listing.page(found, limit, lambda one: [one.cohort])


@get("/cohorts/{cohort:str}/weeks", opt={NEEDS: Permission.FIGURES}, sync_to_thread=True)
def weeks_of_cohort(
    request: Request[Any, Any, Any], cohort: CohortName, first: FirstDate, last: LastDate
) -> GroupPeriods:
    """The organisation's part of a cohort week by week, by the Mondays of up to two years."""
    check_range(first, last, most_days=_MOST_WEEK_DAYS)
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    with warehouse.of(caller_of(request).org_id) as con:
        if not has_cohort(con, cohort):
            raise NotFound
        return GroupPeriods(periods=cohort_weeks(con, cohort, first, last))


ROUTES: Final = (organisation_weeks, organisation_months, list_cohorts, weeks_of_cohort)
