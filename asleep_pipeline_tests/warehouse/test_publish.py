"""The published file: true to the lake, cheap to bring up to date, and at home anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from shutil import copyfile
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from structlog.testing import capture_logs

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.maintenance import maintain
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.marts.tables import MARTS
from asleep_pipeline.warehouse.publish import LOAD_INFO, PUBLISHED
from asleep_pipeline.warehouse.verify import differences
from asleep_pipeline.warehouse.views.tables import VIEWS
from asleep_pipeline_tests.vendor_answers import USER, Mailbag, detail, list_item

NOW = datetime(2026, 2, 1, tzinfo=UTC)
NIGHTS = [f"202601{day:02}230000_aaaaa" for day in range(1, 9)]
VENV = Path(sys.prefix)


@pytest.fixture
def bag(lake: Lake) -> Mailbag:
    """A lake with one user, six nights, one broken detail and one month of averages."""
    return filled(lake)


@pytest.fixture(scope="module")
def published(shared_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of such a lake; only to be read."""
    path = tmp_path_factory.mktemp("published") / "asleep.duckdb"
    publish(filled(shared_lake).lake, path)
    return path


def filled(lake: Lake) -> Mailbag:
    """Put the content into an empty lake."""
    put_users(lake, pl.DataFrame({"user_id": [USER], "org_id": ["default"]}), now=NOW)
    bag = Mailbag(lake)
    items = [list_item(name) for name in NIGHTS[:6]]
    broken = detail(items[0], stat={"sleep_index": -1})
    bag.send(bag.listing(*items), bag.detail(items[0], broken), *(bag.detail(i) for i in items[1:]))
    bag.commit(bag.averages({"period": {"start_date": "2026-01-01", "end_date": "2026-01-31"}}))
    normalise_averages(lake, shard=0)
    return bag


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file goes."""
    return tmp_path / "data" / "asleep.duckdb"


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """The answer of one query to a published file."""
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


def tables(path: Path) -> dict[str, pl.DataFrame]:
    """Every published table but `load_info`, in the order of its key."""
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        return {t.name: con.sql(f"FROM {t.name}").pl().sort(t.key) for t in PUBLISHED}


def assert_same(path: Path, other: Path) -> None:
    """Two files hold the same."""
    for (name, frame), expected in zip(tables(path).items(), tables(other).values(), strict=True):
        assert frame.height > 0, name
        assert_frame_equal(frame, expected)


def test_what_changed_is_published_and_equals_a_full_build(
    bag: Mailbag, path: Path, tmp_path: Path
) -> None:
    """New, changed and deleted sessions and averages flow; the cost is that of the change."""
    assert publish(bag.lake, path).is_full
    items = [list_item(name) for name in NIGHTS[1:7]]
    changed = detail(items[2], stat={"time_in_sleep": 1})
    bag.send(bag.listing(*items), bag.detail(items[2], changed), bag.detail(items[-1]))
    report = publish(bag.lake, path)
    assert not report.is_full
    assert report.rows["sessions"] == 6
    assert {t.name: report.rows_changed[t.name] for t in PUBLISHED} == {
        "users": 0,
        "sessions": 2,
        "average_stats": 0,
        "quarantine": 0,
        "tz_rules": 0,
    }
    bag.send(bag.detail(items[0], detail(items[0], stat={"sleep_index": 101})))
    publish(bag.lake, path)
    whole = tmp_path / "whole" / "asleep.duckdb"
    assert publish(bag.lake, whole, from_scratch=True).is_full
    assert_same(path, whole)
    assert differences(bag.lake, path) == {}
    assert ask(path, f"SELECT time_in_sleep FROM sessions WHERE session_id = '{NIGHTS[3]}'") == [
        (1,)
    ]


def test_publishing_without_news_writes_no_row(bag: Mailbag, path: Path) -> None:
    """And the file says which snapshot it equals."""
    publish(bag.lake, path)
    report = publish(bag.lake, path)
    assert set(report.rows_changed.values()) == {0}
    info = ask(path, "SELECT DISTINCT lake_snapshot, rows_changed FROM load_info")
    assert info == [(bag.lake.snapshot_id(), 0)]


def test_a_copy_works_anywhere(published: Path, tmp_path: Path) -> None:
    """The file holds no path, and is one file."""
    assert not published.with_name(f"{published.name}.wal").exists()
    assert str(published.parent.parent).encode() not in published.read_bytes()
    copy = Path(copyfile(published, tmp_path / "elsewhere.duckdb"))
    assert ask(copy, "SELECT count(*) FROM fct_epoch") == [(5 * 840,)]


def test_every_table_and_column_says_what_it_is(published: Path) -> None:
    """Units and meaning stand in the database itself, views included."""
    silent = ask(
        published,
        """
        SELECT table_name, column_name FROM duckdb_columns()
        WHERE NOT internal AND comment IS NULL
        UNION ALL SELECT table_name, NULL FROM duckdb_tables() WHERE comment IS NULL
        UNION ALL SELECT view_name, NULL FROM duckdb_views() WHERE NOT internal AND comment IS NULL
        """,
    )
    assert silent == []
    latency = """
        SELECT comment FROM duckdb_columns()
        WHERE table_name = 'sessions' AND column_name = 'sleep_latency'
    """
    assert ask(published, latency) == [("Session start to sleep onset [s]",)]


def test_internal_columns_are_not_published(published: Path) -> None:
    """Analysts see no shard and no hash."""
    names = {row[0] for row in ask(published, "SELECT column_name FROM (DESCRIBE sessions)")}
    assert not names & {"shard", "list_hash", "detail_sha256"}


def test_epochs_are_one_row_for_30_seconds(published: Path) -> None:
    """Numbered from 0, each with its instant and its stages; NULL where a series was not measured."""
    rows = ask(
        published,
        f"""
        SELECT epoch, epoch_at AT TIME ZONE 'UTC', sleep_stage, breath_stage FROM fct_epoch
        WHERE session_id = '{NIGHTS[2]}' AND epoch IN (0, 19, 20, 839) ORDER BY epoch
        """,
    )
    start = datetime(2026, 1, 3, 23)  # noqa: DTZ001 - DuckDB gives naive UTC
    assert rows == [
        (epoch, start + timedelta(seconds=30 * epoch), stage, None)
        for epoch, stage in ((0, 0), (19, 0), (20, 1), (839, 1))
    ]


@pytest.mark.parametrize("column", ["session_id", "user_id", "night_date"])
def test_epochs_of_one_session_cost_one_session(published: Path, column: str) -> None:
    """The filter is applied before the arrays are unfolded."""
    value = {"night_date": "2026-01-04", "user_id": USER}.get(column, NIGHTS[2])
    with duckdb.connect(str(published), read_only=True) as con:
        rows = con.execute(f"EXPLAIN SELECT * FROM fct_epoch WHERE {column} = '{value}'").fetchall()
    plan = rows[0][1]
    assert plan.index("UNNEST") < plan.index(f"{column}=")


def test_a_reader_keeps_its_data_and_a_new_one_sees_the_new(bag: Mailbag, path: Path) -> None:
    """A publication neither waits for nor disturbs whoever has the file open."""
    publish(bag.lake, path)
    count = "SELECT count(*) FROM sessions"
    with duckdb.connect(str(path), read_only=True) as reader:
        assert reader.execute(count).fetchall() == [(6,)]
        bag.send(bag.listing(*(list_item(name) for name in NIGHTS)))
        publish(bag.lake, path)
        assert reader.execute(count).fetchall() == [(6,)]
        assert in_another_process(path, count) == [[8]]


@pytest.mark.parametrize("damage", [b"", b"this is no database"])
def test_a_damaged_working_file_is_built_anew(bag: Mailbag, path: Path, damage: bytes) -> None:
    """It is only a copy of the lake."""
    publish(bag.lake, path)
    working = path.parent / "warehouse" / "working.duckdb"
    working.write_bytes(damage)
    assert publish(bag.lake, path).is_full
    assert differences(bag.lake, path) == {}


def test_a_build_is_made_without_the_limit_of_memory_where_that_is_too_low(
    bag: Mailbag, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit saves memory, and costs nobody a publication."""
    module = import_module("asleep_pipeline.warehouse.publish")
    monkeypatch.setattr(module, "_BUILD_MEMORY", "1MiB")
    with capture_logs() as lines:
        assert publish(bag.lake, path).is_full
    assert [line["event"] for line in lines] == ["working file discarded"]
    assert differences(bag.lake, path) == {}


