"""When things run by themselves. Everything is on as soon as there is an API key."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pendulum
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from asleep_pipeline.access.keys import has_any_key
from asleep_pipeline.orchestration.assets.warehouse import ALL_PUBLISHED
from asleep_pipeline.orchestration.erasing import build_erasure_sensor
from asleep_pipeline.orchestration.instance import end_dead_runs
from asleep_pipeline.orchestration.jobs import (
    AVERAGES,
    PULL,
    PUSH,
    REFRESH_USERS,
    REPORT_MONTHS,
    REPORT_WEEKS,
    RETENTION,
)
from asleep_pipeline.orchestration.partitions import FIRST_DATE, key_of, month_key, range_tags
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.pushes import look_into_inbox
from asleep_pipeline.orchestration.upkeep import maintenance
from asleep_pipeline.reports.period import month_of, week_of
from asleep_pipeline.settings import Settings

REPOLL_EVERY_S = 30 * 60
DRAIN_EVERY_S = 30
_UNDER_WAY = dg.RunsFilter(job_name=PUSH, statuses=NOT_FINISHED_STATUSES)
# The API averages over nights that may be recomputed for a week after the month has ended.
AVERAGES_DAY = 9


def sync_run(
    shard: int,
    today: date,
    lookback_days: int,
    *,
    unfinished_only: bool = False,
    run_key: str | None = None,
) -> dg.RunRequest:
    """Yesterday and today of a shard, listing so many days back to find what changed late.

    Of several runs of one tick of a schedule each needs a run key; a sensor would never ask again
    for one that it has asked for.
    """
    pull = {"lookback_days": lookback_days, "unfinished_only": unfinished_only}
    return dg.RunRequest(
        run_key=run_key,
        tags=range_tags(key_of(today - timedelta(days=1), shard), key_of(today, shard)),
        run_config={"ops": {"raw_sessions": {"config": pull}}},
    )


def averages_run(shard: int, month: date) -> dg.RunRequest:
    """One month of a shard."""
    key = month_key(month, shard)
    return dg.RunRequest(run_key=key, tags=range_tags(key, key))


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Daily sync, monthly averages, reports, weekly refresh and maintenance; all in UTC."""
    is_on = has_any_key(settings)
    status = dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(job_name=PULL, cron_schedule="30 5 * * *", default_status=status)
    def daily_sync(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        """Yesterday and today, and what changed in the look-back window."""
        today = _scheduled(context).date()
        for shard in range(settings.shards):
            yield sync_run(shard, today, settings.lookback_days, run_key=key_of(today, shard))

    @dg.schedule(job_name=AVERAGES, cron_schedule=f"0 7 {AVERAGES_DAY} * *", default_status=status)
    def monthly_averages(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        """The month that ended, once its nights are final."""
        today = _scheduled(context)
        month = pendulum.date(today.year, today.month, 1).subtract(months=1)
        for shard in range(settings.shards):
            yield averages_run(shard, date(month.year, month.month, 1))

    # After the sync of the morning has been published.
    @dg.schedule(job_name=REPORT_WEEKS, cron_schedule="0 9 * * 1", default_status=status)
    def weekly_reporting(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        """The week that ended yesterday, and the one before, whose nights are final by now."""
        last = week_of(_scheduled(context).date()).before()
        for week in (last.before(), last):
            yield dg.RunRequest(run_key=week.key, partition_key=week.start_date.isoformat())

    @dg.schedule(
        job_name=REPORT_MONTHS, cron_schedule=f"0 9 {AVERAGES_DAY} * *", default_status=status
    )
    def monthly_reporting(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """The month that ended, once its nights are final."""
        last = month_of(_scheduled(context).date()).before()
        return dg.RunRequest(partition_key=last.start_date.isoformat())

    weekly_refresh = dg.ScheduleDefinition(
        name="weekly_refresh",
        job_name=REFRESH_USERS,
        cron_schedule="0 4 * * 1",
        default_status=status,
        description="Metadata of all users, and who is gone.",
    )
    weekly_maintenance = dg.ScheduleDefinition(
        name="weekly_maintenance",
        job=maintenance,
        cron_schedule="0 3 * * 0",
        default_status=status,
        description="Compaction, expiry and clean-up of the lake.",
    )
    daily_retention = dg.ScheduleDefinition(
        name="daily_retention",
        job_name=RETENTION,
        cron_schedule="30 2 * * *",
        default_status=status,
        description="What is older than its organisation keeps it is deleted.",
    )
    return [
        daily_sync,
        monthly_averages,
        weekly_reporting,
        monthly_reporting,
        weekly_refresh,
        weekly_maintenance,
        daily_retention,
    ]


def build_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Re-polling of what is not final, taking webhooks, publishing after every change, erasures."""
    is_on = has_any_key(settings)
    status = dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(job_name=PULL, minimum_interval_seconds=REPOLL_EVERY_S, default_status=status)
    def repoll_unfinished(
        platform: dg.ResourceParam[Platform],
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """Asks again for users with sessions that are still OPEN or CLOSED."""
        now = platform.clock()
        oldest = _oldest_unfinished(platform, since=now.date() - timedelta(settings.lookback_days))
        if not oldest:
            yield dg.SkipReason("Every session that is known is COMPLETE.")
        for shard, day in oldest.items():
            back = (now.date() - timedelta(days=1) - day).days
            yield sync_run(shard, now.date(), max(back, 0), unfinished_only=True)

    @dg.sensor(job_name=PUSH, minimum_interval_seconds=DRAIN_EVERY_S, default_status=status)
    def drain_inbox(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.RunRequest | dg.SkipReason:
        """Takes what webhooks told of completed sessions, one run at a time."""
        if not platform.settings.inbox_path.exists():
            return dg.SkipReason("No webhook has come yet.")
        if not platform.settings.catalog_path.exists():
            return dg.SkipReason("There is no lake yet.")
        end_dead_runs(context.instance)
        if context.instance.get_runs(_UNDER_WAY, limit=1):
            return dg.SkipReason("A drain is under way.")
        found = look_into_inbox(platform)
        context.log.info("%d waiting events belong into the lake. %s", found.events, found.triage)
        if found.is_busy:
            return dg.SkipReason("A drain is under way.")
        if not found.tags:
            return dg.SkipReason("No webhook waits that belongs into the lake.")
        return dg.RunRequest(tags=found.tags)

    publish = dg.AutomationConditionSensorDefinition(
        "publish_after_changes",
        target=ALL_PUBLISHED,
        default_status=status,
        description="Publishes the warehouse when what it is built from has changed.",
    )
    return [repoll_unfinished, drain_inbox, publish, build_erasure_sensor(status)]


def _oldest_unfinished(platform: Platform, *, since: date) -> dict[int, date]:
    if not platform.settings.catalog_path.exists():
        return {}
    with platform.lake().read() as con:
        rows = con.execute(
            """
            SELECT s.shard, min(s.start_date)
            FROM lake.sessions AS s JOIN lake.users AS u USING (user_id)
            WHERE s.state <> 'COMPLETE' AND s.start_date >= $1 AND u.deleted_at IS NULL
            GROUP BY s.shard ORDER BY s.shard
            """,
            [max(since, FIRST_DATE)],
        ).fetchall()
    return dict(rows)


def _scheduled(context: dg.ScheduleEvaluationContext) -> datetime:
    return context.scheduled_execution_time.astimezone(UTC)
