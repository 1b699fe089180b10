"""What must hold of the lake's tables, as SQL: each query returns the rows that break the rule.

Parameters: $shard, and $start and $end (dates, inclusive) for the partitions in question. The first
column of every answer names the offender; nobody prints it outside a terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import duckdb

from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import AVERAGE_STATS, RAW, SESSIONS


@dataclass(frozen=True, slots=True)
class LakeCheck:
    """One rule about one table.

    Attributes:
        name: The rule in a few words.
        asset: Whose data it judges: sessions or average_stats.
        description: What it means when it is broken.
        is_error: Whether a break means wrong data; otherwise it is worth a look.
        blocks: Whether what is built on the data must wait.
        sql: The offenders, one row each.
    """

    name: str
    asset: str
    description: str
    is_error: bool
    blocks: bool
    sql: str


_ZONES_DAYS: Final = 2
_MONTH_DAYS: Final = 33
_IN_PARTITIONS: Final = "shard = $shard AND start_date BETWEEN $start AND $end"
_SOURCES: Final = {
    "sessions": (SESSIONS, f"lake.sessions WHERE {_IN_PARTITIONS}"),
    "averages": (
        AVERAGE_STATS,
        "lake.average_stats WHERE shard = $shard AND month BETWEEN $start AND $end",
    ),
    "sessions_of_months": (
        SESSIONS,
        f"""
        lake.sessions WHERE shard = $shard
            AND start_date BETWEEN $start::DATE - {_ZONES_DAYS} AND $end::DATE + {_MONTH_DAYS}
        """,
    ),
    "listings": (
        RAW,
        """
        lake.raw WHERE endpoint = 'list_sessions' AND shard = $shard AND status = 200
            AND body IS NOT NULL AND window_start <= $end AND window_end >= $start
            -- What came after was not read into sessions yet.
            AND rowid <= (SELECT max(raw_rowid) FROM lake.progress
                          WHERE stream = 'sessions' AND shard = $shard)
        """,
    ),
}
"""Rows that are opened for a check, by the name that stands for them in its SQL."""

CHECKS: Final = (
    LakeCheck(
        "session_ids_are_unique",
        "sessions",
        "A session stands once in the table.",
        is_error=True,
        blocks=True,
        sql=f"""
            SELECT session_id, count(*) FROM lake.sessions WHERE {_IN_PARTITIONS}
            GROUP BY user_id, session_id HAVING count(*) > 1
        """,
    ),
    LakeCheck(
        "rows_keep_the_contract",
        "sessions",
        "States, moments, ratios and stages are what the API's contract allows.",
        is_error=True,
        blocks=True,
        sql="""
            SELECT session_id FROM {sessions} WHERE (
                state NOT IN ('OPEN', 'CLOSED', 'COMPLETE')
                OR ended_at < started_at
                OR (state = 'COMPLETE' AND ended_at IS NULL)
                OR NOT coalesce(sleep_efficiency BETWEEN 0 AND 1.005, true)
                OR NOT coalesce(missing_data_ratio BETWEEN 0 AND 1, true)
                OR NOT coalesce(list_min(sleep_stages) >= -1 AND list_max(sleep_stages) <= 3, true)
                OR start_date <> (started_at AT TIME ZONE 'UTC')::DATE)
        """,
    ),
    LakeCheck(
        "nothing_is_lost_after_raw",
        "sessions",
        "What each user's newest listing says of these dates stands in the table or in quarantine.",
        is_error=True,
        blocks=True,
        sql="""
            WITH pages AS (
                SELECT user_id, decode(body)::JSON AS body, listed_at
                FROM {listings}
                QUALIFY listed_at = max(listed_at) OVER (PARTITION BY user_id)
            ), listed AS (
                SELECT user_id, listed_at, item ->> '$.session_id' AS session_id,
                       try_cast(item ->> '$.session_start_time' AS TIMESTAMPTZ) AS started_at
                FROM (SELECT *, unnest(body -> '$.result.sleep_session_list[*]') AS item FROM pages)
                -- The newest listing of other dates may be an older one, and out of date.
                WHERE (started_at AT TIME ZONE 'UTC')::DATE BETWEEN $start AND $end
            )
            SELECT session_id FROM listed
            ANTI JOIN (SELECT user_id, session_id FROM lake.sessions WHERE shard = $shard)
                USING (user_id, session_id)
            ANTI JOIN (SELECT user_id, session_id FROM lake.quarantine WHERE shard = $shard)
                USING (user_id, session_id)
            WHERE NOT EXISTS (
                SELECT 1 FROM lake.raw AS gone
                WHERE gone.endpoint = 'get_session' AND gone.status <> 200 AND gone.shard = $shard
                  AND gone.user_id = listed.user_id AND gone.session_id = listed.session_id
                  AND gone.fetched_at > listed.listed_at)
        """,
    ),
    LakeCheck(
        "complete_sessions_have_their_detail",
        "sessions",
        "A listed COMPLETE session has its statistics read; the next sync asks for those that miss.",
        is_error=False,
        blocks=False,
        sql=f"""
            SELECT session_id FROM lake.sessions
            WHERE {_IN_PARTITIONS} AND state = 'COMPLETE' AND NOT has_detail AND NOT is_quarantined
        """,
    ),
    LakeCheck(
        "nothing_is_in_quarantine",
        "sessions",
        "No answer broke the contract; see the table quarantine for rule and value.",
        is_error=False,
        blocks=False,
        sql="""
            SELECT session_id, rule FROM lake.quarantine
            WHERE shard = $shard AND partition_date BETWEEN $start AND $end
        """,
    ),
    LakeCheck(
        "list_and_detail_agree",
        "sessions",
        "Both name the same time in bed.",
        is_error=False,
        blocks=False,
        sql="""
            SELECT session_id, listed_time_in_bed_s, time_in_bed FROM {sessions}
            WHERE abs(listed_time_in_bed_s - time_in_bed) > 1
        """,
    ),
    LakeCheck(
        "stages_cover_the_time_in_bed",
        "sessions",
        "Stages are whole 5-minute blocks: at most one block short of the time in bed, never longer.",
        is_error=False,
        blocks=False,
        sql="""
            SELECT session_id, len(sleep_stages) * 30, time_in_bed FROM {sessions}
            WHERE has_stat AND sleep_stages IS NOT NULL
              AND time_in_bed - len(sleep_stages) * 30 NOT BETWEEN -30 AND 300
        """,
    ),
    LakeCheck(
        "id_names_the_start",
        "sessions",
        "The digits of a session id are its start in UTC.",
        is_error=False,
        blocks=False,
        sql=f"""
            SELECT session_id, started_at FROM lake.sessions
            WHERE {_IN_PARTITIONS}
              AND try_strptime(left(session_id, 14), '%Y%m%d%H%M%S')
                  <> (started_at AT TIME ZONE 'UTC')
        """,
    ),
    LakeCheck(
        "averaged_sessions_are_here",
        "average_stats",
        "Every session that the API averages over, on dates that were listed, stands in sessions.",
        is_error=False,
        blocks=False,
        sql="""
            SELECT session_id FROM (
                SELECT user_id, unnest(slept_session_ids || never_slept_session_ids) AS session_id
                FROM {averages}) AS named
            ANTI JOIN (SELECT user_id, session_id FROM lake.sessions WHERE shard = $shard)
                USING (user_id, session_id)
            WHERE EXISTS (
                SELECT 1 FROM lake.raw AS r
                WHERE r.endpoint = 'list_sessions' AND r.shard = $shard AND r.user_id = named.user_id
                  AND try_strptime(left(named.session_id, 8), '%Y%m%d')::DATE
                      BETWEEN r.window_start AND r.window_end)
        """,
    ),
    LakeCheck(
        "averages_reconcile",
        "average_stats",
        "The API's mean of time asleep and of efficiency equals the mean of the sessions it names.",
        is_error=False,
        blocks=False,
        sql="""
            WITH named AS (
                SELECT user_id, month, timezone, time_in_sleep, sleep_efficiency, slept_sessions,
                       unnest(slept_session_ids) AS session_id
                FROM {averages}
            ), ours AS (
                SELECT n.user_id, n.month, n.timezone,
                       any_value(n.time_in_sleep) AS said_s, avg(s.time_in_sleep) AS ours_s,
                       any_value(n.sleep_efficiency) AS said_fraction,
                       avg(s.sleep_efficiency) AS ours_fraction
                FROM named AS n
                JOIN {sessions_of_months} AS s ON s.user_id = n.user_id AND s.session_id = n.session_id
                GROUP BY n.user_id, n.month, n.timezone, n.slept_sessions
                HAVING count(*) = n.slept_sessions
            )
            SELECT user_id, month, said_s, ours_s FROM ours
            WHERE abs(said_s - ours_s) > 1 OR abs(said_fraction - ours_fraction) > 0.015
        """,
    ),
)


def offenders(
    con: duckdb.DuckDBPyConnection, check: LakeCheck, *, shard: int, start: date, end: date
) -> list[tuple[object, ...]]:
    """The rows that break a rule in some partitions of a shard.

    Args:
        con: A connection of `Lake.read`.
        check: The rule.
        shard: Whose users.
        start: First partition, inclusive.
        end: Last partition, inclusive.
    """
    asked = {"shard": shard, "start": start, "end": end}
    rows = {name: opened(con, *source) for name, source in _SOURCES.items()}
    sql = check.sql.format_map(rows)
    params = {name: value for name, value in asked.items() if f"${name}" in sql}
    return con.execute(sql, params).fetchall()
