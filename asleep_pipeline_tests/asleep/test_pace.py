"""The law of the pace against vendors that count in different ways, on a clock of its own."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.asleep._budget import Pace, allowed, refuse, take

START_MS = 1_800_000_000_000
LATE_MS, JITTER_MS = 40, 8


class Limiter(Protocol):
    """How a vendor counts."""

    per_s: float

    def admits(self, now_s: float) -> bool:
        """Whether a request that arrives now is answered."""


class TokenBucket:
    """Refills evenly and holds a second's worth, as the simulator."""

    def __init__(self, per_s: float) -> None:
        self.per_s, self._tokens, self._at_s = per_s, 1.0, 0.0

    def admits(self, now_s: float) -> bool:
        """See `Limiter`."""
        self._tokens = min(self.per_s, self._tokens + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class FixedWindow:
    """Counts anew with every second of the clock."""

    def __init__(self, per_s: float) -> None:
        self.per_s, self._second, self._count = per_s, 0, 0

    def admits(self, now_s: float) -> bool:
        """See `Limiter`."""
        if int(now_s) != self._second:
            self._second, self._count = int(now_s), 0
        if self._count >= self.per_s:
            return False
        self._count += 1
        return True


class SlidingWindow:
    """Remembers what it answered within the last second."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._answered: deque[float] = deque()

    def admits(self, now_s: float) -> bool:
        """See `Limiter`."""
        while self._answered and self._answered[0] <= now_s - 1:
            self._answered.popleft()
        if len(self._answered) >= self.per_s:
            return False
        self._answered.append(now_s)
        return True


KINDS = (TokenBucket, FixedWindow, SlidingWindow)


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        used: The answered share of what the vendor would have answered.
        refused: The refused share of all requests.
        last_s: When the vendor last refused.
    """

    used: float
    refused: float
    last_s: float


@dataclass(slots=True)
class Sync:
    """A process that always has something to ask, over as many connections as it takes."""

    ceiling: float | None
    latency_ms: int
    connections: int
    pace: Pace = field(default_factory=Pace)

    def run(
        self,
        limiter: Limiter,
        seconds: int,
        *,
        since_s: int = 0,
        change: Callable[[float], None] = lambda _: None,
        retry_after_s: float = 0,
    ) -> Outcome:
        """Ask for so long, and count what comes after `since_s`."""
        chance = random.Random(1)
        # When a connection is free, and the refusal that it then tells of.
        free = [(0, number, False) for number in range(self.connections)]
        answered = refused = 0
        last_s, due_ms = 0.0, 0
        while (now_ms := max(due_ms, free[0][0])) < seconds * 1000:
            _, number, is_refusal = free[0]
            if is_refusal:
                heapq.heapreplace(free, (free[0][0], number, False))
                self.pace = refuse(self.pace, START_MS + free[0][0], self.ceiling, retry_after_s)
                continue
            self.pace, wait_ms = take(self.pace, START_MS + now_ms, self.ceiling)
            if wait_ms:
                # Often a little late, now and then much.
                due_ms = now_ms + wait_ms + int(LATE_MS * chance.random() ** 4)
                # Somebody else is told meanwhile that he is refused.
                continue
            arrives_s = (now_ms + chance.random() * JITTER_MS) / 1000
            change(arrives_s)
            is_answered = limiter.admits(arrives_s)
            if now_ms >= since_s * 1000:
                answered += is_answered
                refused += not is_answered
            last_s = last_s if is_answered else now_ms / 1000
            heapq.heapreplace(free, (now_ms + self.latency_ms, number, not is_answered))
        return Outcome(
            answered / (seconds - since_s) / limiter.per_s, refused / (answered + refused), last_s
        )


def busy(per_s: float, latency_ms: int, ceiling: float | None) -> Sync:
    """A process with half again as many connections as the rate needs."""
    return Sync(ceiling, latency_ms, max(8, round(per_s * latency_ms / 1000 * 1.5)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_s", [5, 50, 200])
@pytest.mark.parametrize("latency_ms", [20, 200])
def test_ceiling_is_used_and_never_refused(
    kind: type[TokenBucket | FixedWindow | SlidingWindow], per_s: int, latency_ms: int
) -> None:
    """However the vendor counts, the ceiling is its limit, and 97 % of it are used."""
    outcome = busy(per_s, latency_ms, per_s).run(kind(per_s), 60)
    assert outcome.refused == 0
    assert outcome.used >= 0.97


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_s", [50, 200])
@pytest.mark.parametrize("latency_ms", [20, 200])
def test_unknown_limit_is_found_and_used(
    kind: type[TokenBucket | FixedWindow | SlidingWindow], per_s: int, latency_ms: int
) -> None:
    """After half a minute of learning, nine tenths of the limit are used, and few are refused."""
    outcome = busy(per_s, latency_ms, None).run(kind(per_s), 300, since_s=30)
    assert outcome.used >= 0.9
    assert outcome.refused < 0.002


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("limit", "within_s"), [(5, 20), (500, 180)])
def test_changed_limit_is_followed(
    kind: type[TokenBucket | FixedWindow | SlidingWindow], limit: int, within_s: int
) -> None:
    """A limit that falls to a tenth is reached within 20 s, one that rises tenfold within 180 s."""
    vendor, sync = kind(50), busy(500, 200, None)
    reached: list[float] = []

    def change(now_s: float) -> None:
        vendor.per_s = limit if now_s >= 120 else 50
        pace = allowed(sync.pace, START_MS + int(now_s * 1000), None) or 0
        if now_s >= 120 and (pace <= limit * 1.2 if limit < 50 else pace >= limit * 0.9):
            reached.append(now_s - 120)

    sync.run(vendor, 320, change=change)
    assert reached[0] <= within_s


def test_silence_that_the_vendor_asks_for_costs_the_pace_nothing_more() -> None:
    """After a pause the curve goes on where it would have been."""
    sync = busy(50, 20, None)
    sync.run(TokenBucket(50), 60)
    at_ms = START_MS + 60_000
    paused, plain = (refuse(sync.pace, at_ms, None, pause_s) for pause_s in (5, 0))
    assert take(paused, at_ms + 4000, None)[1] == 1000
    assert allowed(paused, at_ms + 5000, None) == allowed(plain, at_ms + 5000, None)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 2000), st.lists(st.integers(0, 400), min_size=50, max_size=400))
