"""Everything after `raw`, made anew from `raw`: no request, one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb

from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.expiry import expire_in
from asleep_pipeline.normalise.averages import read_new_averages
from asleep_pipeline.normalise.sessions import read_new_answers
from asleep_pipeline.privacy.keeping import Policy
from asleep_pipeline.zones.table import write_zone_rules

_MADE_FROM_RAW = {
    "sessions": "start_date",
    "average_stats": "month",
    "quarantine": "partition_date",
}


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """Rows of the tables that were made anew."""

    sessions: int
    average_stats: int
    quarantine: int


def rebuild(
    lake: Lake,
    *,
    organisations: dict[str, str],
    default_zone: str,
    policy: Policy | None = None,
) -> RebuildReport:
    """Make `sessions`, `average_stats`, `quarantine` and `tz_rules` anew; readers see old or new.

    What is older than the answers that an organisation keeps stays as it is.

    Args:
        lake: The lake.
        organisations: Zone by organisation.
        default_zone: Zone of everyone without one.
        policy: For how long organisations keep answers and nights; for ever when None.

    Raises:
        LakeError: The lake refused the commit; it stays as it was.
    """
    with lake.write("rebuild") as con:
        write_zone_rules(con)
        con.execute("DELETE FROM lake.progress")
        for table, day in _MADE_FROM_RAW.items():
            _delete(con, table, day, dict(policy.first_answers() if policy else ()))
        for shard in range(lake.shards):
            read_new_answers(
                con, shard=shard, organisations=organisations, default_zone=default_zone
            )
            read_new_averages(con, shard=shard)
        # A listing names nights that began before those that are kept.
        expire_in(con, policy.first_nights() if policy else ())
        counts = con.execute(
            """
            SELECT (SELECT count(*) FROM lake.sessions), (SELECT count(*) FROM lake.average_stats),
                   (SELECT count(*) FROM lake.quarantine)
            """
        ).fetchall()
    return RebuildReport(*counts[0])


def _delete(con: duckdb.DuckDBPyConnection, table: str, day: str, firsts: dict[str, date]) -> None:
    """Delete what is to be made anew: all but what is older than the first answer that is kept."""
    con.execute(
        f"""
        DELETE FROM lake.{table} AS t WHERE NOT EXISTS (
            SELECT 1 FROM lake.users AS u
            JOIN (SELECT unnest($orgs) AS org_id, unnest($days) AS first) USING (org_id)
            WHERE u.user_id = t.user_id AND t.{day} < first)
        """,
        {"orgs": list(firsts), "days": list(firsts.values())},
    )
