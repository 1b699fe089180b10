"""The lake's checks, run by the asset whose data they judge.

They run within the asset's own step: with several runs at a time, Dagster would otherwise take the
results of one run for the data of another.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from asleep_pipeline.extract.sessions import Window
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.checks import CHECKS, LakeCheck, offenders


def check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """The checks that an asset declares."""
    return [
        dg.AssetCheckSpec(c.name, asset=asset, description=c.description, blocking=c.blocks)
        for c in CHECKS
        if c.asset == asset
    ]


def check_results(asset: str, lake: Lake, asked: Mapping[int, Window]) -> list[dg.AssetCheckResult]:
    """Run an asset's checks on the partitions of a run.

    Args:
        asset: Whose data.
        lake: Where it is.
        asked: First and last partition of each shard.
    """
    with lake.read() as con:
        found = {
            check: sum(
                len(offenders(con, check, shard=shard, start=w.start, end=w.end))
                for shard, w in asked.items()
            )
            for check in CHECKS
            if check.asset == asset
        }
    return [_result(check, number) for check, number in found.items()]


def _result(check: LakeCheck, number: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=number == 0,
        check_name=check.name,
        severity=dg.AssetCheckSeverity.ERROR if check.is_error else dg.AssetCheckSeverity.WARN,
        metadata={"offenders": number},
    )
