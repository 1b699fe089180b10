"""What the figures of sleep depend on besides the data."""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asleep_pipeline.weekdays import Weekdays

_FORMULA: Final = 1
"""Raised whenever a formula of the score changes."""

Weight = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[float, Field(ge=0, le=100)]
Hours = Annotated[float, Field(ge=0, le=24)]
SleepOfADay = Annotated[int, Field(gt=0, le=86_400)]
GroupSize = Annotated[int, Field(ge=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DurationBand(_Frozen):
    """Points of a night with so many hours of sleep, both ends inclusive."""

    from_h: Hours
    to_h: Hours
    points: Points

    @model_validator(mode="after")
    def _holds_something(self) -> DurationBand:
        if self.from_h > self.to_h:
            raise ValueError(f"its from_h {self.from_h:g} must not exceed its to_h {self.to_h:g}.")
        return self


class Score(_Frozen):
    """How the sleep score weighs its parts: the TOML table `[score]`.

    The defaults are those of Asleep's backend guide; the limit of consistency is ours.
    """

    efficiency_weight: Weight = 0.4
    consistency_weight: Weight = 0.3
    duration_weight: Weight = 0.3
    consistency_limit_min: Annotated[float, Field(gt=0, le=720)] = 120.0
    duration_bands: tuple[DurationBand, ...] = (
        DurationBand(from_h=7, to_h=9, points=100),
        DurationBand(from_h=6, to_h=10, points=80),
        DurationBand(from_h=5, to_h=11, points=60),
    )
    duration_otherwise: Points = 40.0

    @model_validator(mode="after")
    def _weights_add_up(self) -> Score:
        total = self.efficiency_weight + self.consistency_weight + self.duration_weight
        if abs(total - 1) > 1e-9:  # noqa: PLR2004 -- the error of adding decimal fractions
            raise ValueError(f"its three weights must add up to 1, not to {total:g}.")
        return self

    @property
    def version(self) -> str:
        """Number of the formula, and a hash of what it was given."""
        given = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{_FORMULA}-{given[:8]}"


class OwnParameters(_Frozen):
    """What the marts of one organisation depend on, where it is not what holds for all; None where it is."""

    free_days: Weekdays | None = None
    min_group_size: GroupSize | None = None


class Parameters(_Frozen):
    """Everything that the marts depend on besides the lake.

    Attributes:
        free_days: Days off of users without their own, ISO weekdays from 1 Monday to 7 Sunday.
        sleep_need_s: Sleep need of users without their own, in seconds.
        short_sleep_s: A night with less sleep in 24 h is short, in seconds.
        min_group_size: Smaller groups are suppressed.
        score: How the sleep score weighs its parts.
        own: What is different for an organisation, by its name.
    """

    free_days: Weekdays = (6, 7)
    sleep_need_s: SleepOfADay = 8 * 3600
    short_sleep_s: SleepOfADay = 7 * 3600
    min_group_size: GroupSize = 5
    score: Score = Score()
    own: dict[str, OwnParameters] = {}
