"""A receiver that is killed again and again under load loses no event that it acknowledged."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.settings import load_settings
from asleep_pipeline.webhooks.drain import drain
from asleep_pipeline.webhooks.inbox import Depth, Inbox
from asleep_pipeline_tests.durability.receivers import Receivers, bodies_in, kill, receivers
from asleep_pipeline_tests.durability.senders import (
    KEY,
    USERS,
    Senders,
    body_of,
    is_session,
    session_of,
)

KILLS = 60
EARLY_KILLS = 12
SENDERS = 6
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def test_no_acknowledged_event_is_lost_by_sigkill(tmp_path: Path, lake: Lake) -> None:
    """SIGKILL at 60 random moments, some before the receiver is up: all is there once, and processed."""
    draws = random.Random(4)
    is_early = [True] * EARLY_KILLS + [False] * (KILLS - EARLY_KILLS)
    draws.shuffle(is_early)
    with receivers(tmp_path / "data") as made, Senders(SENDERS).sending() as senders:
        for early in is_early:
            kill_one(made, senders, draws, is_early=early)
        senders.to(made.start()[1])
        senders.wait_for(len(senders.acknowledged) + SENDERS)
    kept = bodies_in(tmp_path / "data" / "webhooks" / "inbox.sqlite")
    assert len(set(kept)) == len(kept)
    assert set(kept) == {body_of(number) for number in senders.acknowledged}
    assert sessions_after_drain(tmp_path / "data", lake) == sorted(
        session_of(number) for number in senders.acknowledged if is_session(number)
    )
    print(f"{KILLS} kills, {len(kept)} events")  # noqa: T201 - figures to read


def kill_one(made: Receivers, senders: Senders, draws: random.Random, *, is_early: bool) -> None:
    """Start a receiver, and kill it while it starts or while it takes events."""
    pid = made.begin()
    if is_early:
        time.sleep(draws.uniform(0, 0.1))
    else:
        senders.to(made.url(pid))
        senders.wait_for(len(senders.acknowledged) + draws.randrange(60))
        time.sleep(draws.uniform(0, 0.01))
    kill(pid)
    senders.to(None)


def sessions_after_drain(data_dir: Path, lake: Lake) -> list[tuple[str, str, datetime, int]]:
    """What is in the lake when everything is processed: user, id, start and seconds asleep."""
    users = [f"user-{number}" for number in range(USERS)]
    roster = pl.DataFrame({"user_id": users, "org_id": "default", "timezone": "UTC"})
    put_users(lake, roster, now=NOW)
    settings = load_settings(api_key=KEY, data_dir=data_dir)
    inbox = Inbox.open(settings.inbox_path)
    drain(lake, inbox, settings, now=NOW)
    assert inbox.depth() == Depth(0, 0, 0, None)
    for shard in range(lake.shards):
        normalise_sessions(lake, shard=shard, organisations={}, default_zone="UTC")
    columns = "user_id, session_id, started_at, time_in_sleep"
    return sorted(lake.frame(f"SELECT {columns} FROM lake.sessions").rows())
