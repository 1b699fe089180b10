"""The asset `users`."""

import dagster as dg

from asleep_pipeline.extract.users import refresh_users
from asleep_pipeline.lake.tables import USERS
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.asking import asking
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS


@dg.asset(
    group_name="asleep",
    kinds={"asleep", "parquet"},
    owners=OWNERS,
    metadata={"dagster/column_schema": story.column_schema(USERS)},
    description="Whom we pull, refreshed from get-user: metadata, and who is gone.",
)
def users(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[None]:
    with explained():
        lake = platform.lake()
    with asking(context, platform, lake, "users") as (clients, tell):
        crowd = refresh_users(
            lake,
            clients,
            now=platform.clock(),
            on_progress=tell,
        )
    return dg.MaterializeResult(
        metadata=story.crowd_metadata(crowd)
        | story.request_metadata(clients)
        | {
            "dagster/row_count": dg.MetadataValue.int(crowd.users),
            "preview": story.preview(lake, story.USERS_PREVIEW),
        }
    )
