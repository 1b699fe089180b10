"""What is told of requests: a line in the log for each, and figures for Prometheus.

Neither says anything of a user: the route is told as its template, and who asks as the name of a token or,
where a name could be a person's, as a pseudonym that is the same each time.
"""

from __future__ import annotations

import re
from typing import Any, Final

import structlog
from litestar.types import Scope
from prometheus_client import CollectorRegistry, Counter, Histogram

from asleep_pipeline.access.callers import Caller
from asleep_pipeline.privacy.secret import pseudonym

WATCH: Final = "watch"
"""Where the application keeps its `Watch`."""
PURPOSE: Final = "log"
"""What the key of pseudonyms is derived for."""
HUNG_UP: Final = 499
"""Told instead of a status when nobody waited for the answer."""

_NO_ROUTE: Final = "other"
_OF_A_TOKEN: Final = re.compile(r"token:\d+")
_SECONDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)

log = structlog.get_logger(__name__)


class Watch:
    """Tells of each request of one application.

    Args:
        key: Of the pseudonyms.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "asleep_api_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._latency = Histogram(
            "asleep_api_answer_seconds",
            "From a request's headers to the end of its answer.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """Tell of a request that has been answered."""
        route = scope.get("path_template") or _NO_ROUTE
        # Any word may be sent as a method; those of routes are few.
        method = str(scope.get("method")) if route != _NO_ROUTE else _NO_ROUTE
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(method, route).observe(seconds)
        log.info(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            **self._asked_by(scope),
        )

    def _asked_by(self, scope: Scope) -> dict[str, Any]:
        caller: Caller | None = scope.get("state", {}).get("caller")
        if caller is None:
            return {}
        subject = caller.subject
        if not _OF_A_TOKEN.fullmatch(subject):
            subject = pseudonym(self._key, subject)
        return {"organisation": caller.org_id, "subject": subject}
