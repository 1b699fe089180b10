"""The maintenance job: the inbox forgets what is long done, and a lake without one is kept as well."""

from __future__ import annotations

from datetime import timedelta

from asleep_pipeline.orchestration.upkeep import maintenance
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline_tests.small_world import SmallWorld
from asleep_pipeline_tests.webhooks.mail import arrival, post


def test_maintenance_forgets_old_webhooks(world: SmallWorld) -> None:
    """Webhooks that were processed longer ago than they are kept are deleted; younger ones stay."""
    now, platform = world.platform.clock(), world.platform
    inbox = Inbox.create(platform.settings.inbox_path)
    post(inbox, *(arrival(block, at=now - timedelta(days=40)) for block in range(3)))
    days = platform.settings.webhook_keep_days
    inbox.settle([1], "done", now=now - timedelta(days=days, seconds=9))
    inbox.settle([2], "done", now=now - timedelta(days=days, seconds=-9))
    assert maintenance.execute_in_process(resources={"platform": platform}).success
    assert [event.id for event in inbox.events()] == [2, 3]


def test_maintenance_makes_no_inbox(world: SmallWorld) -> None:
    """Who takes no webhooks gets no inbox."""
    platform = world.platform
    assert maintenance.execute_in_process(resources={"platform": platform}).success
    assert not platform.settings.inbox_path.exists()
