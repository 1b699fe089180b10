"""Puts everything together, so that tests can put it together differently."""

import dagster as dg

from asleep_pipeline.orchestration.assets import build_assets
from asleep_pipeline.orchestration.erasing import erasing
from asleep_pipeline.orchestration.jobs import build_jobs
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.timetable import build_schedules, build_sensors
from asleep_pipeline.orchestration.upkeep import maintenance


def build_definitions(platform: Platform) -> dg.Definitions:
    """The whole pipeline on one platform."""
    settings = platform.settings
    return dg.Definitions(
        assets=build_assets(settings.shards),
        jobs=[*build_jobs(), maintenance, erasing],
        schedules=build_schedules(settings),
        sensors=build_sensors(settings),
        resources={"platform": platform},
        # A process for every step would cost two seconds of CPU each.
        executor=dg.in_process_executor,
    )
