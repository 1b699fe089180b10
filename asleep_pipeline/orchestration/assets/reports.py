"""The assets `weekly_reports` and `monthly_reports`: a folder for each week and month."""

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.partitions import FIRST_DATE, LONGEST_WINDOW_MONTHS
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import OWNERS
from asleep_pipeline.reports.period import Period, month_of, week_of
from asleep_pipeline.reports.tables import USER_REPORT
from asleep_pipeline.warehouse.export import read_warehouse

if TYPE_CHECKING:
    from asleep_pipeline.reports.folder import Written

# Keys are first days: Dagster cannot read a date from 2026-W47. Weeks begin on Monday.
WEEKS = dg.WeeklyPartitionsDefinition(FIRST_DATE.isoformat(), day_offset=1)
MONTHS = dg.MonthlyPartitionsDefinition(FIRST_DATE.isoformat())
LONGEST_RUN_WEEKS = 26


class ReportConfig(dg.Config):
    """What is written beside the reports of organisations and the table of everybody."""

    user_pages: bool = False


def build_reports() -> list[dg.AssetsDefinition]:
    """Both assets."""
    of_everybody = "the figures of everybody, and a report of each organisation."
    return [
        _reports("weekly", WEEKS, week_of, LONGEST_RUN_WEEKS, f"Of an ISO week: {of_everybody}"),
        _reports("monthly", MONTHS, month_of, LONGEST_WINDOW_MONTHS, f"Of a month: {of_everybody}"),
    ]


def _reports(
    every: str,
    periods: dg.TimeWindowPartitionsDefinition,
    period_of: Callable[[date], Period],
    longest_run: int,
    description: str,
) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"{every}_reports",
        deps=["warehouse"],
        partitions_def=periods,
        backfill_policy=dg.BackfillPolicy.multi_run(longest_run),
        group_name="asleep",
        kinds={"parquet", "json", "html"},
        owners=OWNERS,
        metadata={"dagster/column_schema": story.column_schema(USER_REPORT)},
        description=description,
    )
    def reports(
        context: dg.AssetExecutionContext,
        config: ReportConfig,
        platform: dg.ResourceParam[Platform],
    ) -> dg.MaterializeResult[None]:
        from asleep_pipeline.reports.folder import write_reports  # noqa: PLC0415 -- brings Altair

        for key in context.partition_keys:
            period = period_of(date.fromisoformat(key))
            folder = platform.settings.reports_dir / every / period.key
            with explained(), read_warehouse(platform.settings.warehouse_path) as con:
                written = write_reports(con, period, folder, user_pages=config.user_pages)
            told = {"folder": dg.MetadataValue.path(f"{every}/{period.key}"), **_told(written)}
            context.add_asset_metadata(told, partition_key=key)
        return dg.MaterializeResult()

    return reports


def _told(written: "Written") -> dict[str, dg.MetadataValue]:
    """Counts and sizes, and the trend of the largest organisation."""
    from asleep_pipeline.reports.pictures import trend_markdown  # noqa: PLC0415 -- brings Altair

    reports = written.organisations
    told: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(written.users),
        "organisations": dg.MetadataValue.int(len(reports)),
        "organisations_suppressed": dg.MetadataValue.int(
            sum(report.status == "suppressed" for report in reports)
        ),
        "user_pages": dg.MetadataValue.int(written.user_pages),
        "size_bytes": dg.MetadataValue.int(written.size_bytes),
    }
    largest = max(reports, key=lambda report: report.users_possible or 0, default=None)
    trend = largest and trend_markdown(largest)
    return told | ({"trend": dg.MetadataValue.md(trend)} if trend else {})
