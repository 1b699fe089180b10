"""How fast one API key may ask, agreed between all processes of a machine.

The vendor publishes no rate, so it is learned: nothing is held back until the API refuses; then
the pace drops to half of what was seen, and grows again by 5 % a second until the next refusal
or the configured ceiling. What one process learns holds for all, through one row of a SQLite
file. Pacing itself is pyrate-limiter's GCRA. Its own SQLite bucket is not used: its rate is
fixed, it counts and inserts in two statements, so that two processes can take the same last
place, and it keeps a row for each request.
"""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
import stamina
from pyrate_limiter import GCRA, Rate

from asleep_pipeline.errors import ConfigurationError

T = TypeVar("T")

LONGEST_PAUSE_S: Final = 60.0
_SLOWEST_PER_S: Final = 0.1
_CUT: Final = 0.5
_GROWTH_PER_S: Final = 1.05
_FORGET_MS: Final = 600_000
# Refusals of requests that were under way when the pace was cut say nothing new.
_ONE_REFUSAL_MS: Final = 1_000
# Late wake-ups of the event loop may be caught up within this time.
_BURST_S: Final = 0.1
_HOUR_MS: Final = 3_600_000
_LONGEST_SLEEP_MS: Final = 1_000
_LONGEST_LOCK_S: Final = 30.0


class Pace(msgspec.Struct, frozen=True, array_like=True):
    """What is known about one key; times are milliseconds since the epoch."""

    arrival_us: int = 0
    paused_until_ms: int = 0
    learned_per_s: float | None = None
    refused_ms: int = 0
    second: int = 0
    taken: int = 0
    taken_before: int = 0


def take(pace: Pace, now_ms: int, ceiling_per_s: float | None) -> tuple[Pace, int]:
    """Ask for one request: the pace afterwards, and 0 or the milliseconds to wait first."""
    pause_ms = pace.paused_until_ms - now_ms
    # A longer one comes from a clock that was set back.
    if 0 < pause_ms <= LONGEST_PAUSE_S * 1000:
        return pace, pause_ms
    per_s = allowed(pace, now_ms, ceiling_per_s)
    if per_s is None:
        return _counted(pace, now_ms, pace.arrival_us), 0
    rate = _rate(per_s)
    ahead_us = pace.arrival_us - now_ms * 1000
    arrival_us = pace.arrival_us if ahead_us <= LONGEST_PAUSE_S * 1_000_000 else 0
    (arrived,), decision = GCRA().step([rate], (arrival_us,), now_ms, 1)
    if not decision.allowed:
        return pace, decision.retry_after_ms or 1
    return _counted(pace, now_ms, int(arrived)), 0


def refuse(pace: Pace, now_ms: int, ceiling_per_s: float | None, pause_s: float) -> Pace:
    """Slow down after the API refused, and be silent for `pause_s` seconds."""
    paused_until_ms = now_ms + int(min(pause_s, LONGEST_PAUSE_S) * 1000)
    paused = msgspec.structs.replace(pace, paused_until_ms=paused_until_ms)
    if 0 <= now_ms - pace.refused_ms < _ONE_REFUSAL_MS:
        return paused
    fits = min(allowed(pace, now_ms, ceiling_per_s) or math.inf, _seen_per_s(pace, now_ms))
    learned = max(_SLOWEST_PER_S, fits * _CUT)
    return msgspec.structs.replace(paused, learned_per_s=learned, refused_ms=now_ms)


def allowed(pace: Pace, now_ms: int, ceiling_per_s: float | None) -> float | None:
    """Requests a second that are allowed now; None for no cap."""
    elapsed_ms = max(0, now_ms - pace.refused_ms)
    if pace.learned_per_s is None or elapsed_ms > _FORGET_MS:
        return ceiling_per_s
    recovered: float = pace.learned_per_s * _GROWTH_PER_S ** (elapsed_ms / 1000)
    return min(recovered, ceiling_per_s or math.inf)


def _seen_per_s(pace: Pace, now_ms: int) -> int:
    age = now_ms // 1000 - pace.second
    recent = (max(pace.taken, pace.taken_before), pace.taken)
    return max(1, recent[age]) if 0 <= age < len(recent) else 1


