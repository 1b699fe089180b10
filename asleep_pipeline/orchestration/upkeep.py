"""The job that keeps the lake small and quick."""

from dataclasses import asdict

import dagster as dg

from asleep_pipeline.lake.maintenance import maintain
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.platform import Platform


@dg.op(description="Merge small files, expire old snapshots, delete files that nothing needs.")
def maintain_lake(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    with explained():
        report = maintain(platform.lake(), now=platform.clock())
    context.add_output_metadata(asdict(report))


@dg.job(description="Compaction, expiry and clean-up of the lake; no content changes.")
def maintenance() -> None:
    maintain_lake()
