"""The lake's checks beside the assets whose data they judge."""

from collections.abc import Iterable, Iterator
from datetime import date

import dagster as dg

from asleep_pipeline.extract.sessions import Window
from asleep_pipeline.lake.checks import CHECKS, LakeCheck, offenders
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.partitions import FIRST_DATE, run_windows
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.warehouse.verify import differences


def build_checks(shards: int) -> list[dg.AssetChecksDefinition]:
    """The checks of sessions, of average_stats and of the warehouse."""
    return [_lake_checks("sessions", shards), _lake_checks("average_stats", shards), _same_rows]


def _lake_checks(asset: str, shards: int) -> dg.AssetChecksDefinition:
    checks = [check for check in CHECKS if check.asset == asset]

    @dg.multi_asset_check(
        name=f"{asset}_checks",
        specs=[
            dg.AssetCheckSpec(c.name, asset=asset, description=c.description, blocking=c.blocks)
            for c in checks
        ],
    )
    def judge(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        everything = Window(FIRST_DATE, date.max)
        asked = run_windows(context.run.tags) or dict.fromkeys(range(shards), everything)
        with explained(), platform.lake().read() as con:
            for check in checks:
                found = [
                    len(offenders(con, check, shard=shard, start=w.start, end=w.end))
                    for shard, w in asked.items()
                ]
                yield _result(check, asset, found)

    return judge


def _result(check: LakeCheck, asset: str, found: Iterable[int]) -> dg.AssetCheckResult:
    total = sum(found)
    return dg.AssetCheckResult(
        passed=total == 0,
        check_name=check.name,
        asset_key=asset,
        severity=dg.AssetCheckSeverity.ERROR if check.is_error else dg.AssetCheckSeverity.WARN,
        metadata={"offenders": total},
    )


@dg.asset_check(
    asset="warehouse",
    name="published_rows_equal_the_lake",
    description="Every published table has the rows of the lake's snapshot that it names.",
)
def _same_rows(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
    with explained():
        found = differences(platform.lake(), platform.settings.warehouse_path)
    return dg.AssetCheckResult(passed=not found, metadata={"differences": found})
