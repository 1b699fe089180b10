"""Statistics of a night by other libraries, under our names and in our units.

`pysleep` is the vendor's own calculator; `yasa`, `luna` and `hypnofunk` come from sleep research.
Where a definition is not the same, ours is:

| statistic | ours | others |
|---|---|---|
| latency, WASO, awakenings of somebody who never slept | NULL | pysleep: the whole recording, 0, 0; yasa, luna: none |
| sleep period and efficiency of somebody who never slept | 0 | the same |
| unknown epochs | neither sleep nor wake | yasa: the same; luna drops them at the ends; pysleep, hypnofunk refuse them |
| unknown epochs between sleep | part of the sleep period | yasa: the same; the API: no part of it |
| unknown epochs within wake | end a run of wake | none counts runs with them |
| denominator of the efficiency | the epochs recorded | yasa, luna: the same; pysleep: end minus start |
| final wake | end of the last epoch asleep | pysleep: session end minus the wake after it |
| latency of light, deep and REM | from sleep onset | pysleep, luna: the same; from the start yasa's REM, hypnofunk's light and deep |
| shares of the sleep period | exact | pysleep: whole percents, mended to add up to 100 |
| stages, their latencies and shares, cycles with 2 stage levels | NULL | pysleep: all sleep is light |
| latency to persistent sleep | 10 min of sleep without a break | luna: the same; yasa: 5 min |
| transitions | between two known stages within the sleep period | yasa, hypnofunk: in the whole recording |
| fragmentation | sleep to wake, the final one included, an hour of sleep | yasa: the same; luna: a minute |
| cycles | end with a cluster of 10 min of REM | pysleep: the same; luna: NREM periods |
| sleep period | onset to final wake | pysleep, yasa, luna: the same; hypnofunk: to the end |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from asleep_pipeline.warehouse.marts.tables import STAGES

SLEEP_STAGES = ("light", "deep", "rem")

_PYSLEEP = {
    "sleep_latency": "sol_s",
    "wakeup_latency": "terminal_wake_s",
    "light_latency": "light_latency_s",
    "deep_latency": "deep_latency_s",
    "rem_latency": "rem_latency_s",
    "time_in_bed": "tib_s",
    "time_in_sleep_period": "spt_s",
    "time_in_sleep": "tst_s",
    "time_in_wake": "waso_s",
    "time_in_light": "light_s",
    "time_in_deep": "deep_s",
    "time_in_rem": "rem_s",
    "waso_count": "awakenings",
    "longest_waso": "longest_wake_s",
    "sleep_cycle_count": "cycles",
    "sleep_cycle": "mean_cycle_s",
}
_PYSLEEP_SHARES = {
    "sleep_ratio": "maintenance_efficiency_fraction",
    "wake_ratio": "wake_of_spt_fraction",
    "light_ratio": "light_of_spt_fraction",
    "deep_ratio": "deep_of_spt_fraction",
    "rem_ratio": "rem_of_spt_fraction",
}
_YASA_MINUTES = {
    "TIB": "recorded_s",
    "SPT": "spt_s",
    "TST": "tst_s",
    "WASO": "waso_s",
    "SOL": "sol_s",
    "WAKE": "wake_s",
    "LIGHT": "light_s",
    "DEEP": "deep_s",
    "REM": "rem_s",
    "UNS": "unknown_s",
}
_YASA_PERCENTS = {
    "SE": "efficiency_fraction",
    "SME": "maintenance_efficiency_fraction",
    "%LIGHT": "light_of_tst_fraction",
    "%DEEP": "deep_of_tst_fraction",
    "%REM": "rem_of_tst_fraction",
}
_LUNA_MINUTES = {
    "SOL": "sol_s",
    "SOL_PER": "lps_s",
    "SPT": "spt_s",
    "TST": "tst_s",
    "WASO": "waso_s",
    "FWT": "terminal_wake_s",
    "REM_LAT": "rem_latency_s",
}
_LUNA_PERCENTS = {"SE": "efficiency_fraction", "SME": "maintenance_efficiency_fraction"}
_HYPNOFUNK_MINUTES = {
    "TRT": "recorded_s",
    "TST": "tst_s",
    "SOL": "sol_s",
    "W_duration": "wake_s",
    "N2_duration": "light_s",
    "N3_duration": "deep_s",
    "R_duration": "rem_s",
    "R_onset": "rem_latency_s",
}
_HYPNOFUNK_ONSETS = {"N2": "light_latency_s", "N3": "deep_latency_s"}


def of_pysleep(said: Mapping[str, Any]) -> dict[str, Any]:
    """Of a night with sleep: durations in seconds, moments as ISO 8601 in the statistics given."""
    onset = datetime.fromisoformat(said["sleep_time"])
    ends = [datetime.fromisoformat(moment) - onset for moment in said["sleep_cycle_time"][1:]]
    return (
        {ours: said[theirs] for theirs, ours in _PYSLEEP.items()}
        # A whole percent, and another one of the mending.
        | {ours: about(said[theirs], 0.015) for theirs, ours in _PYSLEEP_SHARES.items()}
        | {
            "onset_at": onset.timestamp(),
            "efficiency_fraction": about(said["sleep_efficiency"], 0.005),
        }
        | {"cycle_ends": [end.total_seconds() / 30 for end in ends]}
    )


def of_yasa(said: Mapping[str, Any]) -> dict[str, Any]:
    """Of a night with sleep, and of what it has stages for."""
    latency = said.get("Lat_REM")
    return (
        _in_seconds(said, _YASA_MINUTES)
        | _as_fractions(said, _YASA_PERCENTS)
        | {"fragmentation_index_per_h": about(said["SFI"], 1e-4)}
        | ({"rem_latency_s": latency and 60 * (latency - said["SOL"])} if "Lat_REM" in said else {})
    )


def transitions_of_yasa(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Of counts from and to a stage; a stage without any epoch may be missing."""
    names = {
        name: "SLEEP" if name == "light" and "SLEEP" in counts else name.upper() for name in STAGES
    }
    return {
        f"{a}_to_{b}": int(counts.get(names[a], {}).get(names[b], 0))
        for a in STAGES
        for b in STAGES
        if a != b
    }


def of_luna(said: Mapping[str, Any]) -> dict[str, Any]:
    """Of a night with sleep and without an unknown epoch."""
    return _in_seconds(said, _LUNA_MINUTES) | _as_fractions(said, _LUNA_PERCENTS)


def of_hypnofunk(said: Mapping[str, Any]) -> dict[str, Any]:
    """Of a night with sleep and without an unknown epoch."""
    onsets = {ours: said[f"{theirs}_onset"] for theirs, ours in _HYPNOFUNK_ONSETS.items()}
    return (
        _in_seconds(said, _HYPNOFUNK_MINUTES)
        | {"efficiency_fraction": about(said["Sleep_efficiency"] / 100, 1e-6)}
        | {ours: None if at is None else 60 * (at - said["SOL"]) for ours, at in onsets.items()}
    )


def about(value: float, tolerance: float) -> Any:
    """Equal to whatever is as near."""
    return pytest.approx(value, abs=tolerance + 1e-9)


def chosen(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Our columns of the statistics that are wanted."""
    return {name: row[name] for name in wanted}


def _in_seconds(said: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    known = {ours: said[theirs] for theirs, ours in names.items() if theirs in said}
    return {ours: None if value is None else 60 * value for ours, value in known.items()}


def _as_fractions(said: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {ours: about(said[name] / 100, 1e-6) for name, ours in names.items() if name in said}
