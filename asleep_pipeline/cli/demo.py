"""`demo`: the whole pipeline on made-up people, without a key."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import shlex
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asleep_pipeline.cli._output import (
    AsJson,
    note,
    print_json,
    progress_bar,
    show_facts,
    show_rows,
)
from asleep_pipeline.cli._run import PROGRAM

if TYPE_CHECKING:
    from asleep_pipeline.orchestration.platform import Platform
    from asleep_pipeline.orchestration.runs import Outcome
    from asleep_pipeline.settings import Settings

NIGHTS = 60

QUESTION = "How much later, and longer, do people sleep when nothing wakes them?"
QUERY = """
SELECT
    CASE WHEN age < 35 THEN 'under 35' WHEN age < 55 THEN '35 to 54' ELSE '55 and over' END AS age,
    count(DISTINCT user_id) AS people,
    count(*) AS nights,
    round(avg(tst_s) FILTER (NOT is_free_day) / 3600, 2) AS sleep_h_workdays,
    round(avg(tst_s) FILTER (is_free_day) / 3600, 2) AS sleep_h_free_days,
    round(
        avg(midpoint_min) FILTER (is_free_day) - avg(midpoint_min) FILTER (NOT is_free_day)
    )::INTEGER AS later_min_free_days
FROM (
    SELECT *, year(night_date) - birth_year AS age
    FROM fct_night JOIN dim_user USING (user_id)
    WHERE is_night
)
GROUP BY 1
ORDER BY min(age)
""".strip()


def demo(*, as_json: AsJson = False) -> None:
    """Load 60 nights of 24 made-up people into the data folder; a second run adds what is new.

    The last days come as webhooks, some of them lost or twice, before all of it is pulled.
    """
    from asleep_pipeline.cli._push import in_progress, meeting, pushed
    from asleep_pipeline.cli._world import demo_world
    from asleep_pipeline.cli.ask import ask
    from asleep_pipeline.cli.pull import summary
    from asleep_pipeline.orchestration.platform import Platform
    from asleep_pipeline.settings import load_settings

    started = time.monotonic()
    note(f"Loading {NIGHTS} nights of made-up people by the real pipeline; no key needed ...")
    with demo_world(load_settings()) as (settings, simulator), progress_bar() as tell:
        # The window of a sync is then that of the demo.
        ours = settings.model_copy(update={"lookback_days": NIGHTS - 2})
        platform = Platform(ours, on_progress=tell)
        with pushed(ours, simulator) as webhooks:
            outcomes = _load(platform)
        lake = platform.lake()
        push = {
            "webhooks": webhooks,
            **meeting(lake, platform.clock()),
            "in_progress": in_progress(settings, lake),
        }
    facts = summary(outcomes, len(simulator.world.people)) | {"push": push}
    facts["elapsed_s"] = round(time.monotonic() - started, 1)
    columns, rows = ask(QUERY)
    answer = [dict(zip(columns, row, strict=True)) for row in rows]
    if as_json:
        print_json(facts | {"answer": answer})
        return
    _tell_loaded(settings, facts)
    show_rows(answer, as_json=False, title=QUESTION)
    _tell_next(settings)


def _load(platform: Platform) -> list[Outcome]:
    """What was pushed, then the whole history into an empty lake, else only what is new."""
    from asleep_pipeline.orchestration.runs import Pipeline

    pipeline, today = Pipeline(platform), platform.clock().date()
    with platform.lake().read() as con:
        has_sessions = con.execute("SELECT count(*) FROM lake.sessions").fetchall()[0][0]
    drained = pipeline.drain()
    if has_sessions:
        # A month can change until its last night cannot be recomputed any more.
        oldest = today - timedelta(days=platform.settings.recompute_days + 1)
        pulls = [pipeline.sync()]
    else:
        oldest = today - timedelta(days=NIGHTS - 1)
        pulls = [pipeline.refresh_users(), pipeline.backfill(oldest, today)]
    averages = pipeline.averages(oldest.replace(day=1), today.replace(day=1))
    return [drained, *pulls, averages, pipeline.publish()]


def _tell_loaded(settings: Settings, facts: dict[str, Any]) -> None:
    from asleep_pipeline.cli._state import published
    from asleep_pipeline.lake import Lake

    file = published(Lake.open(settings.lake_dir), settings.warehouse_path)
    assert file
    show_rows(
        [{"table": t, "rows": n} for t, n in file.rows.items()], as_json=False, title="Loaded"
    )
    shown = ("requests", "details_read", "sessions_written", "runs", "warnings", "elapsed_s")
    show_facts({name: facts[name] for name in shown}, as_json=False)
    _tell_push(facts["push"])


def _tell_push(push: dict[str, Any]) -> None:
    from asleep_pipeline.cli._push import DAYS

    columns = {
        "sessions": "sessions",
        "by_webhook": "by webhook",
        "by_pull": "by pull",
        "by_both": "by both, one row each",
        "missed_by_webhooks": "missed by webhooks, found by the pull",
    }
    row = {title: push[name] for name, title in columns.items()}
    title = f"The last {DAYS} days: {push['webhooks']} webhooks, then the pull"
    show_rows([row], as_json=False, title=title)
    show_facts({"in progress now": push["in_progress"]}, as_json=False)


def _tell_next(settings: Settings) -> None:
    program = shutil.which(PROGRAM) and PROGRAM
    program = program or _shown(Path(sys.executable).with_name(PROGRAM))
    if settings.data_dir != Path.cwd() / "data":
        program = f"{program} --data-dir {shlex.quote(_shown(settings.data_dir))}"
    file = _shown(settings.warehouse_path)
    hours = "SELECT night_date, round(tst_s / 3600, 1) AS sleep_h FROM fct_night ORDER BY ALL DESC"
    note(
        f"""
The runs, partitions and checks in the browser:
  {program} ui
What is loaded, and what came by webhook:
  {program} status
  {program} webhooks list --limit 10
Charts of every night, organisation and cohort in the browser:
  {program} dashboard
Ask from the shell, or with DuckDB's own; `query --list` names twenty questions:
  {program} query short-nights-this-week
  {program} query "{hours}"
  duckdb -readonly {shlex.quote(file)}
In Python:
  import duckdb
  duckdb.connect({file!r}, read_only=True).sql("FROM fct_night").show()"""
    )


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
