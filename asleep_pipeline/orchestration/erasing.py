"""The job that erases people, and what starts it. No run knows whom: that stands in the journal alone."""

from collections import Counter

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.instance import end_dead_runs
from asleep_pipeline.orchestration.platform import Platform

ERASING = "erasing"
LOOK_EVERY_S = 60
_UNDER_WAY = dg.RunsFilter(job_name=ERASING, statuses=NOT_FINISHED_STATUSES)


@dg.op(description="Carry out every erasure that is asked for or was interrupted.")
def erase_people(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    # Slow, and every process of Dagster's imports this module.
    from asleep_pipeline.privacy.erasure import run_erasures  # noqa: PLC0415

    with explained():
        states = Counter(e.state for e in run_erasures(platform.settings, platform.clock()))
    context.add_output_metadata({"done": states["done"], "still_open": states["open"]})


@dg.job(name=ERASING, description="Erasure of people; what hinders one, `erase list` shows.")
def erasing() -> None:
    erase_people()


def build_erasure_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Looks for erasures that are under way; a hindered one is tried again."""

    @dg.sensor(job=erasing, minimum_interval_seconds=LOOK_EVERY_S, default_status=status)
    def carry_out_erasures(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.RunRequest | dg.SkipReason:
        """Starts one run for all that is asked for over HTTP, or was interrupted."""
        from asleep_pipeline.privacy.erasure import is_any_under_way  # noqa: PLC0415

        if not is_any_under_way(platform.settings):
            return dg.SkipReason("Nobody is to be erased.")
        end_dead_runs(context.instance)
        if context.instance.get_runs(_UNDER_WAY, limit=1):
            return dg.SkipReason("Erasures are under way.")
        return dg.RunRequest()

    return carry_out_erasures
