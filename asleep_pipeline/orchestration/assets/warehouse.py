"""The asset `warehouse`: the published file."""

import dagster as dg

from asleep_pipeline.lake.tables import SESSIONS
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.verify import differences

SAME_ROWS = "published_rows_equal_the_lake"

# After every change, once nothing blocks; without what eager() would wait for in vain: a history
# without gaps, and the end of a backfill that may run for days.
WHEN_SOMETHING_CHANGED = (
    dg.AutomationCondition.eager()
    .without(~dg.AutomationCondition.any_deps_missing())
    .without(~dg.AutomationCondition.any_deps_in_progress())
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
)


@dg.asset(
    deps=["users", "sessions", "average_stats"],
    group_name="asleep",
    kinds={"duckdb"},
    owners=OWNERS,
    automation_condition=WHEN_SOMETHING_CHANGED,
    check_specs=[
        dg.AssetCheckSpec(
            SAME_ROWS,
            asset="warehouse",
            description="Every published table has the rows of the snapshot that the file names.",
        )
    ],
    metadata={"dagster/column_schema": story.column_schema(SESSIONS)},
    description="One plain DuckDB file for analysts, published from one snapshot of the lake.",
)
def warehouse(platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult:  # type: ignore[type-arg]  # dagster wants it bare beside check_specs
    settings = platform.settings
    with explained():
        lake = platform.lake()
        report = publish(lake, settings.warehouse_path, parameters=settings.parameters)
        found = differences(lake, report.path)
    return dg.MaterializeResult(
        metadata={
            "file": dg.MetadataValue.path(report.path.name),
            "size_bytes": report.path.stat().st_size,
            "lake_snapshot": report.lake_snapshot,
            "built_from_scratch": report.is_full,
            "rows": dg.MetadataValue.md(story.counts_table(report.rows, "table", "rows")),
            "rows_written": dg.MetadataValue.md(
                story.counts_table(report.rows_changed, "table", "rows written")
            ),
            "dagster/row_count": report.rows["sessions"],
        },
        check_results=[
            dg.AssetCheckResult(
                passed=not found, check_name=SAME_ROWS, metadata={"differences": found}
            )
        ],
    )
