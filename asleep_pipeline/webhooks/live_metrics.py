"""What Prometheus is told of the sessions in progress. No label says anything of a user."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from asleep_pipeline.webhooks.live import Live
from asleep_pipeline.webhooks.stream import Streams


class LiveCollector(Collector):
    """How many sessions and streams there are, and how old their file is, asked at each scrape.

    Args:
        live: Who follows the sessions.
        streams: Who sends them on.
    """

    def __init__(self, live: Live, streams: Streams) -> None:
        self._live, self._streams = live, streams

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        counts = self._live.counts
        yield GaugeMetricFamily(
            "asleep_live_sessions",
            "Sessions in progress, and complete ones not yet published, of users on the roster.",
            value=len(self._live.board.shown),
        )
        yield GaugeMetricFamily("asleep_live_streams", "Open streams.", value=len(self._streams))
        yield CounterMetricFamily(
            "asleep_live_unreadable",
            "Events that say nothing usable of a session in progress.",
            value=counts.unreadable,
        )
        if counts.published_at:
            yield GaugeMetricFamily(
                "asleep_live_published_timestamp_seconds",
                "When the file of sessions in progress was last written, since 1970.",
                value=counts.published_at.timestamp(),
            )
