"""A small company whose sessions are pushed as well: what Asleep would send, and what a drain does."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asleep_pipeline.asleep.events import read_event
from asleep_pipeline.normalise.sessions import NormaliseReport
from asleep_pipeline.webhooks.drain import DrainReport, drain
from asleep_pipeline.webhooks.inbox import Arrival, Inbox
from asleep_pipeline_tests.small_world import FIRST, Key, SmallWorld
from asleep_pipeline_tests.webhooks.mail import post

ONLY_LISTED = {"last_received_seq_num", "time_in_bed"}
"""What a list row says and no webhook does."""


@dataclass(frozen=True)
class PushedWorld:
    """A small world with an inbox."""

    world: SmallWorld
    inbox: Inbox

    @classmethod
    def of(cls, world: SmallWorld) -> PushedWorld:
        """Make the inbox of a deployment."""
        return cls(world, Inbox.create(world.platform.settings.inbox_path))

    def complete(self) -> dict[Key, dict[str, Any]]:
        """What get-session says now of every session that is COMPLETE."""
        world = self.world.sim.world
        return {
            (person.user_id, said["session"]["id"]): said
            for person in world.people
            for said in world.sessions(person.user_id, FIRST, self.world.today)
            if said["session"]["state"] == "COMPLETE"
        }

    def event(
        self, key: Key, *, at: datetime | None = None, key_name: str = "default", **changes: Any
    ) -> Arrival:
        """The SESSION_COMPLETE of a session as it is now, with changes to its data."""
        said = {k: v for k, v in self.complete()[key].items() if k not in ONLY_LISTED}
        envelope = {"event": "SESSION_COMPLETE", "version": "V3", "data": said | changes}
        return self.arrival(envelope, key[0], at=at, key_name=key_name)

    def arrival(
        self,
        envelope: dict[str, Any],
        user_id: str,
        *,
        at: datetime | None = None,
        key_name: str = "default",
    ) -> Arrival:
        """Any body, as it has come at an instant; now when None."""
        body = json.dumps(envelope).encode()
        moment = at or self.world.sim.clock.now()
        return Arrival(read_event(body), key_name, user_id, moment, body)

    def push(self, keys: Iterable[Key]) -> None:
        """Put the events of some sessions into the inbox."""
        post(self.inbox, *(self.event(key) for key in keys))

    def drain(self, *, reread: bool = False) -> DrainReport:
        """Take what waits; ask the API afterwards or not."""
        return drain(
            self.world.lake,
            self.inbox,
            self.world.platform.settings,
            now=self.world.platform.clock(),
            clients=self.world.clients() if reread else None,
        )

    def take(self, *, reread: bool = False) -> NormaliseReport:
        """Drain and read."""
        self.drain(reread=reread)
        return self.world.normalise()

    def sync(self) -> dict[str, int]:
        """What the daily schedule does; returns the requests it took."""
        self.world.sim.requests.reset()
        days = timedelta(days=self.world.platform.settings.lookback_days + 1)
        self.world.load(self.world.today - days, self.world.today)
        return dict(self.world.sim.requests)

    def states(self) -> list[str]:
        """The state of each event in the inbox, in order of arrival."""
        return [event.status for event in self.inbox.events()]

    def raw(self, endpoint: str = "session_complete") -> list[dict[str, Any]]:
        """The rows of an endpoint."""
        query = "SELECT * FROM raw WHERE endpoint = $1 ORDER BY rowid"
        return self.world.lake.frame(query, [endpoint]).to_dicts()


def killed(_inbox: Inbox, ids: Collection[int], _status: str, **_: datetime) -> None:
    """Stands for `Inbox.settle` in a process that ends after the lake's commit, before marking."""
    if ids:
        raise KeyboardInterrupt
