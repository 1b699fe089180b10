"""A run that had trouble: its page says what happened, how far it got and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from asleep_pipeline.asleep import QuotaExceeded, Unauthorized
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.metrics import metrics_file
from asleep_pipeline.orchestration.runs import Pipeline
from asleep_pipeline.settings import Organisation
from asleep_pipeline.simulator import Faults
from asleep_pipeline_tests.orchestration.test_assets import materialisations
from asleep_pipeline_tests.small_world import TODAY, SmallWorld, small_world

START = TODAY - timedelta(days=9)
QUOTA = 12


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmallWorld, Pipeline]]:
    """A deployment whose pull was ended by the quota, and went on well in bad weather."""
    folder = tmp_path_factory.mktemp("troubled")
    with pytest.MonkeyPatch.context() as patch, small_world(folder, people=4) as world:
        patch.setenv("DAGSTER_HOME", str(folder))
        pipeline = world.pipeline()
        world.sim.faults.quota = QUOTA
        with pytest.raises(QuotaExceeded):
            pipeline.backfill(START, TODAY)
        world.sim.faults.become(Faults(seed=4, server_error_share=0.2, reset_share=0.1))
        pipeline.backfill(START, TODAY)
        world.sim.faults.become(Faults())
        yield world, pipeline


def newest_runs() -> list[dg.DagsterRun]:
    """Runs, the latest first."""
    return list(dg.DagsterInstance.get().get_runs())


def failure_of(run: dg.DagsterRun) -> tuple[str, dict[str, Any]]:
    """What the failed step of a run says, and its metadata."""
    (log,) = dg.DagsterInstance.get().all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert log.dagster_event
    data = log.dagster_event.step_failure_data.user_failure_data
    assert data
    return data.description or "", {name: value.value for name, value in data.metadata.items()}


def test_a_run_ended_by_the_quota_says_how_far_it_got_and_what_to_do(
    troubled: tuple[SmallWorld, Pipeline],
) -> None:
    """Nothing is lost, nobody has to guess, and no one waits for a repetition in vain."""
    said, told = failure_of(newest_runs()[1])
    assert "Quota exceeded" in said
    assert "Quota exceeded" in told["what_happened"]
    assert "run it again: it goes on where it stopped" in told["what_to_do"]
    assert "is kept, and is not asked for again" in told["how_far_it_got"]
    assert "until somebody has acted" in told["will_it_be_tried_again"]
    assert "| get_session: QuotaExceeded |" in told["trouble"]
    users = [person.user_id for person in troubled[0].sim.world.people]
    assert [user for user in users if user in f"{said} {told}"] == []


def test_what_came_before_the_quota_ended_is_read(world: SmallWorld) -> None:
    """It was paid for, so it does not wait for a pull that ends well."""
    world.sim.faults.quota = QUOTA
    with pytest.raises(QuotaExceeded):
        world.pipeline().backfill(START, TODAY)
    read = world.lake.frame("SELECT * FROM sessions WHERE has_detail")
    assert read.height == QUOTA


def test_one_organisation_s_key_does_not_end_the_runs_of_another(world: SmallWorld) -> None:
    """Every shard is pulled for the others; then the command fails for what the key met."""
    first, *others = (person.user_id for person in world.sim.world.people)
    put_users(
        world.lake,
        pl.DataFrame({"user_id": [first], "org_id": ["clinic"]}),
        now=world.sim.clock.now(),
    )
    clinic = Organisation(api_key=SecretStr("revoked"))
    settings = world.platform.settings.model_copy(update={"organisations": {"clinic": clinic}})
    pipeline = replace(world, platform=replace(world.platform, settings=settings)).pipeline()
    with pytest.raises(Unauthorized):
        pipeline.backfill(START, TODAY)
    read = world.lake.frame("SELECT DISTINCT user_id FROM sessions")["user_id"].to_list()
    assert sorted(read) == sorted(others)


def test_a_run_in_bad_weather_shows_what_failed_and_what_was_tried_again(
    troubled: tuple[SmallWorld, Pipeline],
) -> None:
    """By endpoint and kind; what was committed before is not asked for again."""
    world, _ = troubled
    told: dict[str, Any] = next(
        {name: value.value for name, value in event.metadata.items()}
        for event in materialisations(newest_runs()[0].run_id)
        if "trouble" in event.metadata
    )
    assert "get_session: ServerError |" in told["trouble"]
    assert f"| tried again | {told['retries']} requests, after " in told["trouble"]
    logs = dg.DagsterInstance.get().all_logs(newest_runs()[0].run_id)
    assert any("attempts failed (" in log.user_message for log in logs)
    assert told["details_failed"] == told["users_failed"] == 0
    complete = [row for row in world.truth(START, TODAY).values() if row["state"] == "COMPLETE"]
    assert told["details_read"] < len(complete)
    world.assert_true(START, TODAY)


def test_the_metrics_add_up_over_runs(troubled: tuple[SmallWorld, Pipeline]) -> None:
    """Requests are those that the API saw; both ends are there; no label names a user."""
    world, _ = troubled
    text = metrics_file(world.platform.settings.data_dir).read_text()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for endpoint, number in world.sim.requests.items():
        assert found["asleep_pull_requests_total", endpoint] == number
    assert found["asleep_pull_failures_total", "get_session", "QuotaExceeded"] >= 1
    assert found["asleep_pull_ends_total", "raw_sessions", "QuotaExceeded"] == 1
    assert found["asleep_pull_ends_total", "raw_sessions", "ok"] == 1
    noon = world.platform.clock().timestamp()
    for outcome in ("success", "failure"):
        assert found[f"asleep_pull_last_{outcome}_timestamp_seconds", "raw_sessions"] == noon
    assert [p.user_id for p in world.sim.world.people if p.user_id in text] == []


def test_a_file_that_cannot_be_written_ends_no_run(
    troubled: tuple[SmallWorld, Pipeline],
) -> None:
    """Metrics are for people; the data goes on without them."""
    world, pipeline = troubled
    file = metrics_file(world.platform.settings.data_dir)
    file.unlink()
    file.mkdir()
    (file / "in the way").touch()
    assert not pipeline.backfill(TODAY, TODAY).is_partial
    assert list(file.parent.glob("*.unfinished")) == []
