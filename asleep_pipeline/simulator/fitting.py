"""Fit the night model on real recordings: `python -m asleep_pipeline.simulator.fitting PATH`.

PATH is a Parquet file with the columns `source` and `sleep_stages` (one recording a row, stages from
-1 to 3 per 30 s). The figures are written to `fitted.json` in this package; recordings never are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

from asleep_pipeline.simulator.stages import FITTED, Fitted, RemMemory, hour_bin
from asleep_pipeline.simulator.statistics import REM

_STAGES = (0, 1, 2, 3)
_QUANTILES = 41
_FEW_RUNS = 30
_MOST_UNKNOWN = 0.05

SOURCES = {
    "boas": "Bitbrain Open Access Sleep Dataset, OpenNeuro ds005555 v1.1.0, CC0",
    "dodh": "Dreem Open Dataset Healthy, dreem-learning-evaluation, MIT",
    "dodo": "Dreem Open Dataset Obstructive, dreem-learning-evaluation, MIT",
    "eesm17": "Ear-EEG Sleep Monitoring 2017, OpenNeuro ds004348 v1.0.5, CC0",
    "surrey": "Surrey cEEGrid sleep data set, OpenNeuro ds005207 v1.0.0, CC0",
    "sleepedf": "Sleep-EDF Database Expanded 1.0.0, PhysioNet (Kemp et al. 2000; Goldberger et al."
    " 2000), ODC-By 1.0",
}
"""Laboratory and home EEG sources that are fitted, with their licences."""

_LATENCY_SOURCES = {"boas", "dodh", "eesm17"}
"""Healthy people, scored from lights out: the others begin with preparations, or were cropped."""


class Run(NamedTuple):
    """One run of a stage after sleep onset, what it began with and what followed it."""

    stage: int
    epochs: int
    hour: int
    context: int
    follower: int


class Night(NamedTuple):
    """One recording: its source and its stages from -1 to 3."""

    source: str
    stages: list[int]


def main(arguments: list[str]) -> None:
    """Fit on the recordings at the one given path and write `fitted.json`."""
    (path,) = arguments
    figures = msgspec.to_builtins(fit(load(Path(path))))
    lines = [f'"{name}": {msgspec.json.encode(value).decode()}' for name, value in figures.items()]
    FITTED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def load(path: Path) -> list[Night]:
    """Read the recordings that can be fitted: known source, sleep, few unknown epochs."""
    frame = pl.read_parquet(path, columns=["source", "sleep_stages"])
    nights = [Night(source, list(stages)) for source, stages in frame.iter_rows()]
    return [night for night in nights if _is_usable(night)]


def _is_usable(night: Night) -> bool:
    unknown = night.stages.count(-1) / len(night.stages)
    return night.source in SOURCES and unknown <= _MOST_UNKNOWN and any(s > 0 for s in night.stages)


def fit(nights: list[Night]) -> Fitted:
    """Return the figures of the semi-Markov model: run lengths and transitions by time of night."""
    runs = [run for night in nights for run in runs_of(night.stages)]
    whole = [night.stages for night in nights if night.source in _LATENCY_SOURCES]
    return Fitted(
        sources={name: SOURCES[name] for name in sorted({night.source for night in nights})},
        recordings=len(nights),
        runs=len(runs),
        onset_latency=_quantiles(_leading_wake(stages) for stages in whole),
        final_wake=_quantiles(_leading_wake(stages[::-1]) for stages in whole),
        first_stage=_shares([_onset_stage(night.stages) for night in nights]),
        run_epochs=[[_run_quantiles(runs, s, h) for h in range(hour_bin.count)] for s in _STAGES],
        next_stage=[
            [
                [_followers(runs, s, h, c) for c in range(RemMemory.contexts)]
                for h in range(hour_bin.count)
            ]
            for s in _STAGES
        ],
    )


def runs_of(stages: list[int]) -> Iterator[Run]:
    """Yield the complete runs between sleep onset and final wake; unknown epochs are passed over."""
    known = [stage for stage in stages if stage >= 0]
    body = known[_leading_wake(known) : len(known) - _leading_wake(known[::-1])]
    lengths = [(stage, len(list(group))) for stage, group in groupby(body)]
    position, memory = 0, RemMemory()
    for (stage, epochs), (follower, _) in pairwise(lengths):
        if stage == REM:
            memory.add(position, epochs)
        hour = hour_bin(position)
        position += epochs
        yield Run(stage, epochs, hour, memory.context(position), follower)


def _leading_wake(stages: list[int]) -> int:
    return next((i for i, stage in enumerate(stages) if stage > 0), len(stages))


def _onset_stage(stages: list[int]) -> int:
    return stages[_leading_wake(stages)]


def _run_quantiles(runs: list[Run], stage: int, hour: int) -> list[float]:
    here = [run.epochs for run in runs if run.stage == stage and run.hour == hour]
    pooled = [run.epochs for run in runs if run.stage == stage]
    return _quantiles(here if len(here) >= _FEW_RUNS else pooled)


def _followers(runs: list[Run], stage: int, hour: int, context: int) -> list[float]:
    pools = (
        [r.follower for r in runs if (r.stage, r.hour, r.context) == (stage, hour, context)],
        [r.follower for r in runs if (r.stage, r.context) == (stage, context)],
        [r.follower for r in runs if r.stage == stage],
    )
    return _shares(next((pool for pool in pools if len(pool) >= _FEW_RUNS), pools[-1]))


def _shares(values: list[int]) -> list[float]:
    return [round(values.count(stage) / len(values), 4) for stage in _STAGES]


def _quantiles(values: Iterable[int]) -> list[float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return [ordered[round(i / (_QUANTILES - 1) * last)] for i in range(_QUANTILES)]


if __name__ == "__main__":
    main(sys.argv[1:])
