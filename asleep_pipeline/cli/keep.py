"""Commands that look after the data folder; none of them needs the network."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from asleep_pipeline.cli._output import AsJson, show_facts


def rebuild(*, as_json: AsJson = False) -> None:
    """Make everything after `raw` anew from `raw`, and publish it; asks the API for nothing."""
    from asleep_pipeline.access.organisations import parameters, zones
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.normalise.rebuild import rebuild as make_anew
    from asleep_pipeline.privacy.keeping import Policy
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.warehouse import publish

    settings = load_settings()
    lake = Lake.open(settings.lake_dir)
    report = make_anew(
        lake,
        organisations=zones(settings),
        default_zone=settings.timezone,
        policy=Policy.of(settings, now=datetime.now(UTC)),
    )
    published = publish(
        lake, settings.warehouse_path, parameters=parameters(settings), from_scratch=True
    )
    show_facts(asdict(report) | {"warehouse": published.path}, as_json=as_json)


def maintain(*, as_json: AsJson = False) -> None:
    """Merge small files of the lake, and forget old snapshots, unneeded files and old webhooks."""
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.lake.maintenance import maintain as tidy
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.webhooks.retention import keep

    settings, now = load_settings(), datetime.now(UTC)
    report = tidy(Lake.open(settings.lake_dir), now=now)
    forgotten = keep(settings.inbox_path, now=now, keep_days=settings.webhook_keep_days)
    show_facts(asdict(report) | asdict(forgotten), as_json=as_json)