def test_no_second_holds_more_than_the_ceiling(ceiling: int, pauses_ms: list[int]) -> None:
    """Whenever somebody asks, no second, even one too long by 10 ms, has more than the ceiling."""
    pace, now_ms = Pace(), START_MS
    gone = deque[int]()
    for pause_ms in pauses_ms:
        now_ms += pause_ms % 40 if pause_ms < 390 else pause_ms * 4
        for _ in range(20):
            pace, wait_ms = take(pace, now_ms, ceiling)
            now_ms += wait_ms
            if wait_ms:
                continue
            gone.append(now_ms)
            while gone[0] <= now_ms - 1010:
                gone.popleft()
            assert len(gone) <= ceiling


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.floats(0, 100)), min_size=1, max_size=20),
    st.none() | st.floats(0.2, 1000),
)
def test_refusal_never_quickens(refusals: list[tuple[int, float]], ceiling: float | None) -> None:
    """Right after a refusal no more is allowed than right before it, down to the floor."""
    pace, now_ms = Pace(), START_MS
    for step_ms, pause_s in refusals:
        now_ms += step_ms
        before = allowed(pace, now_ms, ceiling)
        pace = refuse(pace, now_ms, ceiling, pause_s)
        assert 0.1 <= (allowed(pace, now_ms, ceiling) or 0) <= max(0.1, before or 1)
