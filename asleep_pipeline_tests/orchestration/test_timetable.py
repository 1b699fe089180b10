"""What runs by itself, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from asleep_pipeline.orchestration.definitions import build_definitions
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.settings import load_settings
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY, SmallWorld

START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
NIGHT = NOON - timedelta(hours=35)


def definitions(world: SmallWorld) -> dg.Definitions:
    """The deployment, as the daemon loads it."""
    return build_definitions(world.platform)


def requests(world: SmallWorld, schedule: str, at: datetime) -> list[dg.RunRequest]:
    """The runs that a schedule asks for at an instant."""
    context = dg.build_schedule_context(scheduled_execution_time=at)
    asked = definitions(world).resolve_schedule_def(schedule).evaluate_tick(context).run_requests
    return list(asked or [])


def test_the_daily_sync_asks_for_yesterday_today_and_the_lookback(world: SmallWorld) -> None:
    """One run a shard, dated by the schedule's own time."""
    (request,) = requests(world, "daily_sync", datetime(2026, 5, 1, 5, 30, tzinfo=UTC))
    assert (request.tags[START], request.tags[END]) == ("2026-04-30|0", "2026-05-01|0")
    config = request.run_config["ops"]["raw_sessions"]["config"]
    assert config == {"lookback_days": 80, "unfinished_only": False}


@pytest.mark.parametrize("schedule", ["daily_sync", "monthly_averages"])
def test_every_shard_gets_a_run_of_its_own(world: SmallWorld, schedule: str) -> None:
    """Several runs of one tick, told apart by their keys; the same at every evaluation of it."""
    platform = Platform(
        load_settings(
            data_dir=world.platform.settings.data_dir, api_key="a-key-of-the-tests", shards=4
        )
    )
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 5, 9, 7, tzinfo=UTC)
    )
    found = build_definitions(platform).resolve_schedule_def(schedule)
    asked = [found.evaluate_tick(context).run_requests or [] for _ in range(2)]
    assert len({request.run_key for request in asked[0]}) == 4
    assert {request.tags[START][-2:] for request in asked[0]} == {"|0", "|1", "|2", "|3"}
    assert [r.run_key for r in asked[0]] == [r.run_key for r in asked[1]]


@pytest.mark.parametrize(("month", "expected"), [(1, "2025-12-01|0"), (5, "2026-04-01|0")])
def test_the_averages_are_those_of_the_month_that_ended(
    world: SmallWorld, month: int, expected: str
) -> None:
    """Also over the turn of the year, and late enough for its last night to be final."""
    schedule = definitions(world).resolve_schedule_def("monthly_averages")
    assert schedule.cron_schedule == "0 7 9 * *"
    (request,) = requests(world, "monthly_averages", datetime(2026, month, 9, 7, tzinfo=UTC))
    assert request.tags[START] == request.tags[END] == expected


def test_schedules_are_on_when_there_is_a_key(world: SmallWorld) -> None:
    """Nothing runs by itself before there is one."""
    keyless = Platform(load_settings(data_dir=world.platform.settings.data_dir, shards=1))
    for platform, status in (
        (world.platform, dg.DefaultScheduleStatus.RUNNING),
        (keyless, dg.DefaultScheduleStatus.STOPPED),
    ):
        schedules = build_definitions(platform).schedules or []
        assert {s.default_status for s in schedules} == {status}


def repoll(world: SmallWorld) -> dg.SensorExecutionData:
    """One evaluation of the sensor."""
    sensor = definitions(world).resolve_sensor_def("repoll_unfinished")
    with dg.build_sensor_context(resources={"platform": world.platform}) as context:
        return sensor.evaluate_tick(context)


def test_the_sensor_asks_again_for_users_with_unfinished_sessions(world: SmallWorld) -> None:
    """From the oldest of them on; once all are COMPLETE it has nothing to do."""
    world.sim.clock.set(NIGHT)
    world.load(FIRST, world.today)
    unfinished = [row for row in world.stored().values() if row["state"] != "COMPLETE"]
    assert unfinished
    (request,) = repoll(world).run_requests or []
    config = request.run_config["ops"]["raw_sessions"]["config"]
    oldest = min(row["start_date"] for row in unfinished)
    yesterday = world.today - timedelta(days=1)
    assert config == {"lookback_days": max((yesterday - oldest).days, 0), "unfinished_only": True}

    world.sim.clock.set(NOON + timedelta(days=2))
    job = definitions(world).resolve_job_def("pull")
    world.sim.requests.reset()
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            run_config=request.run_config, tags=request.tags, instance=instance
        )
    assert done.success
    assert world.sim.requests["list_sessions"] == len({row["user_id"] for row in unfinished})
    result = repoll(world)
    assert not result.run_requests
    assert "COMPLETE" in (result.skip_message or "")


def test_the_sensor_is_quiet_before_there_is_a_lake(world: SmallWorld) -> None:
    """An installation without data has nothing unfinished."""
    elsewhere = world.with_settings(data_dir=world.platform.settings.data_dir / "elsewhere")
    assert repoll(elsewhere).skip_message


def test_the_sensor_leaves_sessions_beyond_the_lookback(world: SmallWorld) -> None:
    """A session that never completes is not asked about for ever."""
    world.sim.clock.set(NIGHT)
    world.load(FIRST, TODAY)
    world.sim.clock.advance(timedelta(days=90))
    assert repoll(world).skip_message
