"""Stops asking a service that is down, and asks again with one request at a time.

The library circuitbreaker lets every waiting call through once its pause is over and takes a
cancelled call for a success, so neither a single probe nor a stopped run would be safe with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

# More than the attempts of one call, over more time than these take: an outage that calls
# outlive by themselves does not open the circuit, however many of them meet it at once.
FAILURES_TO_OPEN: Final = 20
OUTAGE_TO_OPEN_S: Final = 40.0
PAUSE_S: Final = 30.0


@dataclass
class Breaker:
    """Counts failures of the service in a row; not for use by several threads."""

    clock: Callable[[], float] = monotonic
    _failures: int = 0
    _failing_since: float = 0.0
    _opened_at: float | None = None
    _probing: bool = False

    def admits(self) -> bool:
        """Whether a request may go out now; in the open state only a probe, and only one."""
        if self.refuses():
            return False
        self._probing = self._opened_at is not None
        return True

    def refuses(self) -> bool:
        """Whether no request may go out now."""
        if self._opened_at is None:
            return False
        return self._probing or self.clock() - self._opened_at < PAUSE_S

    def succeeded(self) -> bool:
        """The service answered, be it with a refusal; returns whether that closed the circuit."""
        was_open = self._opened_at is not None
        self._failures = 0
        self._opened_at = None
        self._probing = False
        return was_open

    def failed(self) -> bool:
        """The service failed: no answer, a broken one, or a 5xx; returns whether that opened it.

        The failure of a probe, which keeps the circuit open, does not open it again.
        """
        now = self.clock()
        was_open = self._opened_at is not None
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN and now - self._failing_since >= OUTAGE_TO_OPEN_S:
            self._opened_at = now
        self._probing = False
        return self._opened_at is not None and not was_open

    def abandoned(self) -> None:
        """The request ended without telling anything about the service."""
        self._probing = False
