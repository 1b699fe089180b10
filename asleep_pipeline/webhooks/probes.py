"""Questions that machines ask of a receiver: does it live, can it take events, how is it?"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final, Generic, TypeVar

import msgspec
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from asleep_pipeline.errors import InboxError
from asleep_pipeline.webhooks.inbox import Depth, Inbox
from asleep_pipeline.webhooks.storage import transaction

T = TypeVar("T")

LEAST_FREE_BYTES: Final = 256 * 1024 * 1024
"""With less on its disk the receiver says that it is not ready, while it still stores."""

_KEPT_S: Final = 2.0
_PATIENCE_S: Final = 1.0


class Health(msgspec.Struct):
    """How a receiver is.

    Attributes:
        version: Of this software.
        waiting: Events to be processed.
        quarantined: Events of users who are not on the roster.
        dead: Events that failed as often as they may.
        oldest_waiting_at: Arrival of the oldest that waits, UTC.
        disk_free_bytes: Free space where the inbox is.
    """

    version: str
    waiting: int
    quarantined: int
    dead: int
    oldest_waiting_at: datetime | None
    disk_free_bytes: int


class Kept(Generic[T]):
    """What a function returned, kept for 2 s: nobody can make us busy by asking.

    Args:
        ask: May raise `InboxError`, which is kept as well.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._until = 0.0
        self._found: T | InboxError | None = None

    def __call__(self) -> T:
        """The answer.

        Raises:
            InboxError: It was one.
        """
        with self._lock:
            if time.monotonic() >= self._until:
                self._found = self._asked()
                self._until = time.monotonic() + _KEPT_S
            found = self._found
        if isinstance(found, InboxError):
            raise found
        return found  # type: ignore[return-value]  # asked above

    def _asked(self) -> T | InboxError:
        try:
            return self._ask()
        except InboxError as error:
            return error


class Probes:
    """The present state of one inbox.

    Args:
        inbox: Which.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.health: Kept[Health] = Kept(self._health)
        self.obstacle: Kept[str] = Kept(self._obstacle)

    def _health(self) -> Health:
        depth: Depth = self._inbox.depth()
        return Health(
            version("asleep-pipeline"),
            depth.waiting,
            depth.quarantined,
            depth.dead,
            depth.oldest_waiting_at,
            self._free_bytes(),
        )

    def _obstacle(self) -> str:
        """What keeps events from being stored; "" when nothing does."""
        if self._free_bytes() < LEAST_FREE_BYTES:
            return "There is too little room on the disk."
        try:
            self._write()
        except InboxError:
            return "The inbox cannot be written."
        return ""

    def _write(self) -> None:
        """A commit that changes nothing but is synced like any other."""
        with self._inbox.connection() as con, transaction(con, _PATIENCE_S):
            (number,) = con.execute("PRAGMA user_version").fetchone()
            con.execute(f"PRAGMA user_version = {number}")

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._inbox.path.parent).free
        except OSError:
            return 0


class InboxCollector(Collector):
    """How full the inbox is, asked at each scrape; silent while it cannot be read.

    Args:
        probes: Who knows.
        clock: The present, UTC.
    """

    def __init__(
        self, probes: Probes, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._probes, self._clock = probes, clock

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        try:
            health = self._probes.health()
        except InboxError:
            return
        depth = GaugeMetricFamily(
            "asleep_webhooks_inbox_events", "Events in the inbox, by state.", labels=["state"]
        )
        for state in ("waiting", "quarantined", "dead"):
            depth.add_metric([state], getattr(health, state))
        yield depth
        yield GaugeMetricFamily(
            "asleep_webhooks_oldest_waiting_seconds",
            "Age of the oldest event that is not processed; 0 without one.",
            value=self._age_s(health.oldest_waiting_at),
        )
        yield GaugeMetricFamily(
            "asleep_webhooks_disk_free_bytes",
            "Free space where the inbox is.",
            value=health.disk_free_bytes,
        )

    def _age_s(self, since: datetime | None) -> float:
        return max(0.0, (self._clock() - since).total_seconds()) if since else 0.0
