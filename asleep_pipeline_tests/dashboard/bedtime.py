"""Sessions in progress that are easy to add up, at 23:30 UTC.

| who | organisation | in bed from | so far |
|---|---|---|---|
| ann | acme | 22:00 | awake for 5 min, 10 min lost, asleep (light) for 15 min; then 5 min unknown |
| bob | acme | 23:00 | awake for 25 min |
| cid | acme | 21:00 | complete |
| fay | duo | not said | asleep (deep) for 5 min, nothing since 21:05 |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from asleep_pipeline.asleep.events import Inference
from asleep_pipeline.webhooks.live_sessions import LiveSession, Seen, after
from asleep_pipeline.webhooks.live_table import Shown, publish_live

NOW: Final = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)
ANN: Final = ("ann", "20261126220000_aaaaa")


def publish_bedtime(path: Path) -> Path:
    """The file of sessions in progress."""
    publish_live(path, list(_sessions()))
    return path


def _sessions() -> Iterator[Shown]:
    ann = [0] * 10, None, None, [1] * 10, [1] * 10, [1] * 10, [-1] * 10
    yield Shown("acme", _told(*ANN, ann, NOW - timedelta(seconds=40)))
    yield Shown("acme", _told("bob", "20261126230000_bbbbb", [[0] * 10] * 5, NOW))
    cid = _told("cid", "20261126210000_ccccc", [[1] * 10], NOW)
    yield Shown("acme", after(cid, Seen(99, cid.key, NOW, None)))
    long_ago = NOW - timedelta(hours=2, minutes=25)
    yield Shown("duo", _told("fay", "opaque", [[2] * 10], long_ago))


def _told(
    user_id: str, session_id: str, blocks: Sequence[list[int] | None], at: datetime
) -> LiveSession:
    session: LiveSession | None = None
    for block, stages in enumerate(blocks):
        if stages is not None:
            said = Inference(10 * block + 9, tuple(stages), None, None)
            session = after(session, Seen(block, ("default", user_id, session_id), at, said))
    assert session
    return session
