"""Webhooks in Dagster: one run for what waits, exactly the partitions that changed, then the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.orchestration.definitions import build_definitions
from asleep_pipeline.orchestration.jobs import PUSH
from asleep_pipeline.orchestration.partitions import key_of
from asleep_pipeline.orchestration.runs import Outcome
from asleep_pipeline_tests.small_world import FIRST, TODAY, Key, small_world
from asleep_pipeline_tests.webhooks.mail import arrival, post
from asleep_pipeline_tests.webhooks.pushes import PushedWorld

START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SHARDS = 2


@pytest.fixture
def pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PushedWorld]:
    """Four people in two shards, an empty lake and an empty inbox."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with small_world(tmp_path / "data", shards=SHARDS, people=4) as world:
        yield PushedWorld.of(world)


@dataclass(frozen=True)
class Tick:
    """One evaluation of the sensor."""

    request: dg.RunRequest | None
    skipped: str


def tick(pushed: PushedWorld, instance: dg.DagsterInstance) -> Tick:
    """Evaluate the sensor as the daemon does."""
    sensor = build_definitions(pushed.world.platform).resolve_sensor_def("drain_inbox")
    resources = {"platform": pushed.world.platform}
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        result = sensor.evaluate_tick(context)
    requests = list(result.run_requests or [])
    assert len(requests) <= 1
    return Tick(requests[0] if requests else None, result.skip_message or "")


def run(pushed: PushedWorld, tags: dict[str, str]) -> str:
    """Do what the sensor asked for; the run's id."""
    job = build_definitions(pushed.world.platform).resolve_job_def(PUSH)
    result = job.execute_in_process(tags=tags, instance=dg.DagsterInstance.get())
    assert result.success
    return result.run_id


