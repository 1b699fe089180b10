"""What the microphone heard: the three series of a session, made from its slot alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from asleep_pipeline.simulator.calendar import Flavour, Slot
from asleep_pipeline.simulator.dice import dice
from asleep_pipeline.simulator.people import Habits
from asleep_pipeline.simulator.stages import Build, hypnogram
from asleep_pipeline.simulator.statistics import BLOCK_EPOCHS, EPOCH_S, UNKNOWN, packed

_UNKNOWN = packed([UNKNOWN])
_AS_TWO_STAGES = bytes(code if code in (0, 0xFF) else 1 for code in range(256))


@dataclass(frozen=True, slots=True)
class Night:
    """The analysed series of one session, one byte an epoch.

    Attributes:
        stages: Packed sleep stages, -1 to 3.
        breath: 0 stable, 1 unstable; None where the plan lacks it.
        snoring: 0 no, 1 snoring; None where the plan lacks it.
        missing_data_ratio: Share of the audio that was lost, 0 to 1.
    """

    stages: bytes
    breath: bytes | None
    snoring: bytes | None
    missing_data_ratio: float


def whole_blocks(length_s: float) -> int:
    """Return the epochs of a length in seconds: whole 5-minute blocks, the tail is dropped."""
    return int(length_s // (BLOCK_EPOCHS * EPOCH_S)) * BLOCK_EPOCHS


def listen(seed: int, slot: Slot, version: int = 0) -> Night:
    """Make the series of a session.

    Args:
        seed: The world's seed.
        slot: The session.
        version: 0 for the first analysis; each later one is a different but similar result.

    Returns:
        Series of whole 5-minute blocks; empty below five minutes.
    """
    rng = dice(seed, slot.person.user_id, slot.session_id)
    epochs = whole_blocks(slot.length_s)
    habits = slot.person.habits
    assert habits is not None
    stages = _stages(rng, slot, epochs, habits)
    breath = _breath(rng, stages, habits) if slot.person.plan.breathing else None
    snoring = _snoring(rng, stages, habits) if slot.person.plan.snoring else None
    stages, missing = _with_gaps(rng, stages, slot.flavour)
    for number in range(1, version + 1):
        stages = revised(dice(seed, slot.session_id, "version", number), stages)
    if slot.person.plan.stage_levels == 2:  # noqa: PLR2004 - a two-stage plan
        stages = stages.translate(_AS_TWO_STAGES)
    return Night(stages, breath, snoring, missing)


def _stages(rng: Random, slot: Slot, epochs: int, habits: Habits) -> bytes:
    if slot.flavour is Flavour.NEVER_SLEPT or not epochs:
        return bytes(epochs)
    build = habits.build
    if slot.ill:
        build = Build(wake=build.wake * 1.5, deep=build.deep * 0.8, rem=build.rem * 0.9)
    return hypnogram(rng, epochs, build)


def _breath(rng: Random, stages: bytes, habits: Habits) -> bytes:
    hours = len(stages) * EPOCH_S / 3600
    events = rng.gauss(1, 0.25) * habits.unstable_per_h * hours
    return _marked(rng, stages, round(events), mean_epochs=2.0)


def _snoring(rng: Random, stages: bytes, habits: Habits) -> bytes:
    mean_epochs = 14.0
    bouts = rng.gauss(1, 0.3) * habits.snoring_share * len(stages) / mean_epochs
    return _marked(rng, stages, round(bouts), mean_epochs=mean_epochs)


def _marked(rng: Random, stages: bytes, bouts: int, *, mean_epochs: float) -> bytes:
    """Return a series of 0 with bouts of 1 that begin during sleep."""
    series = bytearray(len(stages))
    for _ in range(bouts):
        first = int(rng.random() * len(stages))
        if stages[first]:
            length = 1 + int(-math.log(1 - rng.random()) * (mean_epochs - 1))
            series[first : first + length] = b"\x01" * min(length, len(stages) - first)
    return bytes(series)


def _with_gaps(rng: Random, stages: bytes, flavour: Flavour) -> tuple[bytes, float]:
    """Lose some audio: mostly none, sometimes a stretch, too much of a defective recording."""
    if flavour is Flavour.DEFECTIVE:
        return _lost(rng, stages, rng.uniform(0.35, 0.9))
    if rng.random() < 0.06:  # noqa: PLR2004
        return _lost(rng, stages, rng.uniform(0.005, 0.12))
    return stages, 0.0


def _lost(rng: Random, stages: bytes, share: float) -> tuple[bytes, float]:
    length = round(len(stages) * share)
    first = rng.randint(0, len(stages) - length)
    return stages[:first] + _UNKNOWN * length + stages[first + length :], round(share, 3)


def revised(rng: Random, stages: bytes) -> bytes:
    """Return another reading of the same night: some stretches get their neighbour's stage."""
    result = bytearray(stages)
    for _ in range(len(stages) // 40 + 1):
        first = int(rng.random() * len(stages))
        length = rng.randint(1, 8)
        last = result[first : first + length]
        if last:
            result[first : first + length] = result[first : first + 1] * len(last)
    return bytes(result)


def provisional(seed: int, slot: Slot, night: Night, length_s: float) -> Night | None:
    """Return what real-time polling shows after `length_s` seconds, or None below one block.

    Values differ a little from the final ones and never change once shown.
    """
    epochs = min(whole_blocks(length_s), len(night.stages))
    if not epochs:
        return None
    stages = revised(dice(seed, slot.session_id, "provisional"), night.stages)
    return Night(
        stages=stages[:epochs],
        breath=night.breath and night.breath[:epochs],
        snoring=night.snoring and night.snoring[:epochs],
        missing_data_ratio=0.0,
    )
