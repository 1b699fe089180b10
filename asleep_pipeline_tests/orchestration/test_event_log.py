"""The events of a range of partitions, written together, read like events written one by one."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from asleep_pipeline.orchestration.event_log import BatchingEventLog
from asleep_pipeline.orchestration.instance import dagster_instance

_DAYS = dg.DailyPartitionsDefinition("2025-01-01")


@dg.asset(
    partitions_def=_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("sound", asset="nights")],
)
def nights(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """An asset that says something of each of its partitions."""
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": int(key[-2:])}, partition_key=key)
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(passed=True, check_name="sound")]
    )


def told_of_a_range_run(home: Path) -> tuple[list[Any], Any, Any]:
    """Kind and partition of each event of the asset, its newest partition, and rows by partition."""
    with dagster_instance(home) as instance:
        assert isinstance(instance.event_log_storage, BatchingEventLog)
        job = dg.Definitions(
            assets=[nights], jobs=[dg.define_asset_job("all", selection="nights")]
        ).resolve_job_def("all")
        tags = {
            "dagster/asset_partition_range_start": "2025-01-01",
            "dagster/asset_partition_range_end": "2025-01-31",
        }
        result = job.execute_in_process(instance=instance, tags=tags)
        events = [
            (entry.get_dagster_event().event_type_value, entry.get_dagster_event().partition)
            for entry in instance.all_logs(result.run_id)
            if entry.is_dagster_event
        ]
        key = dg.AssetKey("nights")
        newest = instance.get_latest_materialization_event(key)
        records = instance.fetch_materializations(key, limit=100).records
        rows = {
            r.partition_key: r.asset_materialization.metadata["rows"].value
            for r in records
            if r.asset_materialization
        }
        assert instance.get_materialized_partitions(key) == set(rows)
        assert newest is not None
        return events, newest.get_dagster_event().partition, rows


def test_a_batch_reads_like_single_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's log, the asset's history and its newest partition do not depend on batches."""
    together = told_of_a_range_run(tmp_path / "together")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "0")
    assert together == told_of_a_range_run(tmp_path / "single")
    assert together[2] == {f"2025-01-{day:02}": day for day in range(1, 32)}


def test_a_range_is_written_in_few_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """31 planned and 31 materialised partitions take two batches."""
    sizes: list[int] = []
    store = BatchingEventLog.store_event_batch

    def counted(log: BatchingEventLog, events: Any) -> None:
        sizes.append(len(events))
        store(log, events)

    monkeypatch.setattr(BatchingEventLog, "store_event_batch", counted)
    told_of_a_range_run(tmp_path)
    assert sizes == [32, 31]
