"""Where the demo's two paths meet: webhooks that a receiver takes in, and the pull."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from asleep_pipeline.cli._world import pushing

if TYPE_CHECKING:
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.settings import Settings
    from asleep_pipeline.simulator import RunningSimulator

DAYS = 3
_FAULTS = {"webhook_duplicate_share": 0.1, "webhook_loss_share": 0.1, "webhook_reorder": True}


@contextmanager
def pushed(settings: Settings, simulator: RunningSimulator) -> Iterator[int]:
    """Have the webhooks of the last days sent to a receiver, which goes on during the block.

    Some are lost, others come twice or out of order.

    Yields:
        How many came.
    """
    now = simulator.clock.now()
    with pushing(settings, simulator):
        for name, value in _FAULTS.items():
            setattr(simulator.faults, name, value)
        sent = simulator.webhooks.send(_since(now), now)
        simulator.webhooks.target(None)
        yield len(sent)


def meeting(lake: Lake, now: datetime) -> dict[str, Any]:
    """How many sessions that began in the last days are complete, and by which path each came."""
    rows = lake.frame(
        """
        SELECT
            count(*) AS sessions,
            count(pushed_at) AS by_webhook,
            count(list_hash) AS by_pull,
            count(*) FILTER (pushed_at IS NOT NULL AND list_hash IS NOT NULL) AS by_both,
            count(*) FILTER (pushed_at IS NULL) AS missed_by_webhooks
        FROM lake.sessions WHERE state = 'COMPLETE' AND start_date >= $1
        """,
        [_since(now).date()],
    )
    return rows.row(0, named=True)


def in_progress(settings: Settings, lake: Lake) -> int:
    """How many sessions go on by their webhooks; the lake knows better where the last one was lost."""
    from asleep_pipeline.warehouse.export import read_warehouse

    with read_warehouse(settings.live_path) as con:
        live = con.execute(
            "SELECT user_id, session_id FROM live_sessions WHERE completed_at IS NULL"
        ).pl()
    complete = lake.frame("SELECT user_id, session_id FROM lake.sessions WHERE state = 'COMPLETE'")
    left = live.join(complete, on=["user_id", "session_id"], how="anti")
    return left.height


def _since(now: datetime) -> datetime:
    return datetime.combine(now.date() - timedelta(days=DAYS - 1), time(), UTC)
