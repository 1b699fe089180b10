"""How an asset tells what it does: progress, rows by partition, what could not be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date

import dagster as dg

from asleep_pipeline.extract.crowd import Crowd
from asleep_pipeline.extract.sessions import PullReport
from asleep_pipeline.orchestration.partitions import FIRST_DATE, key_of
from asleep_pipeline.orchestration.platform import Platform

OWNERS = ["team:sleep-data"]
PARTITION_ROWS = "dagster/partition_row_count"


def progress(
    context: dg.AssetExecutionContext, platform: Platform, title: str
) -> Callable[[Crowd], None]:
    """Tell the terminal every step, and the run's log every tenth of the way."""
    told = 0

    def tell(crowd: Crowd) -> None:
        nonlocal told
        platform.on_progress(title, crowd.done, crowd.users)
        tenth = crowd.done * 10 // max(crowd.users, 1)
        if tenth > told:
            told = tenth
            context.log.info("%s: %d of %d users", title, crowd.done, crowd.users)

    return tell


def tell_partitions(context: dg.AssetExecutionContext, shard: int, *changes: Counter[date]) -> None:
    """Report rows by partition; one outside the run that changed counts as materialised too."""
    rows = sum(changes, Counter[date]())
    in_run = set(context.partition_keys)
    for day in _days(rows):
        key = key_of(day, shard)
        if key in in_run:
            context.add_asset_metadata({PARTITION_ROWS: rows[day]}, partition_key=key)
        else:
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key,
                    partition=key,
                    metadata={PARTITION_ROWS: rows[day]},
                )
            )


def _days(rows: Iterable[date]) -> list[date]:
    return sorted(day for day in rows if day >= FIRST_DATE)


def warn_of_gaps(context: dg.AssetExecutionContext, report: PullReport) -> None:
    if report.crowd.gone or report.is_partial:
        context.log.warning(
            "%d users are gone, %d users and %d details failed; the others are complete. %s",
            len(report.crowd.gone),
            report.crowd.failed,
            report.details_failed,
            dict(report.crowd.failures),
        )
