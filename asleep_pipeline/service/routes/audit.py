"""`GET /v1/audit`: who saw and who changed what is personal."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get
from litestar.params import QueryParameter

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.privacy.audit import Asked, AuditLog, Entry
from asleep_pipeline.service.admission import NEEDS
from asleep_pipeline.service.auditing import AUDIT_LOG
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of

_SHOWN: Final = {
    "what": "what",
    "status": "status",
    "phase": "phase",
    "sql": "sql",
    "rows": "rows",
    "number": "number_of",
}


class Noted(msgspec.Struct, omit_defaults=True):
    """One entry of the audit log.

    Attributes:
        number: Its place in the log.
        at: When it was noted, UTC.
        actor: Who did it: a token, a member, or somebody at a terminal.
        action: What they did, or asked for: `status` says whether they got it.
        about: The user whom it is about, as a keyed hash.
        what: The route or the command.
        status: The answer's HTTP status.
        phase: `begins` where a change was noted before it took place.
        sql: A keyed hash of a query.
        rows: Rows that were shown or changed.
        number_of: Number of the token or event that it concerns.
    """

    number: int
    at: datetime
    actor: str
    action: str
    about: str | None = None
    what: str | None = None
    status: int | None = None
    phase: str | None = None
    sql: str | None = None
    rows: int | None = None
    number_of: int | None = None


@get("/audit", opt={NEEDS: Permission.MANAGE}, sync_to_thread=True)
def audit(
    request: Request[Any, Any, Any],
    limit: Limit = USUAL_LIMIT,
    cursor: Cursor = None,
    user_id: Annotated[
        str | None, QueryParameter(max_length=256, description="Only entries about this user.")
    ] = None,
    since: Annotated[
        datetime | None, QueryParameter(description="Only entries noted then or later.")
    ] = None,
) -> Page[Noted]:
    """The organisation's entries, the newest first; a user stands in them as a keyed hash."""
    listing = listing_of(request)
    log: AuditLog = request.app.state[AUDIT_LOG]
    (before,) = listing.place(cursor) or (None,)
    asked = Asked(listing.org_id, user_id, since, before, limit + 1)
    shown = [_noted(entry) for entry in log.entries(asked)]
    return listing.page(shown, limit, lambda entry: [entry.number])


def _noted(entry: Entry) -> Noted:
    told: dict[str, Any] = {_SHOWN[n]: v for n, v in entry.details.items() if n in _SHOWN}
    return Noted(entry.number, entry.at, entry.actor, entry.action, entry.about, **told)
