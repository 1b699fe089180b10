"""Made-up nights look like recorded ones, and the committed figures are those of the fit."""

from __future__ import annotations

from pathlib import Path
from random import Random
from statistics import fmean, median

import msgspec
import pytest

from asleep_pipeline.simulator.fitting import fit, load, runs_of
from asleep_pipeline.simulator.stages import FITTED, Fitted, hypnogram
from asleep_pipeline.simulator.statistics import unpacked


@pytest.fixture(scope="module")
def recorded(sleep_data: Path) -> list[list[int]]:
    """The recordings that were fitted, without unknown epochs."""
    return [n.stages for n in load(sleep_data / "hypnograms.parquet") if -1 not in n.stages]


@pytest.fixture(scope="module")
def made_up() -> list[list[int]]:
    """Nights of eight hours of an average sleeper."""
    rng = Random(3)
    return [unpacked(hypnogram(rng, 960)) for _ in range(300)]


def slept(stages: list[int]) -> list[int]:
    """Return the sleep period."""
    asleep = [i for i, stage in enumerate(stages) if stage > 0]
    return stages[asleep[0] : asleep[-1] + 1]


def shares(nights: list[list[int]]) -> list[float]:
    """Return the shares of the stages 0 to 3 in the sleep periods."""
    epochs = [stage for night in nights for stage in slept(night)]
    return [epochs.count(stage) / len(epochs) for stage in range(4)]


def rem_latency(nights: list[list[int]]) -> float:
    """Return the median number of epochs from onset to REM."""
    return median(slept(night).index(3) for night in nights if 3 in night)


def test_stage_shares_are_like_recorded(
    recorded: list[list[int]], made_up: list[list[int]]
) -> None:
    """Wake, light, deep and REM take their usual parts of the sleep period."""
    assert shares(made_up) == pytest.approx(shares(recorded), abs=0.03)


def test_runs_are_as_long_as_recorded(recorded: list[list[int]], made_up: list[list[int]]) -> None:
    """The mean run of each stage is within a quarter of the recorded one."""
    for stage in range(4):
        means = [
            fmean(run.epochs for night in nights for run in runs_of(night) if run.stage == stage)
            for nights in (recorded, made_up)
        ]
        assert means[1] == pytest.approx(means[0], rel=0.25)


def test_rem_comes_as_late_as_recorded(recorded: list[list[int]], made_up: list[list[int]]) -> None:
    """The median REM latency is within a fifth of the recorded one."""
    assert rem_latency(made_up) == pytest.approx(rem_latency(recorded), rel=0.2)


def test_deep_sleep_comes_early(made_up: list[list[int]]) -> None:
    """The first third of the night holds most of the deep sleep, the last most of the REM."""
    thirds = [[0, 0], [0, 0], [0, 0]]
    for night in made_up:
        for i, stage in enumerate(night):
            if stage >= 2:
                thirds[i * 3 // len(night)][stage - 2] += 1
    assert thirds[0][0] > 2 * thirds[2][0]
    assert thirds[2][1] > 2 * thirds[0][1]


def test_the_committed_figures_are_the_fit(sleep_data: Path) -> None:
    """Fitting again gives the file in the package."""
    committed = msgspec.json.decode(FITTED.read_bytes(), type=Fitted)
    assert fit(load(sleep_data / "hypnograms.parquet")) == committed


def test_a_night_has_the_length_asked_for() -> None:
    """Any length from one epoch on."""
    for epochs in (1, 2, 10, 500, 3000):
        assert len(hypnogram(Random(1), epochs)) == epochs
