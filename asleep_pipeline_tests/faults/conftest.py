"""Faults by a seed: `FAULT_SEED=7 FAULT_ROUNDS=5 pytest -m faults`; fixed ones without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asleep_pipeline_tests.faults.company import Company, Process, company


def pytest_configure(config: pytest.Config) -> None:
    """The mark of everything here."""
    config.addinivalue_line("markers", "faults: faults of network, account, machine and data")


@pytest.fixture(scope="session")
def seed() -> int:
    """What all draws begin with."""
    return int(os.environ.get("FAULT_SEED", "1"))


@pytest.fixture(scope="session")
def rounds() -> int:
    """How many random mixes are tried."""
    return int(os.environ.get("FAULT_ROUNDS", "1"))


@pytest.fixture(scope="module")
def going(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[tuple[Company, Process]]:
    """A company with all of its past pulled, and the process that goes on pulling."""
    with (
        company(tmp_path_factory.mktemp("going"), seed=seed) as made,
        made.process() as process,
    ):
        assert "error" not in process.do("pull", made.now)
        yield made, process


@pytest.fixture
def own(tmp_path: Path, seed: int) -> Iterator[Company]:
    """A company of which nothing is pulled."""
    with company(tmp_path, seed=seed) as made:
        yield made
