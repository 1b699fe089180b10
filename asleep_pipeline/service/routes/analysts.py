"""For analysts: rows that tell of nobody in particular, page by page or by SQL."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final

import msgspec
from litestar import Litestar, Request, get, post
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.privacy.audit import Action, AuditLog
from asleep_pipeline.service.admission import NEEDS, caller_of, warehouse_of
from asleep_pipeline.service.analysts import Desk
from asleep_pipeline.service.analysts_sql import LONGEST_SQL
from asleep_pipeline.service.analysts_worker import QueryResult
from asleep_pipeline.service.auditing import AUDIT, AUDIT_LOG, tell_audit
from asleep_pipeline.service.etags import stop_if_known
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of
from asleep_pipeline.service.ranges import EARLIEST, LATEST, FirstDateOrNone, LastDateOrNone

DESK: Final = "desk"
"""Where the application keeps the place at which analysts ask."""
_NOTED: Final = {NEEDS: Permission.FIGURES, AUDIT: Action.QUERY}


class DeidentifiedNight(msgspec.Struct, frozen=True, kw_only=True):
    """A night of somebody: the main sleep, and all sleep of its date.

    Attributes:
        person: Pseudonym, the same for all rows of a person in this organisation.
        week: Monday of the week that the night's date is in.
        number: Tells the nights of a person's week apart; their order is not that of the dates.
        born: Decade of birth; null where few share it, as with gender, height and weight.
        utc_offset_min: Local time minus UTC in the morning; null where few share it.
        bed_min: As all clock times in minutes from local midnight, to five minutes.
    """

    person: str
    week: date
    number: int
    born: str | None
    gender: str | None
    height_band_cm: str | None
    weight_band_kg: str | None
    is_free_day: bool
    is_night: bool
    quality: str | None
    utc_offset_min: int | None
    naps: int
    tib_s: int | None
    sleep_24h_s: int | None
    split_s: int | None
    nap_s: int | None
    spt_s: int | None
    tst_s: int | None
    sol_s: int | None
    waso_s: int | None
    efficiency_fraction: float | None
    light_s: int | None
    deep_s: int | None
    rem_s: int | None
    awakenings: int | None
    cycles: int | None
    snoring_of_spt_fraction: float | None
    breathing_index_per_h: float | None
    api_sleep_index: int | None
    bed_min: int | None
    onset_min: int | None
    midpoint_min: int | None
    wake_min: int | None
    rise_min: int | None


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """A query.

    Attributes:
        sql: One SELECT in DuckDB's SQL over nights, sessions, organisation_weeks, organisation_months
            and cohort_weeks.
    """

    sql: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_SQL)]


@get("/deidentified/nights", opt=_NOTED, sync_to_thread=True)
def deidentified_nights(
    request: Request[Any, Any, Any],
    *,
    first: FirstDateOrNone = None,
    last: LastDateOrNone = None,
    limit: Limit = USUAL_LIMIT,
    cursor: Cursor = None,
) -> Page[DeidentifiedNight]:
    """Nights of the organisation's people under pseudonyms, by the Mondays of their weeks."""
    stop_if_known(request, warehouse_of(request).version)
    listing = listing_of(request)
    week, person, number = listing.place(cursor) or (str(EARLIEST), "", 0)
    values = {
        "first": str(first or EARLIEST),
        "last": str(last or LATEST),
        "week": week,
        "person": person,
        "number": number,
        "rows": limit + 1,
    }
    desk: Desk = request.app.state[DESK]
    rows = desk.select(listing.org_id, _NIGHTS, values)
    nights = msgspec.convert(rows, list[DeidentifiedNight])
    return listing.page(nights, limit, lambda night: [str(night.week), night.person, night.number])


@post("/query", opt=_NOTED, status_code=HTTP_200_OK, sync_to_thread=True)
def query(request: Request[Any, Any, Any], data: JSONBody[Question]) -> QueryResult:
    """One SELECT over the organisation's de-identified rows and its figures."""
    log: AuditLog = request.app.state[AUDIT_LOG]
    tell_audit(request, sql=log.fingerprint(data.sql))
    desk: Desk = request.app.state[DESK]
    return desk.query(caller_of(request).org_id, data.sql)


def close_desk(app: Litestar) -> None:
    """End the processes that answer analysts."""
    desk: Desk = app.state[DESK]
    desk.close()


_NIGHTS: Final = """
FROM nights
WHERE week BETWEEN $first::DATE AND $last::DATE AND (week, person, number) > ($week::DATE, $person, $number)
ORDER BY week, person, number
LIMIT $rows
"""
ROUTES: Final = (deidentified_nights, query)