def test_what_a_killed_publication_swapped_out_is_removed(bag: Mailbag, path: Path) -> None:
    """DuckDB leaves a folder beside the working file when it is killed while it swaps."""
    publish(bag.lake, path)
    swapped = path.parent / "warehouse" / "working.duckdb.tmp"
    swapped.mkdir()
    (swapped / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"rows")
    assert publish(bag.lake, path, from_scratch=True).is_full
    assert not swapped.exists()


def test_a_build_that_was_interrupted_begins_anew(
    bag: Mailbag, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is committed in parts, and none of them counts before the last."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    module = import_module("asleep_pipeline.warehouse.publish")
    with monkeypatch.context() as patched:
        patched.setattr(module, "refresh_marts", interrupted)
        with pytest.raises(KeyboardInterrupt):
            publish(bag.lake, path)
    assert not path.exists()
    assert publish(bag.lake, path).is_full
    whole = tmp_path / "whole" / "asleep.duckdb"
    publish(bag.lake, whole)
    assert_same(path, whole)


def test_a_session_that_moves_far_is_found_at_its_new_date(
    bag: Mailbag, path: Path, tmp_path: Path
) -> None:
    """Only files of the dates that changed are opened: those before the change and after it."""
    publish(bag.lake, path)
    with bag.lake.write("a session moves") as con:
        con.execute(
            "UPDATE lake.sessions SET start_date = start_date - 400 WHERE session_id = $1",
            [NIGHTS[2]],
        )
    assert publish(bag.lake, path).rows_changed["sessions"] == 1
    whole = tmp_path / "whole" / "asleep.duckdb"
    publish(bag.lake, whole)
    assert_same(path, whole)


def test_a_working_file_of_an_expired_snapshot_is_built_anew(bag: Mailbag, path: Path) -> None:
    """The changes since are not all known any more."""
    publish(bag.lake, path)
    bag.send(bag.listing())
    maintain(bag.lake, now=datetime.now(UTC) + timedelta(days=30))
    report = publish(bag.lake, path)
    assert report.is_full
    assert report.rows["sessions"] == 0


def test_a_lake_that_was_replaced_is_published_anew(bag: Mailbag, path: Path) -> None:
    """Its snapshots have the same numbers, but another content."""
    publish(bag.lake, path)
    with duckdb.connect(str(path.parent / "warehouse" / "working.duckdb")) as con:
        con.execute("UPDATE load_info SET snapshot_at = snapshot_at - INTERVAL 1 HOUR")
    assert publish(bag.lake, path).is_full


def test_a_place_that_cannot_be_written_is_named(bag: Mailbag, tmp_path: Path) -> None:
    """With what to do; no half file is left."""
    occupied = tmp_path / "asleep.duckdb"
    occupied.mkdir()
    with pytest.raises(WarehouseError, match=r"asleep\.duckdb") as caught:
        publish(bag.lake, occupied)
    assert caught.value.fix
    assert not occupied.with_name("asleep.duckdb.unfinished").exists()


def test_a_difference_from_the_lake_is_found(bag: Mailbag, path: Path) -> None:
    """Rows that somebody deleted from the published file do not go unnoticed."""
    publish(bag.lake, path)
    with duckdb.connect(str(path)) as con:
        con.execute(f"DELETE FROM sessions WHERE session_id = '{NIGHTS[0]}'")
    assert differences(bag.lake, path) == {"sessions": [5, 6]}


@pytest.mark.parametrize("release", ["1.4", "2"])
def test_the_file_opens_in_other_releases_of_duckdb(published: Path, release: str) -> None:
    """Tables, comments, arrays, marts, views and macros answer as they do here."""
    folder = VENV / f"duckdb-{release}"
    if not folder.is_dir():
        pytest.skip(f"DuckDB {release} is not in {folder}; `make test` installs it")
    queries = (
        f"SELECT count(*), max(sleep_stage) FROM fct_epoch WHERE session_id = '{NIGHTS[1]}'",
        "SELECT count(*), sum(len(sleep_stages)) FROM sessions",
        "SELECT count(*) FROM duckdb_columns() WHERE comment IS NOT NULL AND table_name = 'users'",
        "SELECT duration_text(tst_s), clock_text(bed_min) FROM fct_night ORDER BY night_date",
        *(f"SELECT count(*) FROM {t.name}" for t in (*PUBLISHED, *MARTS, *VIEWS, LOAD_INFO)),
    )
    for sql in queries:
        assert in_another_process(published, sql, folder) == [
            list(row) for row in ask(published, sql)
        ]
    version = in_another_process(published, "SELECT version()", folder)
    assert str(version[0][0]).startswith(f"v{release}.")


def in_another_process(path: Path, sql: str, folder: Path | None = None) -> list[list[Any]]:
    """Ask in a process of its own, which may have another DuckDB in a folder."""
    code = (
        "import duckdb, json, sys\n"
        "con = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print(json.dumps(con.execute(sys.argv[2]).fetchall(), default=float))\n"
    )
    environment = os.environ | ({"PYTHONPATH": str(folder)} if folder else {})
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), sql],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: list[list[Any]] = json.loads(done.stdout)
    return answer


def test_dates_and_instants_survive(published: Path) -> None:
    """A night's dates and its instants are those of the lake."""
    rows = ask(
        published,
        f"""
        SELECT night_date, started_at AT TIME ZONE 'UTC', started_at_local FROM sessions
        WHERE session_id = '{NIGHTS[0]}'
        """,
    )
    start = datetime(2026, 1, 1, 23)  # noqa: DTZ001 - DuckDB gives naive UTC
    assert rows == [(date(2026, 1, 2), start, start + timedelta(hours=9))]
