"""The story's published file, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from asleep_pipeline_tests.reports.story import opened, publish_story


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file; tests only read it."""
    return publish_story(tmp_path_factory.mktemp("story"))


@pytest.fixture
def con(story: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to it."""
    with opened(story) as connection:
        yield connection
