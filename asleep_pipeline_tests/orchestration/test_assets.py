"""What Dagster shows: assets that tell their story, runs that tell what they did, and no user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from asleep_pipeline.errors import UsageError
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.definitions import build_definitions
from asleep_pipeline.orchestration.jobs import PULL
from asleep_pipeline.orchestration.partitions import (
    FIRST_DATE,
    LONGEST_WINDOW_DAYS,
    key_of,
    month_key,
    months_by_shard,
    range_tags,
    spans,
    windows,
)
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.runs import Outcome, Pipeline
from asleep_pipeline.settings import load_settings
from asleep_pipeline_tests.small_world import TODAY, SmallWorld, small_world

START = TODAY - timedelta(days=3)
MARTS = (
    *("dim_user", "fct_session", "fct_night", "fct_user_day", "mart_user_week", "mart_user_month"),
    *("mart_org_week", "mart_org_month", "mart_cohort_week"),
)
REPORTS = ("weekly_reports", "monthly_reports")
ASSETS = (
    "users",
    "raw_sessions",
    "pushed_sessions",
    "sessions",
    "average_stats",
    "warehouse",
    *MARTS,
    *REPORTS,
)


@dataclass(frozen=True)
class Loaded:
    """A deployment of two shards after one run of each job, and what the runs said."""

    world: SmallWorld
    pipeline: Pipeline
    outcomes: dict[str, Outcome]

    def told(self, asset: str) -> list[dict[str, Any]]:
        """The metadata of each materialisation of an asset."""
        return [
            {name: value.value for name, value in event.metadata.items()}
            for outcome in self.outcomes.values()
            for run in outcome.runs
            for event in materialisations(run)
            if event.asset_key == dg.AssetKey(asset)
        ]


def materialisations(run: str) -> list[dg.AssetMaterialization]:
    """What a run told Dagster that it had made."""
    logs = dg.DagsterInstance.get().all_logs(run, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    events = [log.asset_materialization for log in logs]
    return [event for event in events if event]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Everything was run once; tests only look."""
    folder = tmp_path_factory.mktemp("loaded")
    with pytest.MonkeyPatch.context() as patch, small_world(folder, shards=2, people=4) as world:
        patch.setenv("DAGSTER_HOME", str(folder))
        pipeline = world.pipeline()
        outcomes = {
            "users": pipeline.refresh_users(),
            "backfill": pipeline.backfill(START, TODAY),
            "averages": pipeline.averages(date(2026, 3, 1), date(2026, 4, 1)),
            "publish": pipeline.publish(),
        }
        yield Loaded(world, pipeline, outcomes)


def test_each_asset_says_what_it_is(loaded: Loaded) -> None:
    """Description, owner, kinds and the columns of its table; `retention` has none."""
    graph = build_definitions(loaded.world.platform).resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {*ASSETS, "retention"}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description
        assert node.owners == ["team:sleep-data"]
        assert node.kinds
    for name in ASSETS:
        node = graph.get(dg.AssetKey(name))
        schema = node.metadata["dagster/column_schema"]
        assert all(column.description for column in schema.columns)


def test_checks_stand_beside_their_assets_and_block_where_wrong_data_would_spread(
    loaded: Loaded,
) -> None:
    """Uniqueness, the contract and completeness hold back what is built on them."""
    graph = build_definitions(loaded.world.platform).resolve_asset_graph()
    specs = {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys}
    assert {name for name, spec in specs.items() if spec.blocking} == {
        "session_ids_are_unique",
        "rows_keep_the_contract",
        "nothing_is_lost_after_raw",
    }
    assert all(spec.description for spec in specs.values())


def test_all_checks_pass_on_sound_data(loaded: Loaded) -> None:
    """No run has anything to complain of."""
    assert [outcome.warnings for outcome in loaded.outcomes.values()] == [{}, {}, {}, {}]
    loaded.world.assert_true(START, TODAY)


def test_a_pull_tells_requests_rows_and_a_preview(loaded: Loaded) -> None:
    """The numbers of both shards together are those that the API saw."""
    counts = loaded.outcomes["backfill"].counts
    truth = loaded.world.truth(START, TODAY).values()
    assert counts["users"] == counts["pages"] == 4
    assert counts["details_read"] == sum(row["state"] == "COMPLETE" for row in truth)
    assert counts["requests"] == counts["pages"] + counts["details_read"]
    assert counts["sessions_written"] == len(truth)
    told = loaded.told("sessions")[0]
    assert told["preview"].count("|") > 20
    assert "dagster/row_count" in told
    assert "list_sessions" in loaded.told("raw_sessions")[0]["requests_by_endpoint"]


def test_each_partition_tells_its_rows(loaded: Loaded) -> None:
    """So that the UI draws them over time."""
    logged = sum(row.get("dagster/partition_row_count", 0) for row in loaded.told("sessions"))
    assert logged == len(loaded.world.truth(START, TODAY))


def test_no_event_names_a_user_or_the_key(loaded: Loaded) -> None:
    """Events are kept for long and read by many."""
    instance = dg.DagsterInstance.get()
    runs = [run for outcome in loaded.outcomes.values() for run in outcome.runs]
    text = "".join(
        dg.serialize_value(log) for run in runs for log in instance.all_logs(run)
    ) + "".join(dg.serialize_value(instance.get_run_by_id(run)) for run in runs)
    assert len(text) > 10_000
    secrets = [person.user_id for person in loaded.world.sim.world.people]
    assert [secret for secret in secrets if secret in text] == []
    assert f'"{loaded.world.sim.api_key}"' not in text


