"""The assets, one module each, in the direction of the data."""

import dagster as dg

from asleep_pipeline.orchestration.assets.average_stats import build_average_stats
from asleep_pipeline.orchestration.assets.pushed_sessions import build_pushed_sessions
from asleep_pipeline.orchestration.assets.raw_sessions import build_raw_sessions
from asleep_pipeline.orchestration.assets.reports import build_reports
from asleep_pipeline.orchestration.assets.retention import retention
from asleep_pipeline.orchestration.assets.sessions import build_sessions
from asleep_pipeline.orchestration.assets.users import users
from asleep_pipeline.orchestration.assets.warehouse import warehouse


def build_assets(shards: int) -> list[dg.AssetsDefinition]:
    """All of them, on grids of so many shards."""
    return [
        users,
        build_raw_sessions(shards),
        build_pushed_sessions(shards),
        build_sessions(shards),
        build_average_stats(shards),
        warehouse,
        *build_reports(),
        retention,
    ]
