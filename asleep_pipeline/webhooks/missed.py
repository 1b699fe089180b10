"""What the pull found that webhooks missed.

Only sessions recorded with a callback produce events, so a session is expected to be pushed when its
user's first webhook had come before it ended. It counts as missed a day after its end, as of the
newest listing: a sender may try again for hours, and a gateway may hold back a night.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import SESSIONS
from asleep_pipeline.warehouse.export import read_warehouse

DAYS: Final = 7
"""How many days of sessions are counted."""

_DAY_S: Final = 86_400
_LONGEST_DAYS: Final = 31
# Whose end may count; other rows are not even decrypted.
_RECENT: Final = f"""
    start_date >= (SELECT max(listed_at)::DATE - {1 + DAYS + _LONGEST_DAYS} FROM lake.sessions
                   WHERE shard = $shard)
"""
_COUNTS: Final = f"""
    WITH shown AS (
        SELECT user_id, epoch(ended_at) AS ended, pushed_at, state FROM {{recent}}
    ), pushed AS (
        SELECT user_id, epoch(min(pushed_at)) AS first
        FROM {{rows}} WHERE pushed_at IS NOT NULL GROUP BY user_id
    ), listed AS (
        SELECT epoch(max(listed_at)) - {_DAY_S} AS before FROM {{rows}}
    )
    SELECT count(pushed_at), count(*) - count(pushed_at)
    FROM shown JOIN pushed USING (user_id), listed
    WHERE state = 'COMPLETE' AND ended > first
      AND ended < before AND ended >= before - {DAYS * _DAY_S}
"""


@dataclass(frozen=True, slots=True)
class Pushes:
    """Complete sessions of the last days whose webhook was expected: who came, and who did not."""

    pushed: int
    missed: int


def pushes_of_shard(con: duckdb.DuckDBPyConnection, shard: int) -> Pushes:
    """The numbers of one shard of the lake, by a connection of `Lake.read`."""
    recent = opened(con, SESSIONS, f"lake.sessions WHERE shard = $shard AND {_RECENT}")
    rows = "(FROM lake.sessions WHERE shard = $shard)"
    return _counted(con, _COUNTS.format(rows=rows, recent=recent), {"shard": shard})


def pushes_published(path: Path) -> Pushes:
    """The numbers of the published file.

    Raises:
        WarehouseError: It cannot be read.
    """
    with read_warehouse(path) as con:
        try:
            return _counted(con, _COUNTS.format(rows="sessions", recent="sessions"), {})
        except duckdb.Error as error:
            raise WarehouseError(
                f"The warehouse {path} holds no webhooks: {str(error).splitlines()[0]}",
                fix="Publish it again: `asleep-pipeline rebuild`.",
            ) from error


class PushesCollector(Collector):
    """The numbers of the published file, for Prometheus; silent while there is none.

    Args:
        path: The file; read again when another one is published.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._found: Pushes | None = None

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        if found := self._read():
            yield GaugeMetricFamily(
                "asleep_webhooks_sessions_pushed",
                f"Complete sessions of the last {DAYS} days that a webhook told of.",
                value=found.pushed,
            )
            yield GaugeMetricFamily(
                "asleep_webhooks_sessions_missed",
                f"Those of the last {DAYS} days that should have had a webhook, and had none.",
                value=found.missed,
            )

    def _read(self) -> Pushes | None:
        try:
            file = self._path.stat()
            if (file.st_ino, file.st_mtime_ns) != self._seen:
                self._found = pushes_published(self._path)
                self._seen = (file.st_ino, file.st_mtime_ns)
        except (OSError, WarehouseError):
            self._seen = self._found = None
        return self._found


def _counted(con: duckdb.DuckDBPyConnection, sql: str, values: dict[str, int]) -> Pushes:
    ((pushed, missed),) = con.execute(sql, values).fetchall()
    return Pushes(pushed, missed)
