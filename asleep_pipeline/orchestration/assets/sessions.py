"""The asset `sessions`: raw answers as typed rows."""

import dagster as dg

from asleep_pipeline.extract.sessions import Window
from asleep_pipeline.lake.tables import SESSIONS
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.checks import check_results, check_specs
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.partitions import LONGEST_WINDOW_DAYS, grid, windows
from asleep_pipeline.orchestration.pictures import newest_hypnogram
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS, tell_partitions
from asleep_pipeline.webhooks.missed import pushes_of_shard


def build_sessions(shards: int) -> dg.AssetsDefinition:
    """The asset on a grid of so many shards."""

    @dg.asset(
        deps=["raw_sessions", "pushed_sessions"],
        check_specs=check_specs("sessions"),
        partitions_def=grid(shards),
        backfill_policy=dg.BackfillPolicy.multi_run(LONGEST_WINDOW_DAYS),
        group_name="asleep",
        kinds={"polars", "parquet"},
        owners=OWNERS,
        metadata={"dagster/column_schema": story.column_schema(SESSIONS)},
        description=(
            "One row a session: list row and detail merged, pulled or pushed, with every statistic, "
            "the stages, and the local times of the session's own zone. A pure function of raw."
        ),
    )
    def sessions(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # dagster wants it bare beside check_specs
        told: dict[str, dg.MetadataValue] = {}
        judged: dict[int, Window] = {}
        with explained():
            lake = platform.lake()
        for shard, window in windows(context.partition_keys).items():
            with explained():
                report = normalise_sessions(
                    lake,
                    shard=shard,
                    organisations=platform.organisation_zones,
                    default_zone=platform.settings.timezone,
                )
            tell_partitions(context, shard, report.written, report.removed)
            # What changed on dates outside the run is judged as well.
            dates = [window.start, window.end, *report.dates]
            judged[shard] = Window(min(dates), max(dates))
            news: dict[str, dg.MetadataValue] = {
                "dagster/row_count": dg.MetadataValue.int(report.written.total()),
                "answers_read": dg.MetadataValue.int(report.answers),
                "sessions_written": dg.MetadataValue.int(report.written.total()),
                "sessions_removed": dg.MetadataValue.int(report.removed.total()),
                "answers_quarantined": dg.MetadataValue.int(report.quarantined.total()),
                "preview": story.preview(
                    lake,
                    story.SESSIONS_PREVIEW,
                    shard=shard,
                    start=window.start,
                    end=window.end,
                ),
            }
            # Drawing the first one of a process takes a second.
            if report.written and (picture := newest_hypnogram(lake, shard=shard, window=window)):
                news["newest_hypnogram"] = picture
            with lake.read() as con:
                pushes = pushes_of_shard(con, shard)
            news["webhooks_came"] = dg.MetadataValue.int(pushes.pushed)
            news["webhooks_missed"] = dg.MetadataValue.int(pushes.missed)
            told = story.added(told, news)
        return dg.MaterializeResult(
            metadata=told, check_results=check_results("sessions", lake, judged)
        )

    return sessions
