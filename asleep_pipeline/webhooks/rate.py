"""How many events a second each key may send."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from pyrate_limiter import GCRA, Rate

_SECOND_MS: Final = 1_000
_LONG_AGO: Final[tuple[float, ...]] = (0,)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class EventRates:
    """Counts events by key, in memory: a restart begins anew.

    pyrate-limiter's algorithm without its limiter, bucket and lock: 1.5 us instead of 5 us an event.

    Args:
        per_second: Events a second of each key; as many may come at once.
        clock: Milliseconds that only grow.
    """

    def __init__(self, per_second: int, clock: Callable[[], int] = _now_ms) -> None:
        self._rate = [Rate(per_second, _SECOND_MS)]
        self._clock = clock
        self._states: dict[str, tuple[float, ...]] = {}

    def is_allowed(self, key_name: str) -> bool:
        """Count an event; False, and not counted, if it is one too many."""
        state = self._states.get(key_name, _LONG_AGO)
        self._states[key_name], decision = _step(self._rate, state, self._clock(), 1)
        return bool(decision.allowed)


_step = GCRA().step
