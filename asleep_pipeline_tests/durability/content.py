"""What a data folder holds, but for the moments at which it was read: equal for equal worlds."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
from polars.testing import assert_frame_equal

from asleep_pipeline.lake import TABLES, Lake
from asleep_pipeline.warehouse.publish import PUBLISHED
from asleep_pipeline.warehouse.verify import differences

_WHEN = {"fetched_at", "listed_at", "quarantined_at", "created_at", "raw_rowid"}

Content = dict[str, pl.DataFrame]


def content_of(data_dir: Path) -> Content:
    """Every table of the lake and of the published file, but for the moments of reading."""
    lake = Lake.open(data_dir / "lake")
    path = data_dir / "asleep.duckdb"
    assert differences(lake, path) == {}
    content = {name: comparable(lake.frame(f"FROM lake.{name}")) for name in TABLES}
    # A run lists again what a killed one listed; what was said first is kept, news or not.
    content["raw"] = comparable(content["raw"].filter(pl.col("endpoint") != "list_sessions"))
    with duckdb.connect(str(path), read_only=True) as con:
        for table in PUBLISHED:
            frame = con.sql(f"FROM {table.name}").pl()
            content[f"published {table.name}"] = comparable(frame)
    return content


def comparable(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows in an order of their own, without the columns that tell when."""
    kept = frame.drop(_WHEN & set(frame.columns))
    return kept.with_columns(order=kept.hash_rows(seed=0)).sort("order").drop("order")


def assert_same(found: Content, expected: Content) -> None:
    """Every table holds the same rows."""
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame)
