"""Changes of sessions in progress, kept for those who follow an organisation's stream.

A channel holds the newest changes of one organisation and nobody's queue: each reader has a place
in it of its own. Whoever reads so slowly that the place has gone begins again with a snapshot, which
says all that was missed; so a slow reader costs no memory and loses nothing.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

KEPT: Final = 10_000
"""Changes that a channel keeps; at about half a kilobyte each."""


class Position(NamedTuple):
    """A place in the order of changes.

    Attributes:
        event: The newest event of the inbox that is counted in.
        change: Which change after it, of those that no event has brought; 0 is the event's own.
    """

    event: int
    change: int = 0

    def __str__(self) -> str:
        """As a part of the id of a server-sent event."""
        return f"{self.event}-{self.change}" if self.change else str(self.event)


def read_position(text: str) -> Position | None:
    """The position that was written so; None when it is none of ours."""
    found = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", text)
    return Position(int(found[1]), int(found[2] or 0)) if found else None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a session.

    Attributes:
        position: Its place in the order.
        name: `update`, `completed` or `gone`.
        data: What it says, as JSON.
    """

    position: Position
    name: str
    data: bytes


class Channel:
    """The newest changes of one organisation. Written by one thread, read by any."""

    def __init__(self, start: Position, kept: int = KEPT) -> None:
        """Begin a channel.

        Args:
            start: Nothing is missing that comes after it.
            kept: Changes to keep.
        """
        self._changes: deque[Change] = deque()
        self._kept = kept
        self._before = start
        self._written = 0
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()

    @property
    def end(self) -> tuple[int, Position]:
        """The place after the newest change, and that change's position."""
        with self._lock:
            return self._written, self._changes[-1].position if self._changes else self._before

    def put(self, changes: Sequence[Change]) -> None:
        """Add changes, in order, and wake who waits for them."""
        with self._lock:
            self._changes.extend(changes)
            self._written += len(changes)
            while len(self._changes) > self._kept:
                self._before = self._changes.popleft().position
            wakers = list(self._wakers)
        for wake in wakers:
            wake()

    def read(self, place: int, most: int) -> list[Change] | None:
        """The changes from a place on, so many at most; None when some have gone already."""
        with self._lock:
            skipped = place - (self._written - len(self._changes))
            if skipped < 0:
                return None
            return list(islice(self._changes, skipped, skipped + most))

    def place_after(self, position: Position) -> int | None:
        """Where to read on after a change; None when that cannot be done without a loss."""
        with self._lock:
            positions = [self._before, *(change.position for change in self._changes)]
            if not positions[0] <= position <= positions[-1]:
                return None
            return self._written - len(self._changes) + bisect_right(positions, position) - 1

    def join(self, wake: Callable[[], None]) -> None:
        """Call a function, in the writer's thread, at each change."""
        with self._lock:
            self._wakers.add(wake)

    def leave(self, wake: Callable[[], None]) -> None:
        """Do not call it any more."""
        with self._lock:
            self._wakers.discard(wake)
