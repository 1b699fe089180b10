"""A lake of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Any

import polars as pl
import pytest

from asleep_pipeline.extract.answers import raw_row
from asleep_pipeline.lake import Lake, ducklake
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.lake.users import LakeUser

SHARDS = 2
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a new lake, to be copied."""
    lake = Lake.create(tmp_path_factory.mktemp("empty") / "lake", shards=SHARDS)
    close(lake)
    return lake.root


@pytest.fixture
def lake(empty_lake: Path, tmp_path: Path) -> Iterator[Lake]:
    """An empty lake of the test's own."""
    copied = Lake.open(Path(copytree(empty_lake, tmp_path / "lake")))
    yield copied
    close(copied)


def close(lake: Lake) -> None:
    """Let go of the lake's files, which a process keeps open for as long as it lives."""
    ducklake._attached(lake).close()
    ducklake._attached.cache_clear()


def roster(*user_ids: str, **more: Any) -> pl.DataFrame:
    """Users of one organisation."""
    return pl.DataFrame({"user_id": user_ids}).with_columns(
        pl.lit("default").alias("org_id"), **{name: pl.lit(value) for name, value in more.items()}
    )


def raw_answers(user_id: str, *bodies: str, endpoint: str = "get_session") -> pl.DataFrame:
    """Answers about one user."""
    user = LakeUser(user_id, "default", None)
    rows = [
        raw_row(
            user,
            endpoint,
            shards=SHARDS,
            partition_date=NOW.date(),
            body=body.encode(),
            fetched_at=NOW,
        )
        for body in bodies
    ]
    return pl.DataFrame(rows, schema=RAW.schema)
