"""A believable night of somebody who belongs to no simulated world."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from asleep_pipeline.simulator.calendar import Slot, make_session_id
from asleep_pipeline.simulator.details import Analysis, analyse
from asleep_pipeline.simulator.dice import dice
from asleep_pipeline.simulator.nights import Night, listen
from asleep_pipeline.simulator.people import make_person

_SEED = 0
_ANALYSIS = timedelta(minutes=3)


class Subject(NamedTuple):
    """What an event is about: a session, what was heard of it, and its final result."""

    slot: Slot
    night: Night
    analysis: Analysis


def night_of(user_id: str, now: datetime, session_id: str | None = None) -> Subject:
    """Make up a session whose analysis has just ended.

    Args:
        user_id: Whose.
        now: The present, aware.
        session_id: Its id; the start that such an id holds is that of the session. None makes one.
    """
    rng = dice(_SEED, user_id, session_id)
    length = timedelta(minutes=rng.randint(390, 510))
    now = now.astimezone(UTC).replace(microsecond=0)
    start = _start_in(session_id) or now - _ANALYSIS - length
    slot = Slot(
        person=replace(make_person(_SEED, 0, now.date()), user_id=user_id),
        session_id=session_id or make_session_id(rng, start),
        start=start,
        end=start + length,
        timezone="UTC",
        visible_at=start,
        complete_at=start + length + _ANALYSIS,
    )
    night = listen(_SEED, slot)
    return Subject(slot, night, analyse(slot, night))


def _start_in(session_id: str | None) -> datetime | None:
    try:
        return datetime.strptime((session_id or "")[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