def materialised(run_id: str, asset: str) -> dict[str, dict[str, Any]]:
    """What a run told of an asset's partitions."""
    logs = dg.DagsterInstance.get().all_logs(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    events = [log.asset_materialization for log in logs]
    return {
        event.partition or "": {name: value.value for name, value in event.metadata.items()}
        for event in events
        if event and event.asset_key == dg.AssetKey(asset)
    }


def nights(pushed: PushedWorld, day: date) -> list[Key]:
    """The COMPLETE sessions that start on a date."""
    truth = pushed.world.truth(day, day)
    return sorted(key for key, row in truth.items() if row["state"] == "COMPLETE")


def partitions(keys: list[Key]) -> set[str]:
    """Where some sessions belong."""
    return {
        key_of(date.fromisoformat(session_id[:8]), shard_of(user_id, SHARDS))
        for user_id, session_id in keys
    }


def test_one_run_takes_what_waits_and_tells_exactly_what_changed(pushed: PushedWorld) -> None:
    """Its own partitions are those of the newest date; a night of long ago is told beside them."""
    new, old = nights(pushed, TODAY - timedelta(days=1)), nights(pushed, FIRST + timedelta(days=2))
    pushed.push([*old, *new])
    asked = tick(pushed, dg.DagsterInstance.get()).request
    assert asked is not None
    newest = TODAY - timedelta(days=1)
    in_run = {key_of(newest, shard) for shard in range(SHARDS)}
    assert {asked.tags[START], asked.tags[END]} == in_run
    run_id = run(pushed, dict(asked.tags))
    for asset in ("pushed_sessions", "sessions"):
        assert materialised(run_id, asset).keys() == in_run | partitions([*old, *new])
    assert pushed.world.stored().keys() == {*old, *new}
    assert set(pushed.states()) == {"done"}


def test_a_run_tells_what_it_took(pushed: PushedWorld) -> None:
    """Events, duplicates, dead letters, what was read again; and no user."""
    keys = nights(pushed, TODAY - timedelta(days=1))
    nameless = {"event": "SESSION_COMPLETE", "version": "V3", "data": {"user_id": keys[0][0]}}
    pushed.push(keys)
    post(pushed.inbox, arrival(3, user="nobody"), pushed.arrival(nameless, keys[0][0]))
    outcome = pushed.world.pipeline().drain()
    expected = {
        "events_taken": len(keys),
        "events_duplicate": 0,
        "events_failed": 1,
        "events_quarantined": 1,
        "reread": len(keys),
        "sessions_written": len(keys),
        "in_quarantine": 1,
    }
    assert {name: outcome.counts[name] for name in expected} == expected
    assert outcome.is_partial
    told = next(
        one for one in materialised(outcome.runs[0], "pushed_sessions").values() if "preview" in one
    )
    assert "session_complete" in told["preview"]
    assert "get_session" in told["requests_by_endpoint"]
    text = "".join(
        dg.serialize_value(log) for log in dg.DagsterInstance.get().all_logs(outcome.runs[0])
    )
    assert not [
        person.user_id for person in pushed.world.sim.world.people if person.user_id in text
    ]


def test_the_sensor_waits_for_something_that_belongs_into_the_lake(pushed: PushedWorld) -> None:
    """Windows of stages and strangers are sorted at once, and need no run."""
    instance = dg.DagsterInstance.get()
    (key, *_) = nights(pushed, TODAY - timedelta(days=1))
    assert "No webhook waits" in tick(pushed, instance).skipped
    post(pushed.inbox, arrival(3, user=key[0]), arrival(3, user="nobody"))
    assert "No webhook waits" in tick(pushed, instance).skipped
    assert pushed.states() == ["done", "quarantined"]


def test_the_sensor_starts_one_run_at_a_time(pushed: PushedWorld) -> None:
    """Whatever waits meanwhile is taken by it or by the next one."""
    pushed.push(nights(pushed, TODAY - timedelta(days=1)))
    instance = dg.DagsterInstance.get()
    with dg.DagsterInstance.ephemeral() as busy:
        job = build_definitions(pushed.world.platform).resolve_job_def(PUSH)
        busy.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert "under way" in tick(pushed, busy).skipped
    assert tick(pushed, instance).request is not None


def test_the_sensor_is_quiet_before_there_is_an_inbox_or_a_lake(
    pushed: PushedWorld, tmp_path: Path
) -> None:
    """Nothing is made by looking."""
    world = pushed.world.with_settings(data_dir=tmp_path / "elsewhere")
    elsewhere = PushedWorld(world, pushed.inbox)
    instance = dg.DagsterInstance.get()
    assert "No webhook has come" in tick(elsewhere, instance).skipped
    assert not (tmp_path / "elsewhere").exists()
    assert "no lake" in tick(PushedWorld.of(world), instance).skipped


def test_what_was_pushed_is_published(pushed: PushedWorld) -> None:
    """The file is asked for after a drain, and not before."""
    definitions = build_definitions(pushed.world.platform)
    pipeline = pushed.world.pipeline()
    instance = dg.DagsterInstance.get()

    def wanted(cursor: Any) -> tuple[Any, bool]:
        result = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=cursor)
        return result.cursor, bool(result.get_num_requested(dg.AssetKey("warehouse")))

    cursor, _ = wanted(None)
    cursor, before = wanted(cursor)
    pushed.push(nights(pushed, FIRST + timedelta(days=2)))
    pipeline.drain()
    _, after = wanted(cursor)
    assert (before, after) == (False, True)


def test_pulling_goes_on_as_before(pushed: PushedWorld) -> None:
    """A sync reads what was pushed and not read yet, and its own answers, without the other asset."""
    pushed.push(nights(pushed, TODAY - timedelta(days=1)))
    pushed.drain()
    outcome: Outcome = pushed.world.pipeline().sync()
    assert outcome.warnings == {}
    pushed.world.assert_true(FIRST, TODAY)
    told = materialised(outcome.runs[0], "sessions").values()
    assert all("webhooks_missed" in one for one in told if "preview" in one)


def test_what_a_run_left_in_raw_is_read_by_the_next(pushed: PushedWorld) -> None:
    """A run that died between raw and sessions has left nothing in the inbox, but rows to be read."""
    keys = nights(pushed, TODAY - timedelta(days=2))
    assert keys
    pushed.push(keys)
    pushed.drain()
    asked = tick(pushed, dg.DagsterInstance.get()).request
    assert asked
    run(pushed, dict(asked.tags))
    assert set(keys) == set(pushed.world.stored())
    assert tick(pushed, dg.DagsterInstance.get()).request is None


def test_a_drain_with_nothing_to_take_starts_no_run(pushed: PushedWorld) -> None:
    """Also where there is no inbox at all."""
    post(pushed.inbox, arrival(3, user="nobody"))
    outcome = pushed.world.pipeline().drain()
    assert (outcome.runs, outcome.counts["events_quarantined"]) == ([], 1)
    pushed.inbox.path.unlink()
    assert pushed.world.pipeline().drain().runs == []
