"""Retention: processed events and old attempts go, everything else stays."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.retention import Forgotten, keep
from asleep_pipeline_tests.webhooks.mail import NOW, arrival, post


def test_only_what_is_done_and_old_is_forgotten(tmp_path: Path) -> None:
    """After the days it is kept, a processed event goes; what waits, is dead or in quarantine stays."""
    inbox = Inbox.create(tmp_path / "inbox.sqlite")
    post(inbox, *(arrival(block, at=NOW + timedelta(seconds=block)) for block in range(5)))
    for number, status in enumerate(("done", "dead", "quarantined"), start=1):
        inbox.settle([number], status, now=NOW)  # type: ignore[arg-type]  # words of Status
    inbox.settle([4], "done", now=NOW + timedelta(hours=1))
    later = NOW + timedelta(days=14, seconds=2)
    assert keep(inbox.path, now=later, keep_days=14) == Forgotten(1, 2)
    assert [event.id for event in inbox.events()] == [2, 3, 4, 5]
    assert keep(inbox.path, now=later, keep_days=14) == Forgotten(0, 0)


def test_what_comes_after_it_was_forgotten_is_new(tmp_path: Path) -> None:
    """The memory of what came is as long as events are kept."""
    inbox = Inbox.create(tmp_path / "inbox.sqlite")
    post(inbox, arrival())
    inbox.settle([1], "done", now=NOW)
    keep(inbox.path, now=NOW + timedelta(days=3), keep_days=2)
    assert post(inbox, arrival()) == ["stored"]
