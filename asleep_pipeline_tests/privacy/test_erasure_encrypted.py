"""With encryption on, a person is erased as without it, and by the key from every copy as well."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from asleep_pipeline.access.organisations import parameters
from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.privacy.erasure import request_erasure, run_erasures
from asleep_pipeline.privacy.keys import Keys, keys_of
from asleep_pipeline.privacy.person import export_person
from asleep_pipeline.privacy.scan import Finding, scan
from asleep_pipeline.privacy.traces import Traces
from asleep_pipeline.settings import load_settings
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.warehouse.verify import differences
from asleep_pipeline_tests.privacy.crowded import (
    Content,
    Crowded,
    crowded,
    file_content,
    files_with,
    lake_content,
    unread,
)
from asleep_pipeline_tests.small_world import NOON
from asleep_pipeline_tests.webhooks.mail import arrival, post


def test_an_erasure_with_encryption(tmp_path: Path) -> None:
    """Nothing is left of the person, nothing else is lost, and no backup can be read about them."""
    with crowded(tmp_path / "data", is_encrypted=True) as made:
        who, settings, keys = made.person, made.settings, keys_of(tmp_path / "data")
        assert keys
        assert_export_is_readable(made, tmp_path / "export")
        backup = Path(shutil.copytree(settings.data_dir, tmp_path / "backup"))
        assert Finding("asleep.duckdb", "users.user_id") in scan(settings.data_dir, Traces(who))
        before, waiting = lake_content(made, who), unread(made, who)
        known = keys.status().users
        request_erasure(settings, org_id="acme", user_id=who, upstream=False, by="a test", now=NOON)
        (done,) = run_erasures(settings, NOON)
        assert (done.state, done.problem) == ("done", "")
        assert {s.name: s.counts for s in done.steps}["key"] == {"keys": 1}
        assert post(made.inbox, arrival(7, user=who, at=NOON, key_name="acme")) == ["erased"]
        assert keys.status().users == known - 1
        assert files_with(settings.data_dir, who) == []
        assert scan(settings.data_dir, Traces(who)) == []
        assert_equal(lake_content(made), before)
        assert_equal(unread(made), waiting)
        assert len(keys.file_keys()) == 1
        assert file_content(settings.live_path)["live_sessions"].height == 1
        assert differences(made.world.lake, settings.warehouse_path) == {}
        made.world.normalise()
        report = publish(made.world.lake, settings.warehouse_path, parameters=parameters(settings))
        assert not report.is_full
        assert_unreadable(backup, made, keys)


def assert_export_is_readable(made: Crowded, folder: Path) -> None:
    """What the person gets before, without a sealed value in it."""
    folder.mkdir()
    export_person(made.settings, made.person, folder, now=NOON)
    said = json.loads((folder / "person.json").read_bytes())["tables"]
    assert said["sessions"][0]["time_in_bed"] > 0
    bodies = [row["body"] for row in (*said["raw"], *said["webhooks"]) if row["body"]]
    assert bodies
    assert all(isinstance(body, dict) for body in bodies)
    assert said["average_stats"][0]["slept_session_ids"]


def assert_equal(found: Content, expected: Content) -> None:
    """Every table holds the same rows."""
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame, check_dtypes=False)


def assert_unreadable(backup: Path, made: Crowded, keys: Keys) -> None:
    """A copy from before, with the keys that are left."""
    shutil.copy(keys.path, backup / "access" / "keys.sqlite")
    file = made.settings.encryption_key_file
    restored = load_settings(data_dir=backup, encryption_key_file=file)
    with Lake.open(restored.lake_dir).read() as con:
        rows = con.execute(f"SELECT DISTINCT user_id FROM {opened(con, RAW)}").fetchall()
    assert {user for (user,) in rows} == set(made.people[1:])
    for name in ("asleep.duckdb", "live.duckdb"):
        with pytest.raises(WarehouseError, match="opened"), read_warehouse(backup / name):
            pass
