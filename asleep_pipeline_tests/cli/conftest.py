"""The command line against a simulated API: three people, a week in the spring of 2025."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from shutil import copytree

import pytest
import structlog

from asleep_pipeline.simulator import Faults, RunningSimulator, SimulatorOptions, running
from asleep_pipeline_tests.cli.desk import END, START, Desk, new_desk

_WORLD = SimulatorOptions(
    people=3, seed=7, now=datetime(2025, 6, 1, 12, tzinfo=UTC), first_date=date(2025, 5, 20)
)


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    """A command's log goes to the stderr of its test, which is closed after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def simulator() -> Iterator[RunningSimulator]:
    with running(_WORLD) as server:
        yield server


@pytest.fixture
def faults(simulator: RunningSimulator) -> Iterator[Faults]:
    """The simulator's faults, switched off afterwards."""
    yield simulator.faults
    simulator.faults.become(Faults())


@pytest.fixture
def desk(tmp_path: Path, simulator: RunningSimulator) -> Desk:
    """A desk where nothing has been done yet."""
    return new_desk(tmp_path, simulator)


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory, simulator: RunningSimulator) -> Desk:
    """A desk with the dates loaded; tests leave it as it is."""
    desk = new_desk(tmp_path_factory.mktemp("loaded"), simulator)
    assert desk("users", "import", "roster.csv").code == 0
    assert desk("backfill", "--start", START, "--end", END).code == 0
    return desk


@pytest.fixture
def own(tmp_path: Path, loaded: Desk, simulator: RunningSimulator) -> Desk:
    """A copy of the loaded desk, to be changed."""
    copytree(loaded.folder, tmp_path / "own")
    return new_desk(tmp_path / "own", simulator)