def test_numbers_of_several_shards_or_months_are_summed() -> None:
    """A failure in the first is not overwritten by the last."""
    number, text = dg.MetadataValue.int, dg.MetadataValue.md
    first = {"users_failed": number(1), "preview": text("a"), "pages": number(2)}
    both = story.added(first, {"users_failed": number(0), "preview": text("b"), "users": number(3)})
    assert both == {
        "users_failed": number(1),
        "preview": text("b"),
        "pages": number(2),
        "users": number(3),
    }


def test_the_marts_tell_their_rows(loaded: Loaded) -> None:
    """Each is an asset of its own, made in the step that publishes the file."""
    rows = {name: loaded.told(name)[0]["dagster/row_count"] for name in MARTS}
    assert rows["fct_session"] == len(loaded.world.truth(START, TODAY))
    assert rows["fct_user_day"] == 3 * len(nights_that_count(loaded))
    assert rows["dim_user"] == 4


def test_a_run_shows_a_hypnogram(loaded: Loaded) -> None:
    """As a picture within its metadata; four users are too few for a picture of all."""
    shown = [told["newest_hypnogram"] for told in loaded.told("sessions")]
    assert all(picture.startswith("![Hypnogram") for picture in shown)
    assert all("(data:image/png;base64,iVBOR" in picture for picture in shown)
    assert "sleep_by_night_date" not in loaded.told("fct_night")[0]


def nights_that_count(loaded: Loaded) -> list[Any]:
    """From the published file."""
    with duckdb.connect(str(loaded.world.platform.settings.warehouse_path), read_only=True) as con:
        return con.execute("SELECT * FROM fct_night WHERE is_night").fetchall()


def test_the_file_is_published_after_a_change_and_only_then(loaded: Loaded) -> None:
    """Whatever is in it is published with it, and what was published asks for nothing more."""
    definitions = build_definitions(loaded.world.platform)
    instance = dg.DagsterInstance.get()

    def requested(cursor: Any) -> tuple[Any, set[str]]:
        result = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=cursor)
        keys = {key for key in graph_keys if result.get_num_requested(dg.AssetKey(key))}
        return result.cursor, keys

    graph_keys = ("warehouse", *MARTS)
    cursor, _ = requested(None)
    instance.report_runless_asset_event(dg.AssetMaterialization("users"))
    cursor, after_a_change = requested(cursor)
    assert "warehouse" in after_a_change
    loaded.pipeline.publish()
    for _ in range(3):
        cursor, after_publishing = requested(cursor)
        assert after_publishing == set()


def test_one_partition_can_be_run_alone_as_the_ui_does(loaded: Loaded) -> None:
    """A single key, without any range."""
    job = build_definitions(loaded.world.platform).resolve_job_def(PULL)
    key = key_of(START, 1)
    result = job.execute_in_process(partition_key=key, instance=dg.DagsterInstance.get())
    assert result.success
    made = {(m.asset_key.to_user_string(), m.partition) for m in materialisations(result.run_id)}
    assert made == {("raw_sessions", key), ("sessions", key)}


def test_a_range_may_span_shards(loaded: Loaded) -> None:
    """Dates by shards: every combination is asked for."""
    job = build_definitions(loaded.world.platform).resolve_job_def(PULL)
    tags = range_tags(key_of(START, 0), key_of(START + timedelta(days=1), 1))
    loaded.world.sim.requests.reset()
    result = job.execute_in_process(tags=tags, instance=dg.DagsterInstance.get())
    assert loaded.world.sim.requests["list_sessions"] == 4
    made = {m.partition for m in materialisations(result.run_id)}
    days = (START, START + timedelta(days=1))
    assert made == {key_of(day, shard) for day in days for shard in (0, 1)}


def test_keys_name_dates_months_and_shards() -> None:
    """The windows of some keys are the dates of each shard."""
    keys = [key_of(day, shard) for shard in (0, 3) for day in (TODAY, START)]
    assert {shard: (w.start, w.end) for shard, w in windows(keys).items()} == {
        0: (START, TODAY),
        3: (START, TODAY),
    }
    month = date(2026, 4, 1)
    assert months_by_shard([month_key(month, 2)]) == {2: [month]}


def test_long_periods_are_cut_into_runs_without_gap_or_overlap() -> None:
    """Each at most as long as one listing."""
    end = FIRST_DATE + timedelta(days=200)
    parts = spans(FIRST_DATE, end)
    assert (parts[0].start, parts[-1].end) == (FIRST_DATE, end)
    assert all((p.end - p.start).days < LONGEST_WINDOW_DAYS for p in parts)
    assert all(after.start - before.end == timedelta(days=1) for before, after in pairwise(parts))


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (TODAY, START, "before the start"),
        (FIRST_DATE - timedelta(days=1), TODAY, "partitions begin"),
    ],
)
def test_dates_that_cannot_be_run_are_named(start: date, end: date, said: str) -> None:
    """With what to do about it."""
    with pytest.raises(UsageError, match=said) as caught:
        spans(start, end)
    assert caught.value.fix


def test_definitions_load_without_a_key_or_a_lake(tmp_path: Path) -> None:
    """The UI can be looked at before anything is set up."""
    definitions = build_definitions(Platform(load_settings(data_dir=tmp_path, api_key=None)))
    dg.Definitions.validate_loadable(definitions)
    assert not list(tmp_path.iterdir())
