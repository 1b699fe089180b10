"""An event as a row of `raw`: its body byte for byte, and where it belongs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

from asleep_pipeline.asleep import Session, UnreadableAnswer
from asleep_pipeline.asleep.events import SESSION_COMPLETE, read_session, started_by_id
from asleep_pipeline.extract.answers import raw_row
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline.webhooks.inbox import Head

SESSION_ENDPOINT: Final = "session_complete"
UNKNOWN_ENDPOINT: Final = "unknown_event"

# Beyond these years is a clock that was never set.
_YEARS: Final = range(2000, 2100)


def pushed_row(event: Head, body: bytes, user: LakeUser, *, shards: int) -> dict[str, Any]:
    """The row of a SESSION_COMPLETE, or of an event that nobody documented.

    Args:
        event: What it is about.
        body: What it says.
        user: Whose it is.
        shards: Number of shards of the lake.

    Raises:
        UnreadableAnswer: It says that a session is complete, and not which.
    """
    is_session = event.name == SESSION_COMPLETE
    if is_session and event.session_id is None:
        raise UnreadableAnswer("It names no session.", endpoint="webhook")
    session = _session(body) if is_session else None
    return raw_row(
        user,
        SESSION_ENDPOINT if is_session else UNKNOWN_ENDPOINT,
        shards=shards,
        partition_date=_start_date(event, session) if is_session else event.received_at.date(),
        body=body,
        fetched_at=event.received_at,
        session_id=event.session_id,
        session_state=session.session.state if session else None,
        source="webhook",
    )


def started_on(session_id: str | None) -> date | None:
    """The UTC date that the vendor writes into its session ids; None in an id without."""
    moment = started_by_id(session_id or "")
    return _plausible(moment) if moment else None


def _session(body: bytes) -> Session | None:
    """What it says; None when that breaks the contract, which normalising tells."""
    try:
        return read_session(body)
    except UnreadableAnswer:
        return None


def _start_date(event: Head, session: Session | None) -> date:
    stated = _utc(session.session.start_time) if session else None
    return stated or started_on(event.session_id) or event.received_at.date()


def _utc(moment: datetime) -> date | None:
    try:
        return _plausible(moment.astimezone(UTC))
    except OverflowError:  # at the ends of the calendar
        return None


def _plausible(moment: datetime) -> date | None:
    return moment.date() if moment.year in _YEARS else None
