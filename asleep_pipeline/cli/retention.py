"""`retention apply`: deletes what is older than its organisation keeps it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, show_facts

retention = typer.Typer(
    help="For how long organisations keep nights, answers, webhooks and the audit.",
    no_args_is_help=True,
)


@retention.callback()
def _keep_the_group() -> None:
    """A group of one command would be the command itself."""


@retention.command()
def apply(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be deleted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what is over, here and in what is published, as the daily schedule does."""
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.privacy.retention import expire, expired
    from asleep_pipeline.settings import load_settings

    settings, now = load_settings(), datetime.now(UTC)
    lake = Lake.open(settings.lake_dir)
    if dry_run:
        found = expired(settings, lake, now=now)
    else:
        note_deed(settings, "expire", "retention apply")
        found = expire(settings, lake, now=now)
    show_facts(asdict(found), as_json=as_json)
