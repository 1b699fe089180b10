"""Running the jobs in this process, as the CLI does; the runs show up in the UI like any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from textwrap import shorten
from typing import Any

import dagster as dg

from asleep_pipeline.access.organisations import organisations
from asleep_pipeline.asleep import CircuitOpen
from asleep_pipeline.errors import AsleepPipelineError
from asleep_pipeline.extract.crowd import StopsAll
from asleep_pipeline.lake.users import pullable_users
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.definitions import build_definitions
from asleep_pipeline.orchestration.instance import dagster_instance, end_dead_runs, process_tag
from asleep_pipeline.orchestration.jobs import AVERAGES, PUBLISH, PULL, PUSH, REFRESH_USERS
from asleep_pipeline.orchestration.partitions import key_of, month_key, range_tags, spans
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.pushes import look_into_inbox
from asleep_pipeline.orchestration.telling import PARTITION_ROWS


class RunFailedError(AsleepPipelineError):
    """A Dagster run ended without success for a reason that is not one of our own errors."""


_Run = tuple[str, Mapping[str, str], Mapping[str, Any]]
"""Job, tags and run config."""

# Enough for the names of some checks that did not pass.
_LONGEST_REASON = 400
# The terminal has its own progress bar, and what failed is raised; everything is in the run's log.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(slots=True)
class Outcome:
    """What some runs did together.

    Attributes:
        runs: Their Dagster run ids, in order.
        counts: The numbers that the assets reported (users, details_read, ...), summed.
        warnings: Checks that did not pass, by name.
    """

    runs: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    @property
    def is_partial(self) -> bool:
        """Whether something that was asked for could not be had."""
        names = ("users_failed", "details_failed", "events_failed")
        return any(self.counts[name] for name in names)


class Pipeline:
    """The jobs of one platform, run in this process.

    Every method runs what it names to the end, one shard and window after the other. An error of this
    package that a run ends with is raised: at once, or, where it stops one organisation's requests
    and there are others, when the other shards and windows are done.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._definitions = build_definitions(platform)
        self._instance = dagster_instance(platform.settings.dagster_home)
        end_dead_runs(self._instance)

    def refresh_users(self) -> Outcome:
        """Ask get-user for everyone on the roster."""
        return self._all([(REFRESH_USERS, {}, {})])

    def backfill(self, start: date, end: date, *, refetch: bool = False) -> Outcome:
        """Pull all sessions that start from `start` to `end` (dates in UTC, inclusive).

        Raises:
            UsageError: The dates are the wrong way round, or before the grid.
        """
        config = _pull_config(refetch=refetch)
        runs: list[_Run] = [
            (PULL, range_tags(key_of(w.start, shard), key_of(w.end, shard)), config)
            for w in spans(start, end)
            for shard in self._shards()
        ]
        return self._all(runs)

    def sync(self) -> Outcome:
        """What the daily schedule does: yesterday, today and the look-back window."""
        today = self._platform.clock().date()
        config = _pull_config(lookback_days=self._platform.settings.lookback_days)
        runs: list[_Run] = [
            (PULL, range_tags(key_of(today - timedelta(days=1), s), key_of(today, s)), config)
            for s in self._shards()
        ]
        return self._all(runs)

    def drain(self) -> Outcome:
        """Take what webhooks told into the lake; without any run when nothing waits for it."""
        if not self._platform.settings.inbox_path.exists():
            return Outcome()
        found = look_into_inbox(self._platform)
        outcome = self._all([(PUSH, found.tags, {})] if found.tags else [])
        outcome.counts.update(story.triage_counts(found.triage))
        return outcome

    def averages(self, first: date, last: date) -> Outcome:
        """Ask for the API's averages of the months from first to last (first days)."""
        runs: list[_Run] = [
            (AVERAGES, range_tags(month_key(first, s), month_key(last, s)), {})
            for s in self._shards()
        ]
        return self._all(runs)

    def publish(self) -> Outcome:
        """Publish the warehouse."""
        return self._all([(PUBLISH, {}, {})])

    def _shards(self) -> list[int]:
        """Shards with somebody to ask about."""
        lake = self._platform.lake()
        with lake.read() as con:
            return [
                shard
                for shard in range(lake.shards)
                if pullable_users(con, shard=shard, user_ids=self._platform.user_ids)
            ]

    def _all(self, runs: Sequence[_Run]) -> Outcome:
        outcome = Outcome()
        stopped: AsleepPipelineError | None = None
        for run in runs:
            try:
                self._one(run, outcome)
            except StopsAll as error:
                # An outage is everybody's; and without organisations there is nobody else.
                if isinstance(error, CircuitOpen) or not organisations(self._platform.settings):
                    raise
                stopped = stopped or error
        if stopped:
            raise stopped
        return outcome

    def _one(self, run: _Run, outcome: Outcome) -> None:
        job, tags, config = run
        with _own_errors():
            result = self._definitions.resolve_job_def(job).execute_in_process(
                instance=self._instance,
                tags={**tags, **process_tag()},
                run_config={**config, **_QUIET},
            )
        _gather(outcome, result)


def _pull_config(*, lookback_days: int = 0, refetch: bool = False) -> dict[str, Any]:
    pull = {"lookback_days": lookback_days, "refetch": refetch}
    return {"ops": {"raw_sessions": {"config": pull}}}


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except dg.Failure as failure:
        if isinstance(failure.__cause__, AsleepPipelineError):
            raise failure.__cause__ from None
        raise RunFailedError(failure.description or "A run failed.") from None
    except dg.DagsterError as error:
        raise RunFailedError(
            f"A run failed: {shorten(str(error), _LONGEST_REASON)}",
            fix="`asleep-pipeline ui` shows the run with its log and its checks.",
        ) from error


def _gather(outcome: Outcome, result: dg.ExecuteInProcessResult) -> None:
    outcome.runs.append(result.run_id)
    told: dict[dg.AssetKey, Mapping[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        # Every partition of a run repeats what the run as a whole tells.
        if metadata.keys() - {PARTITION_ROWS}:
            told[event.materialization.asset_key] = metadata
    for metadata in told.values():
        outcome.counts.update(
            {name: v.value for name, v in metadata.items() if isinstance(v, dg.IntMetadataValue)}
        )
    outcome.warnings.update(
        e.check_name for e in result.get_asset_check_evaluations() if not e.passed
    )
