"""The job that keeps the lake and the inbox of webhooks small and quick."""

from dataclasses import asdict

import dagster as dg

from asleep_pipeline.lake.maintenance import maintain
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.webhooks.retention import keep


@dg.op(description="Merge small files, expire old snapshots, delete files that nothing needs.")
def maintain_lake(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    with explained():
        report = maintain(platform.lake(), now=platform.clock())
    context.add_output_metadata(asdict(report))


@dg.op(description="Delete webhooks that were processed long ago, and the audit of that time.")
def forget_webhooks(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    settings = platform.settings
    with explained():
        forgotten = keep(
            settings.inbox_path, now=platform.clock(), keep_days=settings.webhook_keep_days
        )
    context.add_output_metadata(asdict(forgotten))


@dg.job(
    description="Compaction, expiry and clean-up of lake and inbox; nothing that counts changes."
)
def maintenance() -> None:
    maintain_lake()
    forget_webhooks()
