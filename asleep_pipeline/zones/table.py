"""`tz_rules`: the zone rules that the lake's local times were made with."""

from __future__ import annotations

import duckdb

from asleep_pipeline.lake.ducklake import Lake, insert
from asleep_pipeline.lake.tables import TZ_RULES
from asleep_pipeline.zones.names import tzdata_version
from asleep_pipeline.zones.rules import zone_rules


def keep_zone_rules(lake: Lake) -> None:
    """Write the rules when the lake has none, or those of another tzdata.

    Local times of sessions that are in the lake already keep the rules they were made with until a
    rebuild.

    Raises:
        LakeError: The lake refused the commit.
    """
    with lake.read() as con:
        row = con.execute("SELECT tzdata_version FROM lake.lake_info").fetchone()
    if row is None or row[0] != tzdata_version():
        with lake.write(f"zone rules of tzdata {tzdata_version()}") as con:
            write_zone_rules(con)


def write_zone_rules(con: duckdb.DuckDBPyConnection) -> None:
    """Replace the rules by those of the installed tzdata, within an open transaction."""
    con.execute("DELETE FROM lake.tz_rules")
    insert(con, TZ_RULES, zone_rules())
    con.execute("UPDATE lake.lake_info SET tzdata_version = $1", [tzdata_version()])
