"""The asset `retention`: what organisations do not want to be kept any longer is deleted."""

from dataclasses import asdict

import dagster as dg

from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS
from asleep_pipeline.privacy.audit import AuditLog


@dg.asset(
    group_name="asleep",
    kinds={"parquet", "duckdb"},
    owners=OWNERS,
    description=(
        "Nights, answers, webhooks, reports and audit entries that are older than their organisation "
        "keeps them are deleted, here and in what is published. Notes the audit's newest entry."
    ),
)
def retention(platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult[None]:
    from asleep_pipeline.privacy.retention import expire  # noqa: PLC0415 -- takes a while

    settings = platform.settings
    with explained():
        deleted = expire(settings, platform.lake(), now=platform.clock())
        anchor = AuditLog(settings.audit_path, settings.secret_path).anchor()
    counts = {name: dg.MetadataValue.int(number) for name, number in asdict(deleted).items()}
    return dg.MaterializeResult(metadata=counts | {"audit_anchor": str(anchor)})
