"""How many requests a second each organisation may send, and how many bad credentials an address."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Final

from litestar.exceptions import HTTPException
from pyrate_limiter import GCRA, Rate

FAILURES_PER_SECOND: Final = 5
"""Refused credentials a second of one address that are answered 401."""
_MOST_NAMES: Final = 10_000
_SECOND_MS: Final = 1_000
_LONG_AGO: Final[tuple[float, ...]] = (0,)
_IPV6_OF_ONE: Final = 64


class TooMany(HTTPException):
    """More requests came than are allowed."""

    status_code = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, wait_s: float) -> None:
        super().__init__(
            "More requests a second came than are allowed.",
            headers={"retry-after": str(max(1, ceil(wait_s)))},
        )


class Buckets:
    """A token bucket for each name, in memory; for use by many threads.

    Only the names that were met last are known: whoever sends from many addresses costs no memory.

    Args:
        per_second: Tokens that come back a second; as many may be taken at once.
        most_names: How many names are known.
        clock: Milliseconds that only grow.
    """

    def __init__(
        self,
        per_second: int,
        most_names: int = _MOST_NAMES,
        clock: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._rate = [Rate(per_second, _SECOND_MS)]
        self._most_names, self._clock = most_names, clock
        self._lock = threading.Lock()
        self._states: OrderedDict[str, tuple[float, ...]] = OrderedDict()

    def take(self, name: str) -> None:
        """Take one token.

        Raises:
            TooMany: There is none; says when there will be.
        """
        with self._lock:
            state = self._states.pop(name, _LONG_AGO)
            self._states[name], decision = _step(self._rate, state, self._clock(), 1)
            if len(self._states) > self._most_names:
                self._states.popitem(last=False)
        if not decision.allowed:
            raise TooMany((decision.retry_after_ms or 0) / _SECOND_MS)


def sender_of(client: tuple[str, int] | None) -> str:
    """Who sends, by address: of IPv6 the network that one customer has; "" when that is unknown."""
    try:
        address = ip_address(client[0] if client else "")
    except ValueError:
        return ""
    if address.version == ip_address("::").version:
        return str(ip_network((address, _IPV6_OF_ONE), strict=False))
    return str(address)


_step = GCRA().step
