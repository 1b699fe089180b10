"""What a run tells in the Dagster UI. Never a user id: events are kept and read by many."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.crowd import Crowd
from asleep_pipeline.extract.sessions import PullReport
from asleep_pipeline.lake import Lake, Table
from asleep_pipeline.webhooks.drain import DrainReport
from asleep_pipeline.webhooks.inbox import Depth
from asleep_pipeline.webhooks.triage import Triage

SESSIONS_PREVIEW = """
SELECT night_date AS night, state,
       strftime(started_at_local, '%H:%M') AS bed, strftime(ended_at_local, '%H:%M') AS up,
       timezone, round(time_in_sleep / 3600.0, 2) AS sleep_h,
       sleep_efficiency AS efficiency, sleep_index AS score
FROM lake.sessions
WHERE shard = $shard AND start_date BETWEEN $start AND $end
ORDER BY started_at DESC LIMIT 8
"""
RAW_PREVIEW = """
SELECT endpoint, status, count(*) AS answers, count(body) AS with_news,
       min(partition_date) AS first, max(partition_date) AS last
FROM lake.raw
WHERE shard = $shard AND partition_date BETWEEN $start AND $end
GROUP BY endpoint, status ORDER BY answers DESC LIMIT 8
"""
PUSHED_PREVIEW = """
SELECT endpoint, partition_date AS started_on, count(*) AS answers,
       strftime(max(fetched_at), '%Y-%m-%d %H:%M') AS newest_utc
FROM lake.raw
WHERE shard IN (SELECT unnest($shards)) AND source = 'webhook'
  AND partition_date IN (SELECT unnest($days))
GROUP BY endpoint, partition_date ORDER BY max(fetched_at) DESC LIMIT 8
"""
USERS_PREVIEW = """
SELECT org_id AS organisation, timezone, count(*) AS users,
       count(*) FILTER (deleted_at IS NOT NULL) AS gone
FROM lake.users GROUP BY ALL ORDER BY users DESC, timezone LIMIT 8
"""
AVERAGES_PREVIEW = """
SELECT month, timezone, slept_sessions, sleep_time, wake_time,
       round(time_in_sleep / 3600, 2) AS sleep_h, sleep_efficiency AS efficiency
FROM lake.average_stats
WHERE shard = $shard AND month BETWEEN $start AND $end
ORDER BY month DESC, slept_sessions DESC LIMIT 8
"""


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns as the UI shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                c.name,
                c.type,
                description=c.comment,
                constraints=dg.TableColumnConstraints(nullable=not c.required),
            )
            for c in table.columns
        ]
    )


def added(
    told: Mapping[str, dg.MetadataValue], more: Mapping[str, dg.MetadataValue]
) -> dict[str, dg.MetadataValue]:
    """What a run tells of several shards or months: numbers are summed, the rest is the last's."""
    sums = {
        name: dg.MetadataValue.int((value.value or 0) + (before.value or 0))
        for name, value in more.items()
        if isinstance(value, dg.IntMetadataValue)
        and isinstance(before := told.get(name), dg.IntMetadataValue)
    }
    return {**told, **more, **sums}


def pull_metadata(report: PullReport) -> dict[str, dg.MetadataValue]:
    """What was asked and got."""
    return crowd_metadata(report.crowd) | {
        "pages": dg.MetadataValue.int(report.pages),
        "sessions_listed": dg.MetadataValue.int(report.sessions_listed),
        "details_read": dg.MetadataValue.int(report.details),
        "details_vanished": dg.MetadataValue.int(report.details_vanished),
        "details_failed": dg.MetadataValue.int(report.details_failed),
        "dagster/row_count": dg.MetadataValue.int(report.answers_by_date.total()),
    }


def crowd_metadata(crowd: Crowd) -> dict[str, dg.MetadataValue]:
    """How the users fared."""
    return {
        "users": dg.MetadataValue.int(crowd.users),
        "users_gone": dg.MetadataValue.int(len(crowd.gone)),
        "users_failed": dg.MetadataValue.int(crowd.failed),
        "failures": dg.MetadataValue.md(counts_table(crowd.failures, "failure", "times")),
    }


