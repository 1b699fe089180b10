"""Deleting rows of the lake whose time is over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

import duckdb

from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.forgetting import rewrite_files
from asleep_pipeline.lake.progress import keep_commits

Firsts = Iterable[tuple[str, date]]
"""Organisations, and the first date that each keeps."""

_NIGHTS: Final = {
    "sessions": "start_date",
    "quarantine": "partition_date",
    # A month goes with its last day.
    "average_stats": "last_day(month)",
}
_ANSWERS: Final = {"raw": "partition_date"}
_OVER: Final = "user_id IN (SELECT user_id FROM lake.users WHERE org_id = $1) AND {day} < $2"


def count_expired(lake: Lake, nights: Firsts, answers: Firsts) -> dict[str, int]:
    """How many rows `delete_expired` would delete, by table."""
    with lake.read() as con:
        return _each(con, "SELECT count(*)", nights, answers)


def delete_expired(lake: Lake, nights: Firsts, answers: Firsts) -> dict[str, int]:
    """Delete rows in one transaction, and make the files anew that held them.

    Earlier snapshots, and the files that they need, go by maintenance.

    Args:
        lake: The lake.
        nights: The first start date of sessions that is kept, by organisation; what is made of a
            session or says why it could not be read goes by it too.
        answers: The first partition date of `raw` that is kept, by organisation.

    Returns:
        Rows deleted, by table.

    Raises:
        LakeError: The lake refused a commit.
    """
    nights, answers = list(nights), list(answers)
    if not any(count_expired(lake, nights, answers).values()):
        return dict.fromkeys((*_NIGHTS, *_ANSWERS), 0)
    with lake.write("retention") as con:
        keep_commits(con)
        deleted = _each(con, "DELETE", nights, answers)
    rewrite_files(lake)
    return deleted


def expire_in(con: duckdb.DuckDBPyConnection, nights: Firsts) -> None:
    """Delete the nights whose time is over, in a transaction that is open."""
    _each(con, "DELETE", nights, ())


def _each(
    con: duckdb.DuckDBPyConnection, verb: str, nights: Firsts, answers: Firsts
) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tables, firsts in ((_NIGHTS, nights), (_ANSWERS, answers)):
        for table, day in tables.items():
            sql = f"{verb} FROM lake.{table} WHERE {_OVER.format(day=day)}"
            found = [con.execute(sql, list(first)).fetchall()[0][0] for first in firsts]
            counts[table] = sum(found)
    return counts
