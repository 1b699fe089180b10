"""Commands that pull from the API, by the same Dagster jobs that the schedules run."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._output import AsJson, note, progress_bar, show_facts
from asleep_pipeline.cli._run import PROGRAM, ExitCode
from asleep_pipeline.cli._values import read_day, read_month
from asleep_pipeline.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from asleep_pipeline.orchestration.platform import Platform
    from asleep_pipeline.orchestration.runs import Outcome, Pipeline
    from asleep_pipeline.settings import Settings

_TOLD = (
    "users_gone",
    "users_failed",
    "sessions_listed",
    "details_read",
    "details_failed",
    "sessions_written",
    "sessions_removed",
    "answers_quarantined",
    "requests",
    "retries",
    "refusals",
)


def backfill(
    *,
    start: Annotated[date, typer.Option(parser=read_day, help="First start date, in UTC.")],
    end: Annotated[date, typer.Option(parser=read_day, help="Last start date, inclusive.")],
    user: Annotated[
        list[str] | None, typer.Option(help="Only this user; can be given again.")
    ] = None,
    refetch: Annotated[
        bool, typer.Option("--refetch", help="Ask again for what is settled.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pull all sessions that start in a range of dates, and publish them."""
    _check_range(start, end)
    with ready_pipeline(user or []) as (users, pipeline):
        outcomes = _published(pipeline, lambda: pipeline.backfill(start, end, refetch=refetch))
    finish(outcomes, users, as_json=as_json)


def sync(*, as_json: AsJson = False) -> None:
    """Pull what is new, and what changed in the look-back window, as the daily schedule does."""
    with ready_pipeline() as (users, pipeline):
        outcomes = _published(pipeline, pipeline.sync)
    finish(outcomes, users, as_json=as_json)


def averages(
    *,
    start_month: Annotated[date, typer.Option(parser=read_month, help="First month, YYYY-MM.")],
    end_month: Annotated[date, typer.Option(parser=read_month, help="Last month, inclusive.")],
    as_json: AsJson = False,
) -> None:
    """Pull the API's own averages of whole months, and publish them."""
    _check_range(start_month, end_month)
    with ready_pipeline() as (users, pipeline):
        outcomes = _published(pipeline, lambda: pipeline.averages(start_month, end_month))
    finish(outcomes, users, as_json=as_json)


def _published(pipeline: Pipeline, pull: Callable[[], Outcome]) -> list[Outcome]:
    """Pull, and publish what came, even where the API stopped it half-way.

    Raises:
        StopError: The key, the plan or the quota forbids any request.
        CircuitOpen: The service fails for everyone.
    """
    from asleep_pipeline.extract.crowd import StopsAll

    try:
        pulled = pull()
    except StopsAll:
        pipeline.publish()
        raise
    return [pulled, pipeline.publish()]


def summary(outcomes: Sequence[Outcome], users: int, told: Sequence[str] = _TOLD) -> dict[str, Any]:
    """What some runs did together, as named numbers; of those that assets report, these."""
    counts = sum((outcome.counts for outcome in outcomes), Counter[str]())
    warnings = sum((outcome.warnings for outcome in outcomes), Counter[str]())
    return (
        {"users": users}
        | {name: counts[name] for name in told}
        | {
            "runs": sum(len(outcome.runs) for outcome in outcomes),
            "warnings": dict(warnings),
            "is_partial": any(outcome.is_partial for outcome in outcomes),
        }
    )


def finish(
    outcomes: Sequence[Outcome], users: int, *, as_json: bool, told: Sequence[str] = _TOLD
) -> None:
    """Show the summary.

    Raises:
        Exit: With code 4, when something that was asked for could not be had.
    """
    facts = summary(outcomes, users, told)
    show_facts(facts, as_json=as_json)
    note(f"Each run with its log and its checks: {PROGRAM} ui")
    if facts["is_partial"]:
        note("Some answers could not be had; run it again to ask for what is missing.")
        raise typer.Exit(ExitCode.PARTIAL)


@contextmanager
def ready_pipeline(user_ids: Sequence[str] = ()) -> Iterator[tuple[int, Pipeline]]:
    """The jobs, once everything that they need is there, and how many users they are about."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    _check_roster(settings, user_ids)
    from asleep_pipeline.orchestration.platform import Platform
    from asleep_pipeline.orchestration.runs import Pipeline

    with progress_bar() as tell:
        platform = Platform(settings, user_ids=tuple(user_ids), on_progress=tell)
        yield _ready(platform), Pipeline(platform)


def _check_range(start: date, end: date) -> None:
    from asleep_pipeline.orchestration.partitions import spans

    today = datetime.now(UTC).date()
    if end > today:
        raise UsageError(
            f"The end {end} has not come yet.",
            fix=f"Today is {today} in UTC: end there or earlier.",
        )
    spans(start, end)


def _check_roster(settings: Settings, user_ids: Sequence[str]) -> None:
    from asleep_pipeline.cli._world import refuse_demo
    from asleep_pipeline.lake import Lake

    refuse_demo(settings)
    roster: dict[str, datetime | None] = {}
    if settings.catalog_path.exists():
        lake = Lake.open(settings.lake_dir, shards=settings.shards)
        roster = dict(lake.frame("SELECT user_id, deleted_at FROM lake.users").iter_rows())
    if not roster:
        raise ConfigurationError(
            f"There is nobody on the roster in {settings.data_dir}.",
            fix=f"Import one: {PROGRAM} users import FILE; or try {PROGRAM} demo.",
        )
    for user_id in user_ids:
        if user_id not in roster:
            raise UsageError(
                f"The user {user_id!r} is not on the roster.",
                fix=f"Check the id with {PROGRAM} users list, or add it: {PROGRAM} users add ID.",
            )
        if gone_at := roster[user_id]:
            raise UsageError(
                f"The user {user_id!r} is gone: the API said so on {gone_at.date()}.",
                fix="Leave this user out.",
            )


def _ready(platform: Platform) -> int:
    """How many users will be asked about; raises when an organisation has no key."""
    from asleep_pipeline.lake.users import pullable_users

    lake = platform.lake()
    platform.clients(lake)
    with lake.read() as con:
        return len(pullable_users(con, user_ids=platform.user_ids))
