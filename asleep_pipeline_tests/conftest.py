"""A small world for each test, and nothing of the surroundings in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import HealthCheck, settings

from asleep_pipeline.lake import Lake
from asleep_pipeline_tests.small_world import SmallWorld, close, empty_lake, small_world

# A machine that is busy is no finding.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Let Dagster call backfill policies beta; the pinned range of versions has them."""
    config.addinivalue_line("filterwarnings", "ignore::dagster.BetaWarning")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallWorld]:
    """Three people with 21 dates of nights, one shard, and an empty lake."""
    # The pipeline sets it for its children; monkeypatch takes it back.
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with small_world(tmp_path / "data") as made:
        yield made


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """An empty lake of two shards, with zone rules."""
    yield from _copied_lake(tmp_path)


@pytest.fixture(scope="module")
def shared_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """As `lake`, for the tests of a module that keep to users of their own."""
    yield from _copied_lake(tmp_path_factory.mktemp("shared"))


def _copied_lake(folder: Path) -> Iterator[Lake]:
    copied = Lake.open(Path(copytree(empty_lake(2), folder / "lake")))
    yield copied
    close(copied)
