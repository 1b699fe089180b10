"""Exporting: a folder that polars, pyarrow and DuckDB read as it stands."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset as ds  # type: ignore[import-untyped]
import pytest

from asleep_pipeline.errors import UsageError, WarehouseError
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.export import EXPORTABLE, export_parquet
from asleep_pipeline.warehouse.marts.tables import MARTS, PARAMETERS
from asleep_pipeline_tests.small_world import FIRST, SmallWorld


@pytest.fixture
def warehouse(world: SmallWorld, tmp_path: Path) -> Path:
    """A published file with three weeks of nights."""
    world.load(FIRST, world.today)
    publish(world.lake, path := tmp_path / "asleep.duckdb")
    return path


def test_every_tool_reads_the_same_rows(warehouse: Path, tmp_path: Path) -> None:
    """Rows, instants, stages and columns are those of the published table, in three readers."""
    folder = tmp_path / "out"
    rows = export_parquet(warehouse, folder, tables=EXPORTABLE)
    with duckdb.connect(str(warehouse), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        wanted = con.execute("SELECT * FROM sessions ORDER BY user_id, started_at").pl()
        epochs = con.execute("SELECT count(*) FROM fct_epoch").fetchall()[0][0]
    by_polars = pl.read_parquet(folder / "sessions" / "*.parquet")
    assert by_polars.sort("user_id", "started_at").equals(wanted)
    assert ds.dataset(folder / "sessions").to_table().column_names == wanted.columns
    (by_duckdb,) = duckdb.sql(f"SELECT count(*) FROM '{folder}/sessions/*.parquet'").fetchall()
    assert by_duckdb == (wanted.height,)
    assert (
        rows["fct_epoch"]
        == epochs
        == pl.scan_parquet(folder / "fct_epoch").select(pl.len()).collect().item()
    )
    assert pl.read_parquet(folder / "users.parquet").height == rows["users"] == 3


def test_sessions_lie_in_months(warehouse: Path, tmp_path: Path) -> None:
    """One file a month of the start date, and epochs only when they are asked for."""
    export_parquet(warehouse, tmp_path / "out")
    inside = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.parquet")}
    assert {"sessions/2026-04.parquet", "users.parquet", "load_info.parquet"} < inside
    assert not [name for name in inside if "epoch" in name]


def test_marts_are_exported(warehouse: Path, tmp_path: Path) -> None:
    """Each as it is published, lists and nested values included."""
    rows = export_parquet(warehouse, tmp_path / "out")
    with duckdb.connect(str(warehouse), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        for table in (*MARTS, PARAMETERS):
            wanted = con.execute(f"FROM {table.name}").pl()
            assert pl.read_parquet(tmp_path / "out" / f"{table.name}.parquet").equals(wanted)
            assert rows[table.name] == wanted.height
    assert rows["fct_night"] > 0


def test_epochs_lie_in_months(warehouse: Path, tmp_path: Path) -> None:
    """As the sessions that they belong to."""
    export_parquet(warehouse, tmp_path / "out", tables=["fct_epoch"])
    assert [path.name for path in (tmp_path / "out" / "fct_epoch").iterdir()] == ["2026-04.parquet"]


def test_an_earlier_export_is_replaced(warehouse: Path, tmp_path: Path) -> None:
    """A table that is not exported any more does not linger, and nothing is left beside."""
    folder = tmp_path / "out"
    export_parquet(warehouse, folder, tables=EXPORTABLE)
    export_parquet(warehouse, folder, tables=["users"])
    assert {path.name for path in folder.iterdir()} == {"users.parquet", "load_info.parquet"}
    assert list(tmp_path.glob("out.*")) == []


@pytest.mark.parametrize("name", ["notes.txt", "users.parquet", "sessions/notes.txt"])
def test_other_files_are_never_touched(warehouse: Path, tmp_path: Path, name: str) -> None:
    """A folder that is not wholly an earlier export is refused and stays as it is."""
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="no earlier export"):
        export_parquet(warehouse, tmp_path / "out")
    assert file.read_text(encoding="utf-8") == "mine"


def test_failed_export_leaves_the_earlier_one(warehouse: Path, tmp_path: Path) -> None:
    """A damaged file is told by name; what was exported before stays."""
    folder = tmp_path / "out"
    export_parquet(warehouse, folder)
    (damaged := tmp_path / "damaged.duckdb").write_bytes(b"no database" * 100)
    with pytest.raises(WarehouseError, match=r"damaged\.duckdb"):
        export_parquet(damaged, folder)
    assert pl.read_parquet(folder / "users.parquet").height == 3


def test_lake_without_a_session(world: SmallWorld, tmp_path: Path) -> None:
    """An empty table still says which columns it has."""
    publish(world.lake, path := tmp_path / "asleep.duckdb")
    assert export_parquet(path, tmp_path / "out")["sessions"] == 0
    empty = pl.read_parquet(tmp_path / "out" / "sessions" / "*.parquet")
    assert "sleep_stages" in empty.columns
