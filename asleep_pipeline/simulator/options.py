"""What a simulated world is made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from asleep_pipeline.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """A world, fully determined by these values and the clock.

    Attributes:
        people: Number of users, at least 1; ignored with `recordings`.
        seed: Any integer; the same seed gives the same people and nights.
        now: Aware instant at which the clock stands still; None follows real time.
        first_date: No session starts before this date.
        recordings: Parquet file of real hypnograms that are served instead of made-up nights.
        api_key: The key that the server accepts.

    Raises:
        UsageError: `people` is below 1.
    """

    people: int = 24
    seed: int = 7
    now: datetime | None = None
    first_date: date = date(2024, 1, 1)
    recordings: Path | None = None
    api_key: str = "simulator"

    def __post_init__(self) -> None:
        if self.people < 1:
            raise UsageError(
                f"A world of {self.people} people cannot be simulated.", fix="Ask for 1 or more."
            )
