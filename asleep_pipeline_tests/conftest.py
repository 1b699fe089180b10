"""A small world for each test, and nothing of the surroundings in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from asleep_pipeline.lake import Lake
from asleep_pipeline_tests.small_world import SmallWorld, close, empty_lake, small_world


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
    copied = Lake.open(Path(copytree(empty_lake(2), tmp_path / "lake")))
    yield copied
    close(copied)
