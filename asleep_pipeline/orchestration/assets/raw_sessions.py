"""The asset `raw_sessions`: the pull."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import dagster as dg

from asleep_pipeline.errors import LakeError
from asleep_pipeline.extract.crowd import StopsAll
from asleep_pipeline.extract.sessions import Window, pull_sessions
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.asking import asking
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.partitions import (
    FIRST_DATE,
    LONGEST_WINDOW_DAYS,
    grid,
    windows,
)
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS, tell_partitions, warn_of_gaps


class PullConfig(dg.Config):
    """What a pull asks for beyond its partitions."""

    lookback_days: int = 0
    refetch: bool = False
    unfinished_only: bool = False


def build_raw_sessions(shards: int) -> dg.AssetsDefinition:
    """The asset on a grid of so many shards."""

    @dg.asset(
        deps=["users"],
        partitions_def=grid(shards),
        backfill_policy=dg.BackfillPolicy.multi_run(LONGEST_WINDOW_DAYS),
        group_name="asleep",
        kinds={"asleep", "parquet"},
        owners=OWNERS,
        metadata={"dagster/column_schema": story.column_schema(RAW)},
        description=(
            "What Asleep said, byte for byte: each user's list of sessions, and the detail of those "
            "that may hold news. A run lists a whole range of dates at once."
        ),
    )
    def raw_sessions(
        context: dg.AssetExecutionContext,
        config: PullConfig,
        platform: dg.ResourceParam[Platform],
    ) -> dg.MaterializeResult[None]:
        told: dict[str, dg.MetadataValue] = {}
        for shard, window in windows(context.partition_keys).items():
            with explained():
                lake = platform.lake()
            asked = Window(
                max(window.start - timedelta(days=config.lookback_days), FIRST_DATE), window.end
            )
            with (
                asking(context, platform, lake, f"shard {shard}") as (clients, tell),
                _read_if_stopped(platform, lake, shard),
            ):
                report = pull_sessions(
                    lake,
                    clients,
                    asked,
                    shard=shard,
                    now=platform.clock(),
                    recompute_days=platform.settings.recompute_days,
                    user_ids=platform.user_ids,
                    unfinished_only=config.unfinished_only,
                    refetch=config.refetch,
                    first_kept=platform.policy().first_answer,
                    on_progress=tell,
                )
            tell_partitions(context, shard, report.answers_by_date)
            warn_of_gaps(context, report)
            told = story.added(told, story.pull_metadata(report) | story.request_metadata(clients))
            told["preview"] = story.preview(
                lake, story.RAW_PREVIEW, shard=shard, start=window.start, end=window.end
            )
        return dg.MaterializeResult(metadata=told)

    return raw_sessions


@contextmanager
def _read_if_stopped(platform: Platform, lake: Lake, shard: int) -> Iterator[None]:
    """Read what came before the end: it was paid for, and Dagster skips `sessions` after a failure."""
    try:
        yield
    except StopsAll:
        # The next run reads what cannot be read now; what stopped this one is what counts.
        with suppress(LakeError):
            normalise_sessions(
                lake,
                shard=shard,
                organisations=platform.organisation_zones,
                default_zone=platform.settings.timezone,
            )
        raise
