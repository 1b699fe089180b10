"""Everything after `raw`, made anew from `raw`: no request, one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.normalise.averages import read_new_averages
from asleep_pipeline.normalise.sessions import read_new_answers
from asleep_pipeline.zones.table import write_zone_rules

_MADE_FROM_RAW = ("sessions", "average_stats", "quarantine", "progress")


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """Rows of the tables that were made anew."""

    sessions: int
    average_stats: int
    quarantine: int


def rebuild(lake: Lake, *, organisations: dict[str, str], default_zone: str) -> RebuildReport:
    """Make `sessions`, `average_stats`, `quarantine` and `tz_rules` anew; readers see old or new.

    Args:
        lake: The lake.
        organisations: Zone by organisation.
        default_zone: Zone of everyone without one.

    Raises:
        LakeError: The lake refused the commit; it stays as it was.
    """
    with lake.write("rebuild") as con:
        write_zone_rules(con)
        for table in _MADE_FROM_RAW:
            con.execute(f"DELETE FROM lake.{table}")
        for shard in range(lake.shards):
            read_new_answers(
                con, shard=shard, organisations=organisations, default_zone=default_zone
            )
            read_new_averages(con, shard=shard)
        counts = con.execute(
            """
            SELECT (SELECT count(*) FROM lake.sessions), (SELECT count(*) FROM lake.average_stats),
                   (SELECT count(*) FROM lake.quarantine)
            """
        ).fetchall()
    return RebuildReport(*counts[0])
