"""What the pull did, over all runs and processes of a data folder, for Prometheus.

One text file in Prometheus' own format: a textfile collector finds it, and the receiver of webhooks
shows it among its own metrics. Counters only ever grow, unless somebody deletes the file. No label
says anything of a user.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from filelock import FileLock, Timeout
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from asleep_pipeline.asleep import Counters

log = structlog.get_logger(__name__)

_Key = tuple[str, tuple[str, ...]]
"""A family's name, and the values of its labels."""

_COUNTERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "asleep_pull_requests": ("Requests sent, every attempt counted.", ("endpoint",)),
    "asleep_pull_retries": ("Requests that repeated an earlier one.", ("endpoint",)),
    "asleep_pull_refusals": ("Requests refused because of their rate.", ("endpoint",)),
    "asleep_pull_failures": ("Attempts that failed, by kind.", ("endpoint", "kind")),
    "asleep_pull_circuit_openings": ("Times the service was found to be down.", ()),
    "asleep_pull_retry_wait_seconds": ("Seconds waited between attempts.", ()),
    "asleep_pull_held_back_seconds": ("Seconds waited for the request budget.", ()),
    "asleep_pull_ends": ("Ends of a step, by outcome: an error's kind, or ok.", ("asset", "kind")),
}
_GAUGES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "asleep_pull_last_success_timestamp_seconds": ("When it last ended well.", ("asset",)),
    "asleep_pull_last_failure_timestamp_seconds": ("When it last ended early.", ("asset",)),
}
_OK: Final = "ok"
_LONGEST_LOCK_S: Final = 10.0


def metrics_file(data_dir: Path) -> Path:
    """Where the metrics of a data folder are."""
    return data_dir / "metrics" / "pull.prom"


def count(path: Path, asset: str, did: Counters, *, at: datetime, error: str | None) -> None:
    """Add what a step did to the file; one that cannot be written costs a line in the log, no run.

    Args:
        path: The file, made when it is missing.
        asset: Which step it was.
        did: What its clients did.
        at: When it ended, UTC.
        error: The kind of error that ended it early; None when it ended well.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=_LONGEST_LOCK_S):
            totals = _read(path)
            for key, value in _news(asset, did, error):
                totals[key] = totals.get(key, 0.0) + value
            outcome = "failure" if error else "success"
            totals[f"asleep_pull_last_{outcome}_timestamp_seconds", (asset,)] = at.timestamp()
            _write(path, totals)
    except (OSError, Timeout) as problem:
        log.warning("metrics not written", kind=type(problem).__name__)


class PullCollector(Collector):
    """What the file says, asked at each scrape; silent while there is none.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        try:
            yield from _families(_read(self._path))
        except OSError:
            return


def _news(asset: str, did: Counters, error: str | None) -> Iterator[tuple[_Key, float]]:
    for what in ("requests", "retries", "refusals"):
        for endpoint, number in getattr(did, what).items():
            yield (f"asleep_pull_{what}", (endpoint,)), number
    for name, number in did.failures.items():
        endpoint, _, kind = name.partition(": ")
        yield ("asleep_pull_failures", (endpoint, kind)), number
    yield ("asleep_pull_circuit_openings", ()), did.circuit_openings
    yield ("asleep_pull_retry_wait_seconds", ()), did.retry_wait_s
    yield ("asleep_pull_held_back_seconds", ()), did.held_back_s
    yield ("asleep_pull_ends", (asset, error or _OK)), 1


def _read(path: Path) -> dict[_Key, float]:
    """The totals; none when there is no file, or one that is not ours."""
    known = _COUNTERS | _GAUGES
    try:
        return {
            (
                family.name,
                tuple(sample.labels[name] for name in known[family.name][1]),
            ): sample.value
            for family in text_string_to_metric_families(path.read_text(encoding="utf-8"))
            if family.name in known
            for sample in family.samples
        }
    except (FileNotFoundError, ValueError, KeyError):
        return {}


def _families(totals: Mapping[_Key, float]) -> Iterator[Metric]:
    for kind, described in ((CounterMetricFamily, _COUNTERS), (GaugeMetricFamily, _GAUGES)):
        for name, (text, labels) in described.items():
            family = kind(name, text, labels=labels)
            found = sorted((key[1], value) for key, value in totals.items() if key[0] == name)
            for values, value in found:
                family.add_metric(values, value)
            if found:
                yield family


class _Totals(Collector):
    def __init__(self, totals: Mapping[_Key, float]) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        return _families(self._totals)


def _write(path: Path, totals: Mapping[_Key, float]) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    registry = CollectorRegistry()
    registry.register(_Totals(totals))
    aside = path.with_name(f"{path.name}.unfinished")
    try:
        aside.write_bytes(generate_latest(registry))
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
