"""After a power cut, with only synced writes left, the lake holds every commit that was reported."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from asleep_pipeline.errors import AsleepPipelineError
from asleep_pipeline.lake import TABLES, Lake
from asleep_pipeline.lake.engine import connect
from asleep_pipeline_tests.durability.backfill import SHARDS
from asleep_pipeline_tests.durability.conftest import ErrandTo
from asleep_pipeline_tests.durability.content import assert_same, content_of
from asleep_pipeline_tests.durability.powercut import (
    Disk,
    Record,
    Survival,
    contents,
    read_log,
    recorded_in,
)

RANDOM_CUTS = {Survival.STRICT: 30, Survival.TORN: 10, Survival.NAMES: 10}


@dataclass(frozen=True, slots=True)
class Recording:
    """What a process did to the folder `root`."""

    root: Path
    records: list[Record]

    @property
    def reports(self) -> list[int]:
        """Right after which records something was reported."""
        return [n for n, record in enumerate(self.records) if record.op == "N"]


@pytest.fixture(scope="module")
def recording(
    recorder: Path, errand_to: ErrandTo, tmp_path_factory: pytest.TempPathFactory
) -> Recording:
    """A whole backfill."""
    return record(recorder, errand_to, tmp_path_factory.mktemp("recorded"))


def record(recorder: Path, errand_to: ErrandTo, folder: Path, *options: str) -> Recording:
    """Run the backfill below the recorder."""
    root, log = folder / "root", folder / "log"
    root.mkdir()
    # Snapshots and files have aged enough for maintenance to do all that it can do.
    errand = replace(errand_to(root / "data"), days_later=30)
    command = errand.command("recorded", *options)
    subprocess.run(
        command, check=True, env=recorded_in(recorder, root, log), stdout=subprocess.DEVNULL
    )
    return Recording(root, read_log(log))


def test_the_recorder_misses_no_change(recording: Recording, tmp_path: Path) -> None:
    """A replay without any loss makes the folder as it is, so no system call went unseen."""
    disk = Disk(recording.root)
    for change in recording.records:
        disk.replay(change)
    disk.cut(tmp_path / "replayed", Survival.ALL)
    assert contents(tmp_path / "replayed") == contents(recording.root)


@pytest.mark.parametrize("survival", RANDOM_CUTS)
def test_what_was_reported_survives_a_power_cut(
    recording: Recording, survival: Survival, tmp_path: Path
) -> None:
    """At every cut the lake opens with all that was reported, and the published file is whole."""
    cuts = cut_points(recording, survival)
    assert list(losses(recording, cuts, survival, tmp_path)) == []
    print(f"{survival.name}: {len(cuts)} cuts in {len(recording.records)} changes")  # noqa: T201 - figures to read


def test_a_backfill_goes_on_after_a_power_cut(
    recording: Recording, errand_to: ErrandTo, tmp_path: Path
) -> None:
    """Run again on what a cut in the middle left, it ends with the content of an undisturbed run."""
    disk = Disk(recording.root)
    for change in recording.records[: recording.reports[len(recording.reports) // 2] - 1]:
        disk.replay(change)
    disk.cut(tmp_path / "left", Survival.STRICT)
    subprocess.run(errand_to(tmp_path / "left" / "data").command("backfill"), check=True)
    assert_same(content_of(tmp_path / "left" / "data"), content_of(recording.root / "data"))


def test_without_syncing_files_a_power_cut_loses_commits(
    recorder: Path, errand_to: ErrandTo, tmp_path: Path
) -> None:
    """The counter-proof: the same replay finds the losses when `Lake.write` does not sync."""
    careless = record(recorder, errand_to, tmp_path, "without-sync")
    lost = list(losses(careless, careless.reports, Survival.STRICT, tmp_path))
    assert any("parquet" in loss for loss in lost), lost


def cut_points(recording: Recording, survival: Survival) -> list[int]:
    """Right after every report, and at random changes between."""
    changes = range(len(recording.records))
    anywhere = random.Random(survival.name).sample(changes, RANDOM_CUTS[survival])
    return sorted({*recording.reports, *anywhere})


def losses(
    recording: Recording, cuts: Sequence[int], survival: Survival, folder: Path
) -> Iterator[str]:
    """What is missing or unreadable after each cut."""
    disk = Disk(recording.root)
    done = 0
    # One engine for all: loading its extensions takes longer than judging a cut.
    with connect() as engine:
        for cut in cuts:
            for change in recording.records[done : cut + 1]:
                disk.replay(change)
            done = cut + 1
            left = folder / f"cut-{cut}"
            disk.cut(left, survival)
            reports = [json.loads(note) for note in disk.notes]
            for loss in losses_in(engine, left / "data", reports):
                yield f"cut {cut}: {loss}"
            shutil.rmtree(left)


def losses_in(
    engine: duckdb.DuckDBPyConnection, data_dir: Path, reports: Sequence[dict[str, Any]]
) -> Iterator[str]:
    """What one folder lacks of what was reported."""
    commits = [report for report in reports if "snapshot" in report]
    published = [report for report in reports if "published" in report]
    try:
        if commits or (data_dir / "lake" / "catalog.sqlite").exists():
            Lake(data_dir / "lake", SHARDS).attach(engine)
            with engine.cursor() as con:
                con.execute("BEGIN")
                yield from _losses_in_lake(con, commits)
        if published or (data_dir / "asleep.duckdb").exists():
            yield from _losses_in_file(data_dir / "asleep.duckdb", published)
    except (AsleepPipelineError, duckdb.Error) as error:
        yield str(error).splitlines()[0]
    finally:
        engine.execute("USE memory")
        engine.execute("DETACH DATABASE IF EXISTS lake")


def _losses_in_lake(
    con: duckdb.DuckDBPyConnection, commits: Sequence[dict[str, Any]]
) -> Iterator[str]:
    ((newest,),) = con.execute("SELECT id FROM ducklake_current_snapshot('lake')").fetchall()
    rows = _rows_at(con, newest)
    if not commits:
        return
    last = commits[-1]
    if newest < last["snapshot"]:
        yield f"snapshot {last['snapshot']} ({last['why']}) is gone, {newest} is there"
        return
    if newest > last["snapshot"] and _is_kept(con, last["snapshot"]):
        rows = _rows_at(con, last["snapshot"])
    # Only maintenance lets a snapshot expire, and it changes no rows.
    if rows != last["rows"]:
        yield f"{last['why']}: {rows} instead of {last['rows']}"


def _is_kept(con: duckdb.DuckDBPyConnection, snapshot: int) -> bool:
    kept = con.execute("SELECT snapshot_id FROM ducklake_snapshots('lake')").fetchall()
    return (snapshot,) in kept


def _rows_at(con: duckdb.DuckDBPyConnection, snapshot: int) -> dict[str, int]:
    """Rows by table of one snapshot, every value of which was read."""
    return {
        name: _read_whole(con, f"(FROM lake.{name} AT (VERSION => {snapshot}))") for name in TABLES
    }


def _read_whole(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """The rows of a table, every value of which was read."""
    rows, _ = con.execute(f"SELECT count(*), bit_xor(hash(t)) FROM {table} AS t").fetchall()[0]
    return int(rows)


def _losses_in_file(path: Path, published: Sequence[dict[str, Any]]) -> Iterator[str]:
    with duckdb.connect(str(path), read_only=True) as con:
        info = con.execute("SELECT table_name, rows, lake_snapshot FROM load_info").fetchall()
        for table, rows, snapshot in info:
            counted = _read_whole(con, table)
            if counted != rows:
                yield f"{table}: {counted} published rows instead of {rows}"
            if published and snapshot < published[-1]["published"]:
                yield f"snapshot {published[-1]['published']} is not published, {snapshot} is"
