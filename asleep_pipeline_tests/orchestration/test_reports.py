"""The assets of reports: a folder a week and month, the same whenever it is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from asleep_pipeline.orchestration.definitions import build_definitions
from asleep_pipeline.orchestration.jobs import REPORT_MONTHS, REPORT_WEEKS
from asleep_pipeline.orchestration.partitions import range_tags
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.reports.files import hashed
from asleep_pipeline.settings import load_settings
from asleep_pipeline_tests.reports.story import ORGANISATIONS, WEEK, publish_story

PEOPLE = [who for people in ORGANISATIONS.values() for who in people]
MONDAY = WEEK.start_date.isoformat()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A deployment with a published file, and nothing that could publish another."""
    folder = tmp_path_factory.mktemp("reports")
    publish_story(folder)
    return Platform(load_settings(data_dir=folder, shards=1))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster of its own."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(
    platform: Platform, instance: dg.DagsterInstance, job: str, key: str, **more: Any
) -> list[dg.AssetMaterialization]:
    """Run a job on one partition; what it says it has made."""
    result = (
        build_definitions(platform)
        .resolve_job_def(job)
        .execute_in_process(partition_key=key, instance=instance, **more)
    )
    assert result.success
    return [event.materialization for event in result.get_asset_materialization_events()]


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_a_week_is_written_and_written_again(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    """The same content both times, from what is published."""
    (made,) = run(platform, instance, REPORT_WEEKS, MONDAY)
    assert (made.asset_key.to_user_string(), made.partition) == ("weekly_reports", MONDAY)
    folder = platform.settings.reports_dir / "weekly" / "2026-W47"
    before = content(folder)
    assert {"users.parquet", "organisations.parquet"} < before.keys()
    run(platform, instance, REPORT_WEEKS, MONDAY)
    assert content(folder) == before


def test_a_run_tells_counts_and_a_trend_and_no_user(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    """Also with a page for each user."""
    config = {"ops": {"weekly_reports": {"config": {"user_pages": True}}}}
    (made,) = run(platform, instance, REPORT_WEEKS, MONDAY, run_config=config)
    told = {name: value.value for name, value in made.metadata.items()}
    assert told["dagster/row_count"] == told["user_pages"] == len(PEOPLE)
    assert (told["organisations"], told["organisations_suppressed"]) == (3, 1)
    assert told["folder"] == "weekly/2026-W47"
    files = content(platform.settings.reports_dir / "weekly" / "2026-W47")
    assert told["size_bytes"] == sum(map(len, files.values()))
    assert f"users/{hashed('ada')}.html" in files
    assert str(told["trend"]).startswith("![Sleep a night over time](data:image/png;base64,")
    words = [name for name in told if name != "trend"] + [
        str(told[n]) for n in told if n != "trend"
    ]
    assert [who for who in PEOPLE if who in words] == []


def test_a_range_of_months_is_one_run(platform: Platform, instance: dg.DagsterInstance) -> None:
    """Each with its own folder and its own numbers; one without nights says so."""
    job = build_definitions(platform).resolve_job_def(REPORT_MONTHS)
    tags = range_tags("2026-09-01", "2026-10-01")
    result = job.execute_in_process(tags=tags, instance=instance)
    made = [event.materialization for event in result.get_asset_materialization_events()]
    assert [one.partition for one in made] == ["2026-09-01", "2026-10-01"]
    assert {one.metadata["dagster/row_count"].value for one in made} == {len(PEOPLE)}
    folder = platform.settings.reports_dir / "monthly"
    assert {path.name for path in folder.iterdir()} == {".lock", "2026-09", "2026-10"}


def test_without_a_published_file_the_run_says_what_to_do(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Nothing is published by a report."""
    nothing = Platform(load_settings(data_dir=tmp_path, shards=1))
    with pytest.raises(dg.Failure, match="There is no warehouse"):
        run(nothing, instance, REPORT_WEEKS, MONDAY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("schedule", "at", "keys", "cron"),
    [
        ("weekly_reporting", (2026, 11, 23), ["2026-11-09", "2026-11-16"], "0 9 * * 1"),
        ("weekly_reporting", (2027, 1, 4), ["2026-12-21", "2026-12-28"], "0 9 * * 1"),
        ("monthly_reporting", (2027, 1, 9), ["2026-12-01"], "0 9 9 * *"),
    ],
)
def test_schedules_ask_for_the_period_that_ended(
    platform: Platform, schedule: str, at: tuple[int, int, int], keys: list[str], cron: str
) -> None:
    """The week on Monday, and once more when its nights are final; the month when they are."""
    definitions = build_definitions(platform)
    found = definitions.resolve_schedule_def(schedule)
    assert found.cron_schedule == cron
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(*at, 9, tzinfo=UTC),
        repository_def=definitions.get_repository_def(),
    )
    requests = found.evaluate_tick(context).run_requests or []
    assert [request.partition_key for request in requests] == keys
