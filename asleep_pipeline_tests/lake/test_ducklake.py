"""The lake: made once, opened anywhere, written as a whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from asleep_pipeline.errors import ConfigurationError, LakeError
from asleep_pipeline.lake import TABLES, Lake
from asleep_pipeline.lake.ducklake import delete_keys, insert
from asleep_pipeline.lake.engine import connect
from asleep_pipeline.lake.tables import QUARANTINE, RAW
from asleep_pipeline.lake.users import put_users
from asleep_pipeline_tests.lake.conftest import NOW, SHARDS, close, raw_answers, roster

WRITER = """
import sys
from pathlib import Path
import polars as pl
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import put_users
from asleep_pipeline_tests.lake.conftest import NOW, roster

lake = Lake.create(Path(sys.argv[1]), shards=2)
for n in range(5):
    put_users(lake, roster(f"{sys.argv[2]}-{n}"), now=NOW)
"""

# A limit on the size of files stands for the end of the disk.
FULL_DISK = """
import resource, sys
from pathlib import Path
from asleep_pipeline.errors import LakeError
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import put_users
from asleep_pipeline_tests.lake.conftest import NOW, roster

lake = Lake.open(Path(sys.argv[1]))
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, most))
try:
    put_users(lake, roster(*(f"user-{n**9}" for n in range(50_000))), now=NOW)
except LakeError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
put_users(lake, roster("small"), now=NOW)
"""

QUARANTINE_EMPTY = pl.DataFrame(schema=QUARANTINE.schema)


def user_ids(lake: Lake) -> list[str]:
    """Everyone on the roster, in order."""
    return lake.frame("SELECT user_id FROM lake.users ORDER BY ALL")["user_id"].to_list()


def quarantined(session_id: str | None, rule: str) -> pl.DataFrame:
    """One row of quarantine."""
    row = {
        "shard": 0,
        "partition_date": NOW.date(),
        "endpoint": "list_sessions",
        "user_id": "u1",
        "session_id": session_id,
        "rule": rule,
        "quarantined_at": NOW,
    }
    return pl.DataFrame([row], schema={name: QUARANTINE.schema[name] for name in row})


def test_creating_a_lake_again_opens_it(lake: Lake) -> None:
    """What is in it stays."""
    put_users(lake, roster("u1"), now=NOW)
    again = Lake.create(lake.root, shards=SHARDS)
    assert again == lake
    assert user_ids(again) == ["u1"]


def test_another_number_of_shards_is_refused(lake: Lake) -> None:
    """The message names both numbers and the setting."""
    with pytest.raises(ConfigurationError) as refused:
        Lake.create(lake.root, shards=8)
    assert "made with 2 shards, the settings say 8" in refused.value.problem
    assert "ASLEEP_SHARDS=2" in refused.value.fix


def test_opening_without_a_number_takes_the_lakes_own(lake: Lake) -> None:
    """The lake knows how many shards it has."""
    assert Lake.open(lake.root).shards == SHARDS


def test_a_lake_that_is_not_there_is_an_error_with_a_fix(tmp_path: Path) -> None:
    """Opening never makes one."""
    with pytest.raises(LakeError, match="There is no lake at") as missing:
        Lake.open(tmp_path / "lake")
    assert "users import" in missing.value.fix
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("content", [b"", b"not a database at all", b"SQLite format 3\0" * 400])
def test_an_unreadable_catalog_is_an_error_with_a_fix(tmp_path: Path, content: bytes) -> None:
    """Whatever stands in the catalog file, the error is ours."""
    (tmp_path / "catalog.sqlite").write_bytes(content)
    with pytest.raises(LakeError) as unreadable:
        Lake.open(tmp_path)
    assert str(tmp_path) in unreadable.value.problem
    assert unreadable.value.fix
    assert (tmp_path / "catalog.sqlite").read_bytes() == content


def test_a_lake_of_a_later_release_is_left_alone(lake: Lake) -> None:
    """An old release does not write into tables that it does not know."""
    with lake.write("a later release") as con:
        con.execute("UPDATE lake.lake_info SET format_version = 99")
    with pytest.raises(LakeError, match="format 99"):
        Lake.open(lake.root)


def test_a_moved_folder_opens_and_takes_writes(lake: Lake, tmp_path: Path) -> None:
    """The catalog's memory of where the files were does not matter."""
    put_users(lake, roster("u1"), now=NOW)
    moved = lake.root.rename(tmp_path / "it's moved, größer")
    elsewhere = Lake.open(moved)
    put_users(elsewhere, roster("u2"), now=NOW)
    assert user_ids(elsewhere) == ["u1", "u2"]
    assert not lake.root.exists()


