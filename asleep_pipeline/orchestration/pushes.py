"""What waits in the inbox, as partitions of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from asleep_pipeline.lake.progress import shards_with_unread
from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.normalise.sessions import STREAM
from asleep_pipeline.orchestration.partitions import FIRST_DATE, key_of, range_tags
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.webhooks.drain import only_drain, takeable
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.pushed import SESSION_ENDPOINT, started_on
from asleep_pipeline.webhooks.triage import Gate, Triage, triage

_UNREAD: Final = timedelta(days=2)
"""What is older was read by a sync."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one look into the inbox found.

    Attributes:
        triage: What was sorted on the way; it needs no run, since it touches nothing of the lake.
        events: Events that belong into the lake.
        tags: Those of a run that takes them, and reads what an earlier one has left; None when there
            is nothing to do.
        is_busy: Whether somebody else is at it.
    """

    triage: Triage
    events: int = 0
    tags: dict[str, str] | None = None
    is_busy: bool = False


def look_into_inbox(platform: Platform) -> Waiting:
    """Sort what waits, and name the partitions of a run that takes it into the lake.

    One date stands for all: the newest on which a waiting session started. The run tells Dagster
    exactly what else it has changed.

    Raises:
        InboxError: The inbox cannot be read or written.
        LakeError: The lake cannot be read.
    """
    inbox = Inbox.open(platform.settings.inbox_path)
    with only_drain(inbox) as is_alone:
        if not is_alone:
            return Waiting(Triage(), is_busy=True)
        lake, now = platform.lake(), platform.clock()
        gate = Gate(lake, platform.settings)
        done = triage(inbox, gate, now=now)
        events = [event for event, _ in takeable(inbox, gate)]
    with lake.read() as con:
        # A run that died between raw and sessions has left nothing in the inbox.
        shards = shards_with_unread(con, STREAM, SESSION_ENDPOINT, now - _UNREAD)
    shards |= {shard_of(event.user_id, lake.shards) for event in events}
    if not shards:
        return Waiting(done)
    days = [started_on(e.session_id) or e.received_at.date() for e in events]
    day = _within_grid(max(days, default=now.date()), now.date())
    return Waiting(
        done, len(events), range_tags(key_of(day, min(shards)), key_of(day, max(shards)))
    )


def _within_grid(day: date, today: date) -> date:
    return max(FIRST_DATE, min(day, today))
