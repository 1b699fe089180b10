"""Encrypting a lake that was not: what it holds already, a part a transaction; then nothing else is left.

Whatever stops it, every row is either as it was or sealed, and readers read both; the next call goes on
with the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.maintenance import forget_the_past
from asleep_pipeline.lake.progress import keep_commits
from asleep_pipeline.lake.sealing import IS_CLEAR, PLANS, sealing_assignments
from asleep_pipeline.lake.tables import AVERAGE_STATS, QUARANTINE, RAW, SESSIONS

_ROWS_A_PART: Final = 5_000
_DATED_BY: Final = (
    (SESSIONS, "start_date"),
    (AVERAGE_STATS, "month"),
    (QUARANTINE, "partition_date"),
)


def encrypt(lake: Lake) -> dict[str, int]:
    """Seal every row that is not sealed, and delete the files that held them; writers wait meanwhile.

    Whoever is reading an earlier snapshot for long may find its files gone.

    Args:
        lake: With keys.

    Returns:
        Rows sealed, by table.

    Raises:
        ConfigurationError: It has no keys, or they cannot be used.
        LakeError: The lake refused a commit; what was done before it stays done.
    """
    if lake.keys is None:
        raise ConfigurationError(
            "There is no key to encrypt by.", fix="Set encryption_key_file first."
        )
    done: Counter[str] = Counter()
    for table, part in (*_raw_parts(lake), *_dated_parts(lake)):
        done[table.name] += _seal(lake, table, part)
    forget_the_past(lake, now=datetime.now(UTC), clear=_columns_of_content())
    return {name: done[name] for name in PLANS}


def _raw_parts(lake: Lake) -> Iterator[tuple[Table, str]]:
    """Whole commits, in their order."""
    commits = lake.frame(
        f"SELECT snapshot_id, count(*) AS answers FROM lake.raw WHERE {IS_CLEAR[RAW.name]} "
        "GROUP BY 1 ORDER BY 1"
    ).rows()
    first, answers = None, 0
    for snapshot, count in commits:
        first, answers = snapshot if first is None else first, answers + count
        if answers >= _ROWS_A_PART or snapshot == commits[-1][0]:
            yield RAW, f"snapshot_id BETWEEN {first} AND {snapshot}"
            first, answers = None, 0


def _dated_parts(lake: Lake) -> Iterator[tuple[Table, str]]:
    for table, date in _DATED_BY:
        months = lake.frame(
            f"SELECT DISTINCT shard, date_trunc('month', {date})::DATE AS month "
            f"FROM lake.{table.name} WHERE {IS_CLEAR[table.name]} ORDER BY month, shard"
        ).rows()
        for shard, month in months:
            first = f"DATE '{month}'"
            yield (
                table,
                f"shard = {shard} AND {date} >= {first} AND {date} < {first} + INTERVAL 1 MONTH",
            )


def _seal(lake: Lake, table: Table, part: str) -> int:
    with lake.write(f"encrypt {table.name}") as con:
        if table is RAW:
            keep_commits(con)
        rows = con.execute(
            f"UPDATE lake.{table.name} SET {sealing_assignments(table)} "
            f"WHERE {IS_CLEAR[table.name]} AND {part}"
        ).fetchall()
    return int(rows[0][0])


def _columns_of_content() -> dict[str, tuple[str, ...]]:
    return {name: (*plan.content, *plan.hashes, *plan.bodies) for name, plan in PLANS.items()}
