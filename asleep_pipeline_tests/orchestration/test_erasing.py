"""Dagster carries out erasures, and learns nothing of whom."""

from __future__ import annotations

from typing import Any

import dagster as dg

from asleep_pipeline.orchestration.definitions import build_definitions
from asleep_pipeline.orchestration.erasing import erasing
from asleep_pipeline.orchestration.instance import dagster_instance
from asleep_pipeline.privacy.erasure import erasures, request_erasure
from asleep_pipeline_tests.privacy.crowded import files_with
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY, SmallWorld


def test_the_sensor_starts_a_run_that_erases(world: SmallWorld) -> None:
    """Nothing to do, then something, then nothing any more; no event names the person."""
    world.load(FIRST, TODAY)
    platform, settings = world.platform, world.platform.settings
    who = world.sim.world.people[0].user_id
    with dagster_instance(settings.dagster_home) as instance:
        assert not looked(world, instance).run_requests
        request_erasure(
            settings, org_id="default", user_id=who, upstream=False, by="a test", now=NOON
        )
        (request,) = looked(world, instance).run_requests
        assert set(request.tags) <= {"dagster/sensor_name"}
        result = erasing.execute_in_process(resources={"platform": platform}, instance=instance)
        assert result.success
        assert not looked(world, instance).run_requests
    assert [erasure.state for erasure in erasures(settings)] == ["done"]
    assert files_with(settings.data_dir, who) == []


def looked(world: SmallWorld, instance: dg.DagsterInstance) -> Any:
    """What the sensor says."""
    sensor = build_definitions(world.platform).resolve_sensor_def("carry_out_erasures")
    resources = {"platform": world.platform}
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        return sensor.evaluate_tick(context)
