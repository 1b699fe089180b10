"""The published file and the marts in it: one step, for they are of one snapshot."""

from collections.abc import Iterator

import dagster as dg

from asleep_pipeline.access.organisations import parameters
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.lake.tables import SESSIONS
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.pictures import sleep_of_all
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS
from asleep_pipeline.warehouse import PublishReport, publish
from asleep_pipeline.warehouse.marts import tables as t
from asleep_pipeline.warehouse.verify import differences

SAME_ROWS = "published_rows_equal_the_lake"
WAREHOUSE = "warehouse"
MARTS = "marts"
ALL_PUBLISHED = dg.AssetSelection.assets(WAREHOUSE) | dg.AssetSelection.groups(MARTS)
"""The file and what is in it: made together or not at all."""

# After every change, once nothing blocks; without what eager() would wait for in vain: a history
# without gaps, and the end of a backfill that may run for days.
WHEN_SOMETHING_CHANGED = (
    dg.AutomationCondition.eager()
    .without(~dg.AutomationCondition.any_deps_missing())
    .without(~dg.AutomationCondition.any_deps_in_progress())
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
)

_MADE_FROM: dict[Table, str] = {
    t.DIM_USER: WAREHOUSE,
    t.FCT_SESSION: WAREHOUSE,
    t.FCT_NIGHT: t.FCT_SESSION.name,
    t.FCT_USER_DAY: t.FCT_NIGHT.name,
    t.USER_WEEK: t.FCT_NIGHT.name,
    t.USER_MONTH: t.FCT_NIGHT.name,
    t.ORG_WEEK: t.USER_WEEK.name,
    t.ORG_MONTH: t.USER_MONTH.name,
    t.COHORT_WEEK: t.USER_WEEK.name,
}


def _mart_spec(mart: Table, made_from: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        mart.name,
        deps=[made_from],
        group_name=MARTS,
        kinds={"duckdb"},
        owners=OWNERS,
        metadata={"dagster/column_schema": story.column_schema(mart)},
        description=mart.description,
    )


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            WAREHOUSE,
            deps=["users", "sessions", "average_stats"],
            group_name="asleep",
            kinds={"duckdb"},
            owners=OWNERS,
            automation_condition=WHEN_SOMETHING_CHANGED,
            metadata={"dagster/column_schema": story.column_schema(SESSIONS)},
            description=(
                "One plain DuckDB file for analysts, published from one snapshot of the lake."
            ),
        ),
        *(_mart_spec(mart, made_from) for mart, made_from in _MADE_FROM.items()),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            SAME_ROWS,
            asset=WAREHOUSE,
            description="Every published table has the rows of the snapshot that the file names.",
        )
    ],
    name=WAREHOUSE,
)
def warehouse(platform: dg.ResourceParam[Platform]) -> Iterator[dg.MaterializeResult[None]]:
    settings = platform.settings
    with explained():
        lake = platform.lake()
        report = publish(lake, settings.warehouse_path, parameters=parameters(settings))
        found = differences(lake, report.path)
        picture = sleep_of_all(report.path)
    yield dg.MaterializeResult(
        asset_key=WAREHOUSE,
        metadata=_about_file(report),
        check_results=[
            dg.AssetCheckResult(
                passed=not found, check_name=SAME_ROWS, metadata={"differences": found}
            )
        ],
    )
    for mart in _MADE_FROM:
        metadata = _about_mart(report, mart)
        if picture and mart is t.FCT_NIGHT:
            metadata["sleep_by_night_date"] = picture
        yield dg.MaterializeResult(asset_key=mart.name, metadata=metadata)


def _about_file(report: PublishReport) -> dict[str, dg.MetadataValue]:
    return {
        "file": dg.MetadataValue.path(report.path.name),
        "size_bytes": dg.MetadataValue.int(report.path.stat().st_size),
        "lake_snapshot": dg.MetadataValue.int(report.lake_snapshot),
        "built_from_scratch": dg.MetadataValue.bool(report.is_full),
        "rows": dg.MetadataValue.md(story.counts_table(report.rows, "table", "rows")),
        "rows_written": dg.MetadataValue.md(
            story.counts_table(report.rows_changed, "table", "rows written")
        ),
        "dagster/row_count": dg.MetadataValue.int(report.rows["sessions"]),
    }


def _about_mart(report: PublishReport, mart: Table) -> dict[str, dg.MetadataValue]:
    return {
        "dagster/row_count": dg.MetadataValue.int(report.rows[mart.name]),
        "rows_written": dg.MetadataValue.int(report.rows_changed.get(mart.name, 0)),
        "lake_snapshot": dg.MetadataValue.int(report.lake_snapshot),
    }
