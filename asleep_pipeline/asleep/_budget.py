"""How fast one API key may ask, agreed between all processes of a machine.

The vendor publishes no rate, so it is learned: nothing is held back until the API refuses. A
refusal marks the pace at which it came, and the pace then follows a cubic curve, as TCP CUBIC
does: from nine tenths of the mark it rises to just below it within half a minute, stays there,
and leaves it behind ever faster: the mark is passed after 53 s, doubled after 104 s, tenfold after
182 s. A refusal soon after another cuts deeper, down to half, so a limit that falls to a tenth is
followed within 20 s. The first refusal tells little, as what was seen before it may be too short a
time: the pace begins at half of it, but passes it after 7 s and is tenfold after 18 s. What one
process learns holds for all, through one row of a SQLite file.

A ceiling is kept in whatever way the vendor counts: requests go out evenly, and in no second,
wherever it begins, more of them than the ceiling allows, even where the network varies by 10 ms. So
the pace is 2 % below the ceiling. Whoever wakes up late catches up as far as the second permits.
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

from asleep_pipeline.errors import ConfigurationError

T = TypeVar("T")

LONGEST_PAUSE_S: Final = 60.0
_SLOWEST_PER_S: Final = 0.1
_CUT: Final = 0.9
_DEEPEST_CUT: Final = 0.5
_PLATEAU: Final = 0.97
_PLATEAU_S: Final = 30.0
_GUESS_S: Final = 5.0
_FORGET_MS: Final = 600_000
# Refusals of requests that were under way when the pace was cut say nothing new.
_ONE_REFUSAL_MS: Final = 1_000
# A refusal so soon after the last one says that the cut was too small.
_SOON_MS: Final = 2_000
# An event loop that wakes up late, as on a busy machine, may catch up so much.
_CATCH_UP_US: Final = 250_000
# A second, wherever in a slot it begins, and one slot for the network.
_SLOT_MS: Final = 10
_SLOTS: Final = 1_000 // _SLOT_MS + 2
_EVEN_US: Final = _SLOTS * _SLOT_MS * 1_000
_SECOND_US: Final = 1_000_000
_BUSIEST_FADES: Final = 0.9
# While no limit is known, the ledger is asked so often: others' refusals are noticed no later.
_FREE_MS: Final = 250
_LONGEST_SLEEP_MS: Final = 1_000
_LONGEST_LOCK_S: Final = 30.0


class Pace(msgspec.Struct, frozen=True, array_like=True):
    """What is known about one key.

    Attributes:
        arrival_us: When the next request would go out at an even pace, us since the epoch.
        paused_until_ms: When the silence that the API asked for ends, ms since the epoch.
        learned_per_s: The pace at which the API refused last; None before the first time.
        refused_ms: When that was, ms since the epoch.
        second: The last second in which a request went out, s since the epoch.
        taken: Requests that went out in it.
        busiest: The most in an earlier second, less a tenth for each second in use since.
        cut: The share of `learned_per_s` with which the curve began.
        plateau_s: When the curve reaches its plateau, s since the refusal.
        slot: The last slot of `slots`, counted from the epoch.
        slots: Requests that went out in each of the last slots while the pace was limited.
    """

    arrival_us: int = 0
    paused_until_ms: int = 0
    learned_per_s: float | None = None
    refused_ms: int = 0
    second: int = 0
    taken: int = 0
    busiest: float = 0
    cut: float = _CUT
    plateau_s: float = _PLATEAU_S
    slot: int = 0
    slots: tuple[int, ...] = ()


def take(pace: Pace, now_ms: int, ceiling_per_s: float | None) -> tuple[Pace, int]:
    """Ask for one request: the pace afterwards, and 0 or the milliseconds to wait first."""
    pause_ms = pace.paused_until_ms - now_ms
    # A longer one comes from a clock that was set back.
    if 0 < pause_ms <= LONGEST_PAUSE_S * 1000:
        return pace, pause_ms
    per_s = allowed(pace, now_ms, ceiling_per_s)
    if per_s is None:
        return count(pace, now_ms, 1), 0
    wait_ms = _ahead_ms(pace, now_ms) or _full_ms(pace, now_ms, math.ceil(per_s))
    return (pace, wait_ms) if wait_ms else (_taken(pace, now_ms, per_s), 0)


def _ahead_ms(pace: Pace, now_ms: int) -> int:
    """How long until the next request is due."""
    ahead_us = pace.arrival_us - now_ms * 1000 - _CATCH_UP_US
    # A longer one comes from a clock that was set back.
    return math.ceil(max(0, ahead_us) / 1000) if ahead_us <= LONGEST_PAUSE_S * _SECOND_US else 0


def _full_ms(pace: Pace, now_ms: int, most: int) -> int:
    """How long until fewer than `most` requests went out within the slots that count."""
    slots = _slots(pace, now_ms // _SLOT_MS)
    excess = sum(slots) + 1 - most
    passed = 0
    while excess > 0:
        excess -= slots[passed]
        passed += 1
    return passed * _SLOT_MS - now_ms % _SLOT_MS if passed else 0


def _taken(pace: Pace, now_ms: int, per_s: float) -> Pace:
    late_us = now_ms * 1000 + _CATCH_UP_US - pace.arrival_us
    # Whoever has not asked for a second is not late, and a clock that was set back owes nothing.
    is_late = 0 <= late_us < _SECOND_US
    due_us = now_ms * 1000 + (max(0, _CATCH_UP_US - late_us) if is_late else _CATCH_UP_US)
    slot = now_ms // _SLOT_MS
    *before, latest = _slots(pace, slot)
    return msgspec.structs.replace(
        count(pace, now_ms, 1),
        arrival_us=due_us + math.ceil(_EVEN_US / per_s),
        slot=slot,
        slots=(*before, latest + 1),
    )


def _slots(pace: Pace, slot: int) -> tuple[int, ...]:
    """The slots that count in `slot`, the last of all."""
    passed = slot - pace.slot
    if not 0 <= passed < len(pace.slots):
        return (0,) * _SLOTS
    return pace.slots[passed:] + (0,) * passed


def refuse(pace: Pace, now_ms: int, ceiling_per_s: float | None, pause_s: float) -> Pace:
    """Slow down after the API refused, and be silent for `pause_s` seconds."""
    paused_until_ms = now_ms + int(min(pause_s, LONGEST_PAUSE_S) * 1000)
    paused = msgspec.structs.replace(pace, paused_until_ms=paused_until_ms)
    elapsed_ms = now_ms - pace.refused_ms
    if 0 <= elapsed_ms < _ONE_REFUSAL_MS:
        return paused
    known_per_s = allowed(pace, now_ms, ceiling_per_s)
    return msgspec.structs.replace(
        paused,
        learned_per_s=_mark(known_per_s, max(1.0, pace.taken, pace.busiest)),
        refused_ms=now_ms,
        cut=_cut(pace, elapsed_ms, known_per_s),
        plateau_s=_GUESS_S if known_per_s is None else _PLATEAU_S,
    )


def _cut(pace: Pace, elapsed_ms: int, known_per_s: float | None) -> float:
    """Deepest at the first refusal; each one soon after another squares the cut."""
    if known_per_s is None:
        return _DEEPEST_CUT
    return max(_DEEPEST_CUT, pace.cut**2) if 0 <= elapsed_ms < _SOON_MS else _CUT


def _mark(known_per_s: float | None, seen_per_s: float) -> float:
    """The pace that was refused: what was seen; or what was allowed, or half of it if hardly used."""
    if known_per_s is None:
        return seen_per_s
    return known_per_s if seen_per_s >= known_per_s / 2 else known_per_s / 2


def allowed(pace: Pace, now_ms: int, ceiling_per_s: float | None) -> float | None:
    """Requests a second that are allowed now; None for no cap."""
    elapsed_ms = max(0, now_ms - pace.refused_ms)
    if pace.learned_per_s is None or elapsed_ms > _FORGET_MS:
        return ceiling_per_s
    # -1 at the refusal, 0 on the plateau, 1 as long again after it.
    along = elapsed_ms / 1000 / pace.plateau_s - 1
    share = _PLATEAU + (_PLATEAU - pace.cut) * along**3
    return min(max(_SLOWEST_PER_S, pace.learned_per_s * share), ceiling_per_s or math.inf)


def count(pace: Pace, now_ms: int, requests: int) -> Pace:
    """The pace after so many requests went out."""
    second = now_ms // 1000
    if second == pace.second:
        return msgspec.structs.replace(pace, taken=pace.taken + requests)
    busiest = max(pace.taken, pace.busiest) * _BUSIEST_FADES
    return msgspec.structs.replace(pace, second=second, taken=requests, busiest=busiest)


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
            before = msgspec.json.decode(row[0], type=Pace) if row else Pace()
            pace, value = change(before)
            if pace is not before:
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

    While no limit is known, the ledger is asked four times a second only.

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
        self._free_since_ms: int | None = None
        self._untold = 0

    async def acquire(self) -> None:
        """Wait until one more request may go out; not at all in stamina's testing mode."""
        if self._is_free():
            self._untold += 1
            return
        async with self._turn:
            while wait_ms := await self._update(self._take):
                if stamina.is_testing():
                    return
                await asyncio.sleep(min(wait_ms, _LONGEST_SLEEP_MS) / 1000)

    async def refused(self, pause_s: float) -> None:
        """Slow down: the API refused and asked for `pause_s` seconds of silence."""
        self._free_since_ms = None
        await self._update(lambda pace: self._refuse(pace, pause_s))

    def _is_free(self) -> bool:
        since_ms = self._free_since_ms
        return since_ms is not None and 0 <= self._clock() - since_ms < _FREE_MS

    def _take(self, pace: Pace) -> tuple[Pace, int]:
        now_ms = self._clock()
        taken, wait_ms = take(self._told(pace, now_ms), now_ms, self._ceiling)
        is_free = not wait_ms and allowed(taken, now_ms, self._ceiling) is None
        self._free_since_ms = now_ms if is_free else None
        return taken, wait_ms

    def _refuse(self, pace: Pace, pause_s: float) -> tuple[Pace, None]:
        now_ms = self._clock()
        return refuse(self._told(pace, now_ms), now_ms, self._ceiling, pause_s), None

    def _told(self, pace: Pace, now_ms: int) -> Pace:
        """The pace with what went out while the ledger was not asked."""
        untold, self._untold = self._untold, 0
        return count(pace, now_ms, untold) if untold else pace

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
