"""What Prometheus is told of a receiver. No label says anything of a user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.registry import Collector

from asleep_pipeline.asleep.events import INFERENCE_COMPLETE, SESSION_COMPLETE
from asleep_pipeline.webhooks.answers import REFUSALS
from asleep_pipeline.webhooks.writer import DUPLICATE, ERASED, STORED

_OTHER: Final = "other"
_NAMES: Final = (INFERENCE_COMPLETE, SESSION_COMPLETE, _OTHER)
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counters of one receiver, in a registry of its own.

    Args:
        collectors: What else is to be told at each scrape.
    """

    def __init__(self, collectors: Iterable[Collector] = ()) -> None:
        self.registry = CollectorRegistry()
        for collector in collectors:
            self.registry.register(collector)
        self.queued = Gauge(
            "asleep_webhooks_queued",
            "Attempts that wait for a commit to begin.",
            registry=self.registry,
        )
        self._latency = Histogram(
            "asleep_webhooks_answer_seconds",
            "From an event's headers to the answer after its commit.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._taken = {
            STORED: self._events("accepted"),
            DUPLICATE: self._events("duplicates"),
            ERASED: self._events("erased"),
        }
        refused = Counter(
            "asleep_webhooks_refused", "Refused, by reason.", ["reason"], registry=self.registry
        )
        self._refused = {r.outcome: refused.labels(r.outcome) for r in REFUSALS}
        self._unaudited = Counter(
            "asleep_webhooks_unaudited",
            "Refusals that were not audited, since too much waited for the disk.",
            registry=self.registry,
        )

    def take(self, name: str, outcome: str, seconds: float) -> None:
        """Count an event that is on the disk: STORED or DUPLICATE; or one of somebody who was erased."""
        counters = self._taken[outcome]
        counters.get(name, counters[_OTHER]).inc()
        self._latency.observe(seconds)

    def refuse(self, outcome: str) -> None:
        """Count a refusal."""
        self._refused[outcome].inc()

    def skip_audit(self) -> None:
        """Count a refusal that is not audited."""
        self._unaudited.inc()

    def _events(self, what: str) -> dict[str, Counter]:
        counter = Counter(
            f"asleep_webhooks_{what}", f"Events {what}.", ["event"], registry=self.registry
        )
        return {name: counter.labels(name) for name in _NAMES}