def _counted(pace: Pace, now_ms: int, arrival_us: int) -> Pace:
    second = now_ms // 1000
    if second == pace.second:
        return msgspec.structs.replace(pace, arrival_us=arrival_us, taken=pace.taken + 1)
    before = pace.taken if second == pace.second + 1 else 0
    return msgspec.structs.replace(
        pace, arrival_us=arrival_us, second=second, taken=1, taken_before=before
    )


def _rate(per_s: float) -> Rate:
    # By the hour, so that rates below one a second keep their precision.
    return Rate(
        max(1, round(per_s * _HOUR_MS / 1000)), _HOUR_MS, max(1, math.ceil(per_s * _BURST_S))
    )


class Ledger(Protocol):
    """Keeps the pace of one key; an update is atomic among all who share the ledger."""

    def update(self, change: Callable[[Pace], tuple[Pace, T]]) -> T:
        """Replace the pace by what `change` makes of it, and hand on its second value."""

    def close(self) -> None:
        """Let go of what the ledger holds."""


class MemoryLedger:
    """The pace of one key within one client."""

    def __init__(self) -> None:
        self._pace = Pace()

    def update(self, change: Callable[[Pace], tuple[Pace, T]]) -> T:
        """See `Ledger`."""
        self._pace, value = change(self._pace)
        return value

    def close(self) -> None:
        """See `Ledger`."""


class FileLedger:
    """The pace of one key for all processes that name the same SQLite file.

    The file knows the key by a short hash. An update takes about 20 us and never waits for
    another process: a busy file raises, and the caller asks again.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = blake2b(key.encode(), digest_size=8, person=b"asleep-budget").hexdigest()
        self._connection: sqlite3.Connection | None = None

    def update(self, change: Callable[[Pace], tuple[Pace, T]]) -> T:
        """See `Ledger`.

        Raises:
            sqlite3.Error: If another process holds the file just now, or it is unusable.
        """
        connection = self._connection = self._connection or _opened(self._path)
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            row = connection.execute(
                "SELECT pace FROM budget WHERE key = ?", (self._key,)
            ).fetchone()
            pace, value = change(msgspec.json.decode(row[0], type=Pace) if row else Pace())
            connection.execute(
                "INSERT OR REPLACE INTO budget VALUES (?, ?)",
                (self._key, msgspec.json.encode(pace)),
            )
        return value

    def close(self) -> None:
        """See `Ledger`."""
        if self._connection:
            self._connection.close()
            self._connection = None


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS budget (key TEXT PRIMARY KEY, pace BLOB NOT NULL) WITHOUT ROWID"
        )
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Budget:
    """Hands out requests in the order they were asked for.

    Args:
        ledger: Where the pace is kept.
        ceiling_per_s: Requests a second never to be exceeded; None for as many as the API takes.
        clock: Milliseconds since the epoch.
    """

    def __init__(
        self, ledger: Ledger, ceiling_per_s: float | None, *, clock: Callable[[], int] = _now_ms
    ) -> None:
        self._ledger = ledger
        self._ceiling = ceiling_per_s
        self._clock = clock
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait until one more request may go out; not at all in stamina's testing mode."""
        async with self._turn:
            while wait_ms := await self._update(
                lambda pace: take(pace, self._clock(), self._ceiling)
            ):
                if stamina.is_testing():
                    return
                await asyncio.sleep(min(wait_ms, _LONGEST_SLEEP_MS) / 1000)

    async def refused(self, pause_s: float) -> None:
        """Slow down: the API refused and asked for `pause_s` seconds of silence."""
        await self._update(lambda pace: (refuse(pace, self._clock(), self._ceiling, pause_s), None))

    def close(self) -> None:
        """Let go of the file."""
        self._ledger.close()

    async def _update(self, change: Callable[[Pace], tuple[Pace, T]]) -> T:
        """Update the ledger without blocking the event loop while another process holds it."""
        give_up_at = time.monotonic() + _LONGEST_LOCK_S
        while True:
            try:
                return self._ledger.update(change)
            except (sqlite3.Error, OSError, msgspec.DecodeError) as error:
                if not _is_busy(error) or time.monotonic() > give_up_at:
                    raise _unusable(error) from error
            await asyncio.sleep(random.uniform(0.0005, 0.002))  # noqa: S311 - spreads processes


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _unusable(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"The file of the request budget cannot be used ({error}).",
        fix="Make its folder writable, or delete the file: it is made anew.",
    )