def test_a_lake_can_be_named_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found again when the working folder is another."""
    monkeypatch.chdir(tmp_path)
    put_users(Lake.create(Path("data/lake"), shards=SHARDS), roster("u1"), now=NOW)
    monkeypatch.chdir("/")
    assert user_ids(Lake.open(tmp_path / "data" / "lake")) == ["u1"]


def test_an_error_within_a_write_undoes_all_of_it(lake: Lake) -> None:
    """No table keeps a part, and the next writer finds the lock free."""
    before = lake.snapshot_id()
    with pytest.raises(ZeroDivisionError), lake.write("half done") as con:  # noqa: PT012 - the block is the test
        con.execute("DELETE FROM lake.lake_info")
        insert(con, RAW, raw_answers("u1", "a"))
        raise ZeroDivisionError
    assert lake.snapshot_id() == before
    assert lake.frame("FROM lake.raw").is_empty()
    put_users(lake, roster("u1"), now=NOW)
    assert user_ids(lake) == ["u1"]


def test_a_row_without_a_required_value_is_refused(lake: Lake) -> None:
    """NOT NULL holds, and nothing of the write stays."""
    with pytest.raises(Exception, match="NOT NULL"), lake.write("no user") as con:
        insert(con, RAW, raw_answers("u1", "a").with_columns(user_id=pl.lit(None, pl.String)))
    assert lake.frame("FROM lake.raw").is_empty()


def test_two_processes_make_and_write_one_lake_at_once(tmp_path: Path) -> None:
    """They take turns; none is refused and nothing is lost."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "lake")]
    writers = [subprocess.Popen([*command, name]) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    lake = Lake.open(tmp_path / "lake")
    assert user_ids(lake) == [f"{name}-{n}" for name in "ab" for n in range(5)]
    close(lake)


def test_a_full_disk_is_an_error_with_a_fix(lake: Lake) -> None:
    """Nothing of the write stays, and the same process can write again once there is room."""
    command = [sys.executable, "-c", FULL_DISK, str(lake.root)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "cannot be written" in told
    assert "free space" in told
    assert user_ids(lake) == ["small"]


def test_a_read_sees_one_snapshot_while_others_commit(lake: Lake) -> None:
    """What was there at its beginning, until its end."""
    put_users(lake, roster("u1"), now=NOW)
    with lake.read() as con:
        first = con.execute("SELECT count(*) FROM lake.users").fetchall()
        put_users(lake, roster("u2"), now=NOW)
        assert con.execute("SELECT count(*) FROM lake.users").fetchall() == first == [(1,)]
    assert user_ids(lake) == ["u1", "u2"]


def test_a_snapshot_can_be_read_later(lake: Lake) -> None:
    """Time travel, by the number that `snapshot_id` gave."""
    put_users(lake, roster("u1"), now=NOW)
    then = lake.snapshot_id()
    put_users(lake, roster("u2"), now=NOW)
    with lake.read_at(then) as con:
        assert con.execute("SELECT user_id FROM lake.users").fetchall() == [("u1",)]


def test_a_snapshot_that_never_was_is_an_error(lake: Lake) -> None:
    """The error is ours and names the lake."""
    with pytest.raises(LakeError, match="cannot be opened"), lake.read_at(999):
        pass


def test_a_snapshot_says_why_it_was_made(lake: Lake) -> None:
    """The reason given to `write` stands in the lake's history."""
    with lake.write("because") as con:
        insert(con, RAW, raw_answers("u1", "a"))
    history = lake.frame("SELECT author, commit_message FROM ducklake_snapshots('lake')")
    assert history.row(-1) == ("asleep-pipeline", "because")


def test_inserting_fills_missing_columns_with_null(lake: Lake) -> None:
    """A frame may lack columns and have them in any order; an empty one is no commit's business."""
    with lake.write("some") as con:
        insert(con, QUARANTINE, quarantined("s1", "r1").select(pl.all().reverse()))
        insert(con, QUARANTINE, QUARANTINE_EMPTY)
    assert lake.frame("SELECT session_id, value FROM lake.quarantine").rows() == [("s1", None)]


def test_deleting_by_key_finds_null_too(lake: Lake) -> None:
    """NULL is a value of a key like any other."""
    with lake.write("three") as con:
        for session_id, rule in ((None, "r1"), ("s1", "r1"), (None, "r2")):
            insert(con, QUARANTINE, quarantined(session_id, rule))
    with lake.write("one less") as con:
        delete_keys(con, QUARANTINE, quarantined(None, "r1").select("session_id", "rule"))
        delete_keys(con, QUARANTINE, QUARANTINE_EMPTY.select("session_id"))
    left = lake.frame("SELECT session_id, rule FROM lake.quarantine ORDER BY rule").rows()
    assert left == [("s1", "r1"), (None, "r2")]


def test_every_table_and_column_is_commented(lake: Lake) -> None:
    """With the description and the unit that stand in `TABLES`."""
    with lake.read() as con:
        tables = con.execute(
            "SELECT table_name, comment FROM duckdb_tables() WHERE database_name = 'lake'"
        ).fetchall()
        columns = con.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() "
            "WHERE database_name = 'lake'"
        ).fetchall()
    assert dict(tables) == {t.name: t.description for t in TABLES.values()}
    assert set(columns) == {(t.name, c.name, c.comment) for t in TABLES.values() for c in t.columns}


def test_every_type_survives_the_lake(lake: Lake) -> None:
    """A frame of a table's schema comes back with the same types, for every table."""
    for name, table in TABLES.items():
        inserted = ", ".join(c.name for c in table.columns if not c.filled_in)
        assert lake.frame(f"SELECT {inserted} FROM lake.{name}").schema == table.schema, name


def test_files_are_zstd(lake: Lake) -> None:
    """The compression that the lake was made with holds for its files."""
    put_users(lake, roster("u1"), now=NOW)
    with connect() as con:
        found = con.execute(
            "SELECT DISTINCT compression FROM parquet_metadata($1)",
            [str(lake.data_path / "main" / "users" / "*.parquet")],
        ).fetchall()
    assert found == [("ZSTD",)]
