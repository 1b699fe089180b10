"""One small world behind a real socket, and the backfill of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from asleep_pipeline.simulator import RunningSimulator, SimulatorOptions, running
from asleep_pipeline.zones.rules import zone_rules
from asleep_pipeline_tests.durability.backfill import NOW, Errand

ErrandTo = Callable[[Path], Errand]


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled recorder."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc) for the recorder")
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    source = Path(__file__).with_name("recorder.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def sim() -> Iterator[RunningSimulator]:
    """Six people who answer a little late, so that a process can be killed while it waits."""
    with running(SimulatorOptions(people=6, seed=11, now=NOW)) as simulator:
        simulator.faults.latency_s = 0.01
        yield simulator


@pytest.fixture(scope="module")
def errand_to(sim: RunningSimulator, tmp_path_factory: pytest.TempPathFactory) -> ErrandTo:
    """A function from a data folder to the errand of filling it."""
    folder = tmp_path_factory.mktemp("errand")
    sim.world.write_roster(folder / "roster.csv")
    roster = pl.read_csv(folder / "roster.csv").select("user_id", "org_id", "timezone")
    roster.write_parquet(folder / "roster.parquet")
    zone_rules().write_parquet(folder / "zone_rules.parquet")

    def errand(data_dir: Path) -> Errand:
        return Errand(
            base_url=sim.base_url,
            api_key=sim.api_key,
            roster=str(folder / "roster.parquet"),
            zone_rules=str(folder / "zone_rules.parquet"),
            data_dir=str(data_dir),
            chunk_answers=50,
        )

    return errand
