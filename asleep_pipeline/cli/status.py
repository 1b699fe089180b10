"""`status`: what is loaded, what is missing, and what ran last."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, print_json, show_facts, show_rows

QUIET_DAYS = 7
RUNS_SHOWN = 8


def status(*, as_json: AsJson = False) -> None:
    """Show what is loaded, gaps, unfinished sessions, quarantine, and the last runs."""
    facts, tables = _gather()
    if as_json:
        print_json(facts | {name: rows for name, (_, rows) in tables.items()})
        return
    show_facts(facts, as_json=False)
    for title, rows in tables.values():
        if rows:
            show_rows(rows, as_json=False, title=title)


def _gather() -> tuple[dict[str, Any], dict[str, tuple[str, list[dict[str, Any]]]]]:
    """Facts, and tables with their titles."""
    from asleep_pipeline.cli._state import contents, gaps, published, unfinished
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.settings import load_settings

    settings, now = load_settings(), datetime.now(UTC)
    lake = Lake.open(settings.lake_dir)
    file = published(lake, settings.warehouse_path)
    with lake.read() as con:
        facts = contents(con)
        open_sessions = unfinished(con, now)
        quiet = gaps(con, now.date() - timedelta(days=QUIET_DAYS))
    note_deed(settings, "read", "status", rows=len(open_sessions) + len(quiet))
    facts |= {
        "shards": lake.shards,
        "lake": settings.lake_dir,
        "lake_snapshot": lake.snapshot_id(),
        "warehouse": settings.warehouse_path if file else None,
        "published_at": file and file.published_at,
        "is_behind_lake": file and file.is_behind,
    }
    return facts, {
        "unfinished": ("Sessions that are not COMPLETE yet", open_sessions),
        "gaps": (f"Users without a session in the last {QUIET_DAYS} days", quiet),
        "last_runs": ("Last runs", _last_runs(settings.dagster_home)),
    }


def _last_runs(home: Path) -> list[dict[str, Any]]:
    if not (home / "dagster.yaml").exists():
        return []
    from asleep_pipeline.orchestration.instance import dagster_instance

    with dagster_instance(home) as instance:
        return [
            {
                "job": record.dagster_run.job_name,
                "status": record.dagster_run.status.value,
                "started_at": record.create_timestamp,
                "duration_s": _duration_s(record.start_time, record.end_time),
                "run_id": record.dagster_run.run_id,
            }
            for record in instance.get_run_records(limit=RUNS_SHOWN)
        ]


def _duration_s(start: float | None, end: float | None) -> float | None:
    return round(end - start, 1) if start and end else None
