"""The asset `average_stats`: what the API says of whole months."""

import dagster as dg

from asleep_pipeline.extract.averages import pull_averages
from asleep_pipeline.extract.sessions import Window
from asleep_pipeline.lake.tables import AVERAGE_STATS
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.asking import asking
from asleep_pipeline.orchestration.checks import check_results, check_specs
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.partitions import (
    LONGEST_WINDOW_MONTHS,
    month_key,
    months,
    months_by_shard,
)
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS, PARTITION_ROWS


class AveragesConfig(dg.Config):
    """How averages are asked for."""

    refetch: bool = False


def build_average_stats(shards: int) -> dg.AssetsDefinition:
    """The asset on months by so many shards."""

    @dg.asset(
        deps=["users", dg.AssetDep("sessions", partition_mapping=dg.AllPartitionMapping())],
        check_specs=check_specs("average_stats"),
        partitions_def=months(shards),
        backfill_policy=dg.BackfillPolicy.multi_run(LONGEST_WINDOW_MONTHS),
        group_name="asleep",
        kinds={"asleep", "parquet"},
        owners=OWNERS,
        metadata={"dagster/column_schema": story.column_schema(AVERAGE_STATS)},
        description=(
            "The API's own averages of a calendar month, in the user's zone; a check on sessions."
        ),
    )
    def average_stats(
        context: dg.AssetExecutionContext,
        config: AveragesConfig,
        platform: dg.ResourceParam[Platform],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # dagster wants it bare beside check_specs
        told: dict[str, dg.MetadataValue] = {}
        asked = months_by_shard(context.partition_keys)
        with explained():
            lake = platform.lake()
        for shard, wanted in asked.items():
            with asking(context, platform, lake, f"averages, shard {shard}") as (clients, tell):
                fallbacks = platform.fallbacks(lake)
                for month in wanted:
                    crowd = pull_averages(
                        lake,
                        clients,
                        month,
                        shard=shard,
                        fallbacks=fallbacks,
                        now=platform.clock(),
                        recompute_days=platform.settings.recompute_days,
                        refetch=config.refetch,
                        first_kept=platform.policy().first_night,
                        on_progress=tell,
                    )
                    told = story.added(told, story.crowd_metadata(crowd))
                report = normalise_averages(lake, shard=shard)
            for month in wanted:
                context.add_asset_metadata(
                    {PARTITION_ROWS: report.written[month]}, partition_key=month_key(month, shard)
                )
            news: dict[str, dg.MetadataValue] = {
                "dagster/row_count": dg.MetadataValue.int(report.written.total()),
                "answers_quarantined": dg.MetadataValue.int(report.quarantined.total()),
                "preview": story.preview(
                    lake,
                    story.AVERAGES_PREVIEW,
                    shard=shard,
                    start=min(wanted),
                    end=max(wanted),
                ),
            }
            told = story.added(told, news | story.request_metadata(clients))
        judged = {shard: Window(min(wanted), max(wanted)) for shard, wanted in asked.items()}
        return dg.MaterializeResult(
            metadata=told, check_results=check_results("average_stats", lake, judged)
        )

    return average_stats
