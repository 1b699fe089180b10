"""Hypnograms from a semi-Markov model by time of night, fitted on real recordings.

A night is a row of runs. The length of a run depends on its stage and on the time since sleep
onset; the stage after it also on the REM sleep of the present cluster and the time since the last one,
which is what makes cycles.
The figures are in `fitted.json`, with their sources and licences; `fitting` makes them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from asleep_pipeline.simulator.statistics import DEEP, LIGHT, REM, WAKE

FITTED = Path(__file__).with_name("fitted.json")


class Fitted(msgspec.Struct):
    """The model's figures.

    Attributes:
        sources: Names and licences of the data that was fitted.
        recordings: Recordings used.
        runs: Stage runs used.
        onset_latency: Evenly spaced quantiles of the wake before sleep onset, in epochs.
        final_wake: The same of the wake after the last sleep.
        first_stage: Shares of the stages 0 to 3 at sleep onset.
        run_epochs: Quantiles of run lengths in epochs, by stage and time since onset.
        next_stage: Shares of the following stage, by stage, time since onset, `RemMemory` context.
    """

    sources: dict[str, str]
    recordings: int
    runs: int
    onset_latency: list[float]
    final_wake: list[float]
    first_stage: list[float]
    run_epochs: list[list[list[float]]]
    next_stage: list[list[list[list[float]]]]


class Bins:
    """Numbered intervals of a number of epochs: `Bins(a, b)(x)` is 0 below a, 1 below b, else 2."""

    def __init__(self, *edges: int) -> None:
        self.edges = edges
        self.count = len(edges) + 1

    def __call__(self, epochs: int) -> int:
        """Return the number of the interval that holds `epochs`."""
        return bisect_right(self.edges, epochs)


hour_bin = Bins(60, 120, 180, 300, 420, 600, 780)
"""Time since sleep onset: half an hour, an hour, 1.5, 2.5, 3.5, 5 and 6.5 hours."""

_gap_bin = Bins(60, 100, 140, 180)
_cluster_bin = Bins(1, 10, 20, 50)


class RemMemory:
    """What the night remembers of REM sleep: how much the last cluster held, and when it ended."""

    contexts = _gap_bin.count + _cluster_bin.count - 1
    _cluster_gap = 20

    def __init__(self) -> None:
        self._end = 0
        self._epochs = 0

    def add(self, start: int, epochs: int) -> None:
        """Note a run of REM; one that follows within 10 minutes belongs to the same cluster."""
        joins = start - self._end <= self._cluster_gap
        self._epochs = epochs + (self._epochs if joins else 0)
        self._end = start + epochs

    def context(self, position: int) -> int:
        """Return the number of the situation: within a cluster its REM so far, else the gap."""
        gap = position - self._end
        if self._epochs and gap <= self._cluster_gap:
            return _cluster_bin(self._epochs) - 1
        return _cluster_bin.count - 1 + _gap_bin(gap)


class Build(NamedTuple):
    """How a sleeper differs from the average one: factors on the length of runs."""

    wake: float = 1.0
    deep: float = 1.0
    rem: float = 1.0


@cache
def _fitted() -> Fitted:
    fitted = msgspec.json.decode(FITTED.read_bytes(), type=Fitted)
    fitted.next_stage = [
        [[list(accumulate(shares)) for shares in by_gap] for by_gap in by_hour]
        for by_hour in fitted.next_stage
    ]
    fitted.first_stage = list(accumulate(fitted.first_stage))
    return fitted


def hypnogram(rng: Random, epochs: int, build: Build = Build()) -> bytes:  # noqa: B008 - immutable
    """Draw the stages of one stay in bed.

    Args:
        rng: Source of randomness; the same state draws the same night.
        epochs: Length in 30 s epochs, at least 1.
        build: The sleeper.

    Returns:
        Packed stages, one byte per epoch, without unknown epochs.
    """
    fitted = _fitted()
    latency = min(round(_drawn(rng, fitted.onset_latency) * build.wake), epochs // 2)
    final = min(round(_drawn(rng, fitted.final_wake)), epochs // 4)
    asleep = epochs - latency - final
    return bytes(latency) + _sleep(rng, fitted, asleep, build) + bytes(final)


def _sleep(rng: Random, fitted: Fitted, epochs: int, build: Build) -> bytes:
    factors = {WAKE: build.wake, LIGHT: 1.0, DEEP: build.deep, REM: build.rem}
    stage = _picked(rng, fitted.first_stage)
    pieces, position, memory = [], 0, RemMemory()
    while position < epochs:
        hour = hour_bin(position)
        drawn = _drawn(rng, fitted.run_epochs[stage][hour])
        length = max(1, round(drawn * factors[stage]))
        pieces.append(_ONE[stage] * length)
        if stage == REM:
            memory.add(position, length)
        position += length
        stage = _picked(rng, fitted.next_stage[stage][hour][memory.context(position)])
    return b"".join(pieces)[:epochs]


_ONE = (b"\x00", b"\x01", b"\x02", b"\x03")


def _picked(rng: Random, cumulated: Sequence[float]) -> int:
    return min(bisect_right(cumulated, rng.random() * cumulated[-1]), len(cumulated) - 1)


def _drawn(rng: Random, quantiles: Sequence[float]) -> float:
    """Draw from a distribution given by evenly spaced quantiles, straight between them."""
    place = rng.random() * (len(quantiles) - 1)
    i = int(place)
    return quantiles[i] + (place - i) * (quantiles[i + 1] - quantiles[i])
