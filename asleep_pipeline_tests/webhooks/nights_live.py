"""A deployment whose inbox takes events of sessions in progress, as a receiver would put them there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any, Final
from unittest.mock import patch

import duckdb
import polars as pl

from asleep_pipeline.asleep.events import read_event
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.settings import Settings, load_settings
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.webhooks import live
from asleep_pipeline.webhooks.inbox import Arrival, Inbox
from asleep_pipeline.webhooks.live import Live
from asleep_pipeline.webhooks.writer import Attempt, Writer
from asleep_pipeline_tests.small_world import close, empty_lake

SESSION: Final = "20261126220000_aaaaa"
START: Final = datetime(2026, 11, 26, 22, tzinfo=UTC)
LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)
ROSTER: Final = {"ann": "acme", "bob": "acme", "fay": "duo"}
PATIENCE_S: Final = 30


def inference(
    user_id: str, block: int, stages: Sequence[int] = (1,) * 10, *, session_id: str = SESSION
) -> bytes:
    """A block of 5 minutes, as the API posts it."""
    data = {
        "user_id": user_id,
        "session_id": session_id,
        "seq_num": 10 * block + 9,
        "inference_seq_num": block,
        "sleep_stages": list(stages),
        "breath_stages": None,
        "snoring_stages": [0] * len(stages),
    }
    return json.dumps({"event": "INFERENCE_COMPLETE", "version": "V3", "data": data}).encode()


def complete(user_id: str, *, session_id: str = SESSION) -> bytes:
    """The end of a session, as the API posts it; whatever else it says is not read here."""
    data = {"user_id": user_id, "session": {"id": session_id}}
    return json.dumps({"event": "SESSION_COMPLETE", "version": "V3", "data": data}).encode()


@dataclass(slots=True)
class Nights:
    """One deployment.

    Attributes:
        settings: Of its data folder.
        now: Its clock; events arrive then.
    """

    settings: Settings
    now: datetime = START + timedelta(hours=1)
    _inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        """Make the inbox."""
        self._inbox = Inbox.create(self.settings.inbox_path)

    def arrive(self, user_id: str, *bodies: bytes, key_name: str = "default") -> None:
        """Let events arrive; they are on the disk afterwards."""
        writer = Writer[None](self._inbox, lambda _: None)
        writer.start()
        for body in bodies:
            arrival = Arrival(read_event(body), key_name, user_id, self.now, body)
            writer.put(Attempt(None, self.now, "test", key_name, arrival=arrival))
        writer.close()

    def adopt(self, **organisations: str) -> None:
        """Put users on the roster."""
        root = self.settings.lake_dir
        if not root.exists():
            copytree(empty_lake(2), root)
        rows = [{"user_id": user, "org_id": org} for user, org in organisations.items()]
        put_users(Lake.open(root), pl.DataFrame(rows), now=LONG_AGO)

    @contextmanager
    def followed(self) -> Iterator[Live]:
        """Follow the inbox while the block runs."""
        following = Live(self.settings, clock=lambda: self.now)
        following.start()
        try:
            yield following
        finally:
            following.close()

    def rows(self, columns: str = "user_id, epochs") -> list[tuple[Any, ...]]:
        """What is published."""
        if not self.settings.live_path.exists():
            return []
        with read_warehouse(self.settings.live_path) as con:
            return con.execute(f"SELECT {columns} FROM live_sessions ORDER BY ALL").fetchall()

    def publishes(self, *expected: tuple[Any, ...], columns: str = "user_id, epochs") -> None:
        """Wait until just this is published."""
        wait_for(self.settings.live_path.exists)
        wait_for(lambda: self.rows(columns) == list(expected), lambda: self.rows(columns))

    def complete_in_warehouse(self, user_id: str, session_id: str = SESSION) -> None:
        """Publish a file in which a session is complete."""
        aside = self.settings.data_dir / "next"
        with duckdb.connect(str(aside)) as con:
            con.execute("CREATE TABLE sessions (user_id TEXT, session_id TEXT, state TEXT)")
            con.execute("INSERT INTO sessions VALUES ($1, $2, 'COMPLETE')", [user_id, session_id])
        aside.replace(self.settings.warehouse_path)


@contextmanager
def nights(folder: Path, **settings: Any) -> Iterator[Nights]:
    """A deployment with the users of `ROSTER`."""
    made = Nights(load_settings(data_dir=folder, **settings))
    made.adopt(**ROSTER)
    try:
        # As it is, only sooner.
        with patch.multiple(live, _POLL_S=0.02, _PUBLISHED_S=0.05, _LOOKED_S=0.1):
            yield made
    finally:
        close(Lake.open(made.settings.lake_dir))


def wait_for(is_so: Callable[[], bool], seen: Callable[[], object] = lambda: None) -> None:
    """Wait until something is so; long before that a test has failed."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, seen()
        time.sleep(0.02)
