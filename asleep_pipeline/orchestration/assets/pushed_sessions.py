"""The asset `pushed_sessions`: what webhooks told."""

from collections import Counter
from datetime import date

import dagster as dg

from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.metrics import count, metrics_file
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.partitions import LONGEST_WINDOW_DAYS, grid, windows
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS, progress, tell_partitions
from asleep_pipeline.webhooks.drain import DrainReport, drain
from asleep_pipeline.webhooks.inbox import Inbox


def build_pushed_sessions(shards: int) -> dg.AssetsDefinition:
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
            "What webhooks told of completed sessions, byte for byte, and what the API then said "
            "when it was asked. A run takes everything that waits in the inbox for users of its "
            "shards, whatever its dates."
        ),
    )
    def pushed_sessions(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        asked = windows(context.partition_keys)
        with explained():
            lake = platform.lake()
            inbox = Inbox.create(platform.settings.inbox_path)
            clients = _clients(context, platform, lake)
            report = drain(
                lake,
                inbox,
                platform.settings,
                now=platform.clock(),
                clients=clients,
                shards=asked.keys(),
                on_progress=progress(context, platform, "webhooks"),
            )
        for shard in asked:
            tell_partitions(context, shard, report.changes.get(shard, Counter[date]()))
        _warn(context, report)
        told = story.drain_metadata(report, inbox.depth())
        if clients:
            told |= story.request_metadata(clients)
            file = metrics_file(platform.settings.data_dir)
            stop = report.reread.stopped_by
            error = type(stop).__name__ if stop else None
            count(file, "pushed_sessions", clients, at=platform.clock(), error=error)
        days = sorted({day for dates in report.changes.values() for day in dates})
        told["preview"] = story.preview(lake, story.PUSHED_PREVIEW, shards=list(asked), days=days)
        return dg.MaterializeResult(metadata=told)

    return pushed_sessions


def _clients(context: dg.AssetExecutionContext, platform: Platform, lake: Lake) -> Clients | None:
    """How to ask the API again; None when that is not wanted, or not possible."""
    if not platform.settings.webhook_reread:
        return None
    try:
        return platform.clients(lake)
    except ConfigurationError as error:
        context.log.warning("The API is not asked again. %s", error)
        return None


def _warn(context: dg.AssetExecutionContext, report: DrainReport) -> None:
    if report.is_busy:
        context.log.warning("Another drain is under way, so this one took nothing.")
    if report.failed:
        context.log.warning(
            "%d events could not be taken, and %d of them will not be tried again: see "
            "`asleep-pipeline webhooks list --status dead`.",
            report.failed,
            report.dead,
        )
    asked = report.reread
    if asked.stopped_by:
        context.log.warning("The API was not asked to the end. %s", asked.stopped_by)
    if asked.failed:
        context.log.warning(
            "%d sessions could not be read again; the next sync asks. %s",
            asked.failed,
            dict(asked.crowd.failures),
        )
