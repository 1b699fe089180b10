"""The main job on real input: recorded nights, from the simulator to the table."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path

import pytest

from asleep_pipeline_tests.small_world import TODAY, small_world

SLEEP_DATA = Path(__file__).resolve().parents[3] / "shared" / "sleep-data"


@pytest.mark.skipif(not SLEEP_DATA.is_dir(), reason="../shared/sleep-data is not here")
def test_stored_statistics_of_real_nights_equal_the_reference(tmp_path: Path) -> None:
    """Every recording without an unknown epoch has what the vendor's own calculator says of it."""
    with (SLEEP_DATA / "oracles" / "night_statistics.csv").open(encoding="utf-8") as file:
        references = {
            row["session_id"]: _numbers(row)
            for row in csv.DictReader(file)
            if row["pysleep_time_in_sleep_s"]
        }
    assert len(references) == 166
    with small_world(tmp_path, recordings=SLEEP_DATA / "hypnograms.parquet") as world:
        # One person's two nights are three months apart.
        world.load(TODAY - timedelta(days=89), TODAY)
        stored = {
            world.sim.world.recording_of(session_id): row
            for (_, session_id), row in world.stored().items()
        }
    assert len(stored) == 267
    for recording, numbers in references.items():
        said = {name: stored[recording][name] for name in numbers}
        # The API's mean cycle is a whole number of seconds.
        assert said == pytest.approx(numbers, abs=0.5), recording
        del numbers["sleep_cycle"], said["sleep_cycle"]
        assert said == numbers


def _numbers(row: dict[str, str]) -> dict[str, float | None]:
    return {
        name.removeprefix("pysleep_").removesuffix("_s"): float(text) if text else None
        for name, text in row.items()
        if name.startswith("pysleep_")
    }
