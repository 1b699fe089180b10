"""The tale's published file, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline_tests.dashboard.tale import publish_tale


@pytest.fixture(scope="session")
def tale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file; tests only read it."""
    return publish_tale(tmp_path_factory.mktemp("tale"))


@pytest.fixture
def con(tale: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to it."""
    with read_warehouse(tale) as connection:
        yield connection
