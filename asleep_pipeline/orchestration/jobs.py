"""Jobs: what the schedules, the sensor, the CLI and a person in the UI start."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from asleep_pipeline.orchestration.assets.warehouse import ALL_PUBLISHED

REFRESH_USERS = "refresh_users"
PULL = "pull"
PUSH = "drain_webhooks"
AVERAGES = "averages"
PUBLISH = "publish"
REPORT_WEEKS = "report_weeks"
REPORT_MONTHS = "report_months"
RETENTION = "expire"


def build_jobs() -> list[UnresolvedAssetJobDefinition]:
    """The jobs that make assets."""
    return [
        dg.define_asset_job(
            REFRESH_USERS,
            selection=dg.AssetSelection.assets("users"),
            description="Ask get-user for everyone on the roster.",
        ),
        dg.define_asset_job(
            PULL,
            selection=dg.AssetSelection.assets("raw_sessions", "sessions"),
            description="Pull sessions of a range of dates: backfill, daily sync, re-poll.",
        ),
        dg.define_asset_job(
            PUSH,
            selection=dg.AssetSelection.assets("pushed_sessions", "sessions"),
            description="Take what webhooks told of completed sessions into the lake.",
        ),
        dg.define_asset_job(
            AVERAGES,
            selection=dg.AssetSelection.assets("average_stats"),
            description="Ask for the API's own averages of whole months.",
        ),
        dg.define_asset_job(
            PUBLISH,
            selection=ALL_PUBLISHED,
            description="Publish the warehouse from the lake.",
        ),
        dg.define_asset_job(
            REPORT_WEEKS,
            selection=dg.AssetSelection.assets("weekly_reports"),
            description="Write the reports of weeks from what is published.",
        ),
        dg.define_asset_job(
            REPORT_MONTHS,
            selection=dg.AssetSelection.assets("monthly_reports"),
            description="Write the reports of months from what is published.",
        ),
        dg.define_asset_job(
            RETENTION,
            selection=dg.AssetSelection.assets("retention"),
            description="Delete what is older than its organisation keeps it.",
        ),
    ]
