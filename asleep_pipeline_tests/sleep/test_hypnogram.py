"""Our statistics of a night are those of two other libraries, whatever its stages are.

`other_libraries` says what is defined otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isnan
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pysleep import SleepStageCalculator  # type: ignore[import-untyped]
from yasa import Hypnogram

from asleep_pipeline.warehouse.marts.tables import TRANSITIONS
from asleep_pipeline_tests.hand_made import stages
from asleep_pipeline_tests.sleep.conftest import Evaluate
from asleep_pipeline_tests.sleep.night_facts import START, NightFacts
from asleep_pipeline_tests.sleep.other_libraries import (
    SLEEP_STAGES,
    chosen,
    of_pysleep,
    of_yasa,
    transitions_of_yasa,
)

STARTED_AT = datetime.fromisoformat(START).replace(tzinfo=UTC)
NAMES = {
    4: {-1: "UNS", 0: "WAKE", 1: "LIGHT", 2: "DEEP", 3: "REM"},
    2: {-1: "UNS", 0: "WAKE", 1: "SLEEP"},
}

LENGTHS = st.one_of(st.integers(1, 3), st.sampled_from([19, 20, 21]), st.integers(1, 400))


def series_of(*mixes: str) -> st.SearchStrategy[list[list[int]]]:
    """Batches of nights of 1 to 1200 epochs; each is made of the stages of one mix."""

    def night(mix: str) -> st.SearchStrategy[list[int]]:
        run = st.tuples(LENGTHS, st.sampled_from(mix)).map(lambda drawn: "{}{}".format(*drawn))
        runs = st.lists(run, min_size=1, max_size=30)
        return runs.map(lambda drawn: stages(" ".join(drawn))[:1200])

    return st.lists(st.sampled_from(mixes).flatmap(night), min_size=8, max_size=20)


known = series_of("WLDR", "WLDR", "LDR", "WR", "WRL", "WL", "W", "R", "D")
any_nights = series_of("WLDRU", "WLDRU", "LRU", "WRU", "WU", "LU", "U", "WLDR", "W")
two_levels = series_of("WL", "WLU", "L", "W", "U")
thorough = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def by_pysleep(night: Sequence[int]) -> dict[str, Any]:
    """What the vendor's calculator says of a night with sleep, in our words."""
    end = STARTED_AT + timedelta(seconds=30 * len(night))
    said = vars(SleepStageCalculator().calculate(night, STARTED_AT, end))
    return of_pysleep({name: _plain(value) for name, value in said.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else value


def by_yasa(night: Sequence[int], *, levels: int = 4) -> dict[str, Any]:
    """What `yasa` says of a night with sleep, in our words."""
    hypnogram = Hypnogram.from_integers(night, mapping=NAMES[levels], n_stages=levels, freq="30s")
    said = {k: None if isnan(v) else float(v) for k, v in hypnogram.sleep_statistics().items()}
    counts, _ = hypnogram.transition_matrix()
    return of_yasa(said) | transitions_of_yasa(counts.to_dict("index"))


@thorough
@given(known)
def test_known_nights_equal_pysleep(facts: NightFacts, batch: list[list[int]]) -> None:
    """Whatever the stages: what the vendor's calculator says is in our columns."""
    for night, row in zip(batch, facts.of(batch), strict=True):
        if any(night):
            wanted = by_pysleep(night)
            assert chosen(row, wanted) == wanted


@thorough
@given(any_nights)
def test_any_night_equals_yasa(facts: NightFacts, batch: list[list[int]]) -> None:
    """With and without unknown epochs: times, shares, fragmentation and every transition."""
    for night, row in zip(batch, facts.of(batch), strict=True):
        if max(night) > 0:
            wanted = by_yasa(night)
            assert chosen(row, wanted) == wanted


@thorough
@given(two_levels)
def test_nights_of_two_levels_equal_yasa(facts: NightFacts, batch: list[list[int]]) -> None:
    """Sleep without stages has no share, no latency and no cycle of a stage."""
    unmeasured = [f"{stage}_{what}" for stage in SLEEP_STAGES for what in ("s", "latency_s")]
    unmeasured += [f"{s}_of_{of}_fraction" for s in SLEEP_STAGES for of in ("tst", "spt")]
    for night, row in zip(batch, facts.of(batch, levels=2), strict=True):
        assert {row[name] for name in (*unmeasured, "cycles", "mean_cycle_s")} == {None}
        # Without any sleep nothing tells how many levels there would be.
        assert row["stage_levels"] == (2 if max(night) > 0 else None)
        if max(night) > 0:
            wanted = by_yasa(night, levels=2)
            assert chosen(row, wanted) == wanted


@thorough
@given(any_nights)
def test_what_only_we_count_follows_from_the_epochs(
    facts: NightFacts, batch: list[list[int]]
) -> None:
    """Runs of wake and of sleep, persistent sleep and transitions, counted one epoch after the other."""
    for night, row in zip(batch, facts.of(batch), strict=True):
        if max(night) > 0:
            wanted = counted(night)
            assert chosen(row, wanted) == wanted


def counted(night: Sequence[int]) -> dict[str, Any]:
    """The plain way to the statistics that no library has for unknown epochs."""
    onset = next(i for i, stage in enumerate(night) if stage > 0)
    last = max(i for i, stage in enumerate(night) if stage > 0)
    period = night[onset : last + 1]
    wakes, sleeps = (runs(period, of) for of in ({0}, {1, 2, 3}))
    persistent = re.search("S{20}", "".join("S" if stage > 0 else "-" for stage in night))
    pairs = [(a, b) for a, b in pairwise(period) if a != b and -1 not in (a, b)]
    return {
        "awakenings": len(wakes),
        "longest_wake_s": 30 * max(wakes, default=0),
        "longest_sleep_s": 30 * max(sleeps),
        "lps_s": persistent and 30 * persistent.start(),
        "transitions": len(pairs),
        "terminal_wake_s": 30 * (len(night) - 1 - last),
        "never_slept": False,
        "unknown_fraction": night.count(-1) / len(night),
    }


def runs(period: Sequence[int], of: set[int]) -> list[int]:
    """Lengths of the runs of epochs that are one of these stages."""
    text = "".join("x" if stage in of else " " for stage in period)
    return [len(run) for run in text.split()]


NEEDS_SLEEP = [
    "onset_at",
    "final_wake_at",
    "midpoint_at",
    "waso_s",
    "sol_s",
    "lps_s",
    "terminal_wake_s",
    "light_latency_s",
    "deep_latency_s",
    "rem_latency_s",
    "light_of_tst_fraction",
    "deep_of_tst_fraction",
    "rem_of_tst_fraction",
    "wake_of_spt_fraction",
    "light_of_spt_fraction",
    "maintenance_efficiency_fraction",
    "awakenings",
    "longest_wake_s",
    "longest_sleep_s",
    "transitions",
    "fragmentation_index_per_h",
    "cycles",
    "mean_cycle_s",
    "snoring_s",
    "unstable_breath_s",
]


@pytest.mark.parametrize("night", ["1W", "100W", "40U", "30U 30W 30U"])
def test_somebody_who_never_slept(facts: NightFacts, night: str) -> None:
    """Totals are 0; what begins with falling asleep is NULL, not the length of the night."""
    (row,) = facts.of([stages(night)])
    assert {name: row[name] for name in NEEDS_SLEEP} == dict.fromkeys(NEEDS_SLEEP)
    assert [row[name] for name in ("tst_s", "spt_s", "efficiency_fraction", "deep_s")] == [
        0,
        0,
        0,
        0,
    ]
    assert {row[name] for name in TRANSITIONS} == {0}
    assert row["never_slept"] is (True if "W" in night else None)
    assert not row["is_main_sleep"]


@pytest.mark.parametrize(
    ("rem", "ends"),
    [
        ("1W 1L 19R", []),
        ("1W 1L 20R 5L", [20]),
        ("1W 10R 20L 10R 5W", [39]),
        ("1W 10R 21L 10R 5W", []),
        ("20R 20W 20R", [59]),
        ("20R 21U 20R", [19, 60]),
        ("20R 21D 5R 20L 15R 40L 19R", [19, 80]),
    ],
)
def test_cycles_end_with_ten_minutes_of_rem(evaluate: Evaluate, rem: str, ends: list[int]) -> None:
    """REM epochs with at most 20 others between them belong together; 20 of them end a cycle."""
    text = evaluate("sleep_period(hypnogram($1::TINYINT[]))", stages(rem))
    assert evaluate("cycle_ends(rem_clusters($1))", text) == ends


@pytest.mark.parametrize("series", [None, []])
def test_no_series_is_no_hypnogram(evaluate: Evaluate, series: list[int] | None) -> None:
    """Nothing measured is NULL, with every macro that follows."""
    for expression in (
        "hypnogram($1::TINYINT[])",
        "sleep_period(hypnogram($1::TINYINT[]))",
        "epochs_to_sleep(hypnogram($1::TINYINT[]))",
        "epochs_to_persistent_sleep(hypnogram($1::TINYINT[]))",
        "occurrences(hypnogram($1::TINYINT[]), 'W')",
        "cycle_ends(rem_clusters(sleep_period(hypnogram($1::TINYINT[]))))",
        "longest_run(hypnogram($1::TINYINT[]), 'W+')",
    ):
        assert evaluate(expression, series) is None, expression
