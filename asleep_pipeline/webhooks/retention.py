"""How long the inbox remembers what it is done with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from asleep_pipeline.webhooks.inbox import Inbox


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What has been deleted.

    Attributes:
        events_forgotten: Processed events; what waits, is dead or in quarantine stays.
        attempts_forgotten: Rows of the audit.
    """

    events_forgotten: int
    attempts_forgotten: int


def keep(path: Path, *, now: datetime, keep_days: int) -> Forgotten:
    """Delete the events that were processed, and the attempts that came, more than some days ago.

    An event that comes once more after that is stored once more; what is in the lake tells it apart.

    Args:
        path: The inbox; receivers may be at work in it. Where none is, nothing is to be forgotten.
        now: The present, UTC.
        keep_days: Days that are kept.

    Raises:
        InboxError: The inbox cannot be written; what was deleted until then stays deleted.
    """
    if not path.exists():
        return Forgotten(0, 0)
    inbox = Inbox(path)
    before = now - timedelta(days=keep_days)
    return Forgotten(inbox.purge("done", before=before), inbox.purge_attempts(before=before))
