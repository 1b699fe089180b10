"""Weekly and monthly reports of one user, as JSON or as a page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, Final

from litestar import MediaType, Request, Response, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath, PathParameter

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.reports import Period, UserReport, month_of, user_report, week_of
from asleep_pipeline.service.admission import NEEDS, caller_of, warehouse_of
from asleep_pipeline.service.etags import stop_if_known
from asleep_pipeline.service.ranges import check_range

Month = Annotated[
    str,
    PathParameter(
        pattern="^(19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])$",
        max_length=7,  # else a line break may follow
        description="Calendar month, YYYY-MM.",
    ),
]
_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""The page is text, styles and drawings; nothing of it runs, loads or sends."""
_VARIES: Final = {"vary": "Accept, Authorization"}
_WAIT_S: Final = 20
_DRAWING: Final = threading.Lock()
"""Charts take seconds of CPU: one page at a time, so that the others' requests have the rest."""


class Busy(HTTPException):
    """Too many ask for pages."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("Pages are being drawn; ask again.", headers={"retry-after": str(_WAIT_S)})


@get(
    "/users/{user_id:str}/reports/weekly/{day:date}",
    opt={NEEDS: Permission.OWN},
    sync_to_thread=True,
)
def weekly(
    request: Request[Any, Any, Any], user_id: FromPath[str], day: FromPath[date]
) -> Response[UserReport]:
    """The ISO week that holds a date, as JSON, or as a page when `Accept` prefers `text/html`."""
    return _report(request, user_id, day, week_of)


@get(
    "/users/{user_id:str}/reports/monthly/{month:str}",
    opt={NEEDS: Permission.OWN},
    sync_to_thread=True,
)
def monthly(
    request: Request[Any, Any, Any], user_id: FromPath[str], month: Month
) -> Response[UserReport]:
    """A calendar month, as JSON, or as a page when `Accept` prefers `text/html`."""
    return _report(request, user_id, date.fromisoformat(f"{month}-01"), month_of)


def _report(
    request: Request[Any, Any, Any], user_id: str, day: date, period_of: Callable[[date], Period]
) -> Response[UserReport]:
    check_range(day, day, most_days=1)
    kind = request.accept.best_match([MediaType.JSON, MediaType.HTML]) or MediaType.JSON
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version, kind)
    with warehouse.of(caller_of(request).org_id) as con:
        told = user_report(con, user_id, period_of(day))
    if kind == MediaType.JSON:
        return Response(told, headers=_VARIES)
    headers = {**_VARIES, "content-security-policy": _PAGE_POLICY}
    # The description of the API tells of the JSON.
    page: Response[Any] = Response(_drawn(told), media_type=MediaType.HTML, headers=headers)
    return page


def _drawn(told: UserReport) -> str:
    from asleep_pipeline.reports.page import page  # noqa: PLC0415 -- charts are slow to import

    if not _DRAWING.acquire(timeout=_WAIT_S):
        raise Busy
    try:
        return page(told)
    finally:
        _DRAWING.release()


ROUTES: Final = (weekly, monthly)