def drain_metadata(report: DrainReport, depth: Depth) -> dict[str, dg.MetadataValue]:
    """What was taken and asked, and what is left in the inbox."""
    numbers = triage_counts(report.triage) | {
        "dagster/row_count": sum(dates.total() for dates in report.changes.values()),
        "events_taken": report.taken,
        "events_duplicate": report.duplicates,
        "events_failed": report.failed,
        "events_dead": report.dead,
        "reread": report.reread.details,
        "reread_unfinished": report.reread.unfinished,
        "reread_vanished": report.reread.vanished,
        "reread_failed": report.reread.failed,
        "reread_left": report.reread.left,
        "in_quarantine": depth.quarantined,
        "in_dead_letters": depth.dead,
    }
    return {name: dg.MetadataValue.int(number) for name, number in numbers.items()}


def triage_counts(triage: Triage) -> dict[str, int]:
    """What was sorted."""
    return {
        "events_settled": triage.settled,
        "events_quarantined": triage.quarantined,
        "events_released": triage.released,
    }


def request_metadata(clients: Clients) -> dict[str, dg.MetadataValue]:
    """Requests, retries and refusals, by endpoint."""
    return {
        "requests": dg.MetadataValue.int(clients.requests.total()),
        "requests_by_endpoint": dg.MetadataValue.md(
            counts_table(clients.requests, "endpoint", "requests")
        ),
        "retries": dg.MetadataValue.int(clients.retries.total()),
        "refusals": dg.MetadataValue.int(clients.refusals.total()),
        "circuit_openings": dg.MetadataValue.int(clients.circuit_openings),
        "trouble": dg.MetadataValue.md(trouble_table(clients)),
    }


def metadata_so_far(clients: Clients, crowd: Crowd | None) -> dict[str, dg.MetadataValue]:
    """What a step had done when it ended early."""
    return {
        "how_far_it_got": dg.MetadataValue.text(_how_far(crowd)),
        **(crowd_metadata(crowd) if crowd else {}),
        **request_metadata(clients),
    }


def _how_far(crowd: Crowd | None) -> str:
    done = f"{crowd.done} of {crowd.users} users were done" if crowd else "No user was done yet"
    return f"{done}. Every answer that came is kept, and is not asked for again."


def trouble_table(clients: Clients) -> str:
    """How hard the API was to reach, as a Markdown table: failed attempts by kind, and the waits."""
    if not clients.failures and clients.held_back_s < 1:
        return "none"
    retried = clients.retries.total()
    rows = [
        *(
            f"| {kind} | {times} failed attempts |"
            for kind, times in _largest_first(clients.failures)
        ),
        f"| tried again | {retried} requests, after {clients.retry_wait_s:.1f} s of waiting in all |",
        f"| held back by the request budget | {clients.held_back_s:.1f} s in all |",
        f"| found to be down, and left alone for a while | {clients.circuit_openings} times |",
    ]
    return "\n".join(["| what | how much |", "|---|---|", *rows])


def trouble_line(clients: Clients) -> str:
    """The same as one sentence for the run's log; "" when there was none."""
    if not clients.failures:
        return ""
    kinds = ", ".join(f"{kind} {times}" for kind, times in clients.failures.most_common())
    return (
        f"{clients.failures.total()} attempts failed ({kinds}); {clients.retries.total()} requests "
        f"were tried again after {clients.retry_wait_s:.1f} s of waiting in all, and "
        f"{clients.circuit_openings} times the service was left alone for a while."
    )


def preview(lake: Lake, sql: str, **params: object) -> dg.MetadataValue:
    """A few rows as a Markdown table."""
    rows = lake.frame(sql, params)
    lines = [rows.columns, ["---"] * rows.width, *rows.rows()]
    return dg.MetadataValue.md(
        "\n".join(f"| {' | '.join('' if v is None else str(v) for v in line)} |" for line in lines)
    )


def counts_table(counts: Mapping[str, int], of: str, number: str) -> str:
    """Counts as a Markdown table, largest first."""
    if not counts:
        return "none"
    rows = (f"| {name} | {times} |" for name, times in _largest_first(counts))
    lines = [f"| {of} | {number} |", "|---|---:|", *rows]
    return "\n".join(lines)


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
