"""How far each reader of `raw` has come, kept in the same transaction as what it wrote.

Row ids of a DuckLake table grow in the order of commits and survive compaction, so one number says
which answers were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import polars as pl

from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.tables import PROGRESS

BATCH_ANSWERS = 5_000


def unread_batches(
    con: duckdb.DuckDBPyConnection, stream: str, shard: int, endpoints: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """Rows of `raw` that the stream has not read, in batches of whole commits.

    Args:
        con: A connection of `Lake.write`.
        stream: Who reads.
        shard: Whose users.
        endpoints: Whose answers.

    Yields:
        Rows of `raw` with `rowid` and `snapshot_id`, in the order of commits.
    """
    params = {"shard": shard, "after": _read_up_to(con, stream, shard), "of": list(endpoints)}
    commits = con.execute(
        """
        SELECT snapshot_id, count(*) FROM lake.raw
        WHERE shard = $shard AND rowid > $after AND list_contains($of, endpoint)
        GROUP BY snapshot_id ORDER BY snapshot_id
        """,
        params,
    ).fetchall()
    for first, last in _spans(commits):
        yield con.execute(
            """
            SELECT *, rowid, snapshot_id FROM lake.raw
            WHERE shard = $shard AND rowid > $after AND list_contains($of, endpoint)
              AND snapshot_id BETWEEN $first AND $last
            ORDER BY rowid
            """,
            params | {"first": first, "last": last},
        ).pl()


def mark_read(con: duckdb.DuckDBPyConnection, stream: str, shard: int) -> None:
    """Everything of the shard that the connection sees in `raw` has been read by the stream."""
    row = con.execute("SELECT max(rowid) FROM lake.raw WHERE shard = $1", [shard]).fetchone()
    last = row[0] if row else None
    if last is None or last == _read_up_to(con, stream, shard):
        return
    con.execute("DELETE FROM lake.progress WHERE stream = $1 AND shard = $2", [stream, shard])
    columns = {"stream": [stream], "shard": [shard], "raw_rowid": [last]}
    insert(con, PROGRESS, pl.DataFrame(columns, schema=PROGRESS.schema))


def _read_up_to(con: duckdb.DuckDBPyConnection, stream: str, shard: int) -> int:
    row = con.execute(
        "SELECT max(raw_rowid) FROM lake.progress WHERE stream = $1 AND shard = $2", [stream, shard]
    ).fetchone()
    return -1 if row is None or row[0] is None else int(row[0])


def _spans(commits: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """First and last commit of each batch; a commit is never parted, because a listing is one."""
    first, rows = None, 0
    for snapshot, count in commits:
        first = snapshot if first is None else first
        rows += count
        if rows >= BATCH_ANSWERS:
            yield first, snapshot
            first, rows = None, 0
    if first is not None:
        yield first, commits[-1][0]
