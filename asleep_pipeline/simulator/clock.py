"""The simulator's own clock: real time, or any instant that a test sets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from asleep_pipeline.errors import UsageError


class Clock:
    """Tells the simulator's time; session states, uploads and recomputations follow it.

    Args:
        fixed: An aware instant to stand still at; None follows the computer's clock.
    """

    def __init__(self, fixed: datetime | None = None) -> None:
        self._watchers: list[Callable[[], object]] = []
        self._fixed: datetime | None = None
        self.set(fixed)

    def now(self) -> datetime:
        """Return the present instant in UTC."""
        return self._fixed or datetime.now(UTC)

    def set(self, instant: datetime | None) -> None:
        """Stand still at an aware instant; None follows the computer's clock again.

        Raises:
            UsageError: the instant has no offset.
        """
        if instant is not None and instant.utcoffset() is None:
            raise UsageError(
                f"The simulator's clock cannot be set to {instant.isoformat()!r}.",
                fix="Give an offset, such as 2026-05-01T12:00:00+00:00.",
            )
        self._fixed = instant.astimezone(UTC) if instant else None
        for tell in self._watchers:
            tell()

    def watch(self, tell: Callable[[], object]) -> None:
        """Call a function whenever the clock was set; `set` returns after it has."""
        self._watchers.append(tell)

    def advance(self, step: timedelta) -> None:
        """Move to `step` after the present instant and stand still there."""
        self.set(self.now() + step)
