"""How far each reader of `raw` has come, kept in the same transaction as what it wrote.

Row ids of a DuckLake table grow in the order of commits and survive compaction, so one number says
which answers were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import duckdb
import polars as pl

from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.tables import PROGRESS

BATCH_ANSWERS = 5_000
_SLICE_ANSWERS = 250


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
    for slices in unread_slices(con, stream, shard, endpoints):
        yield pl.concat(slices).sort("rowid")


def unread_slices(
    con: duckdb.DuckDBPyConnection, stream: str, shard: int, endpoints: Sequence[str]
) -> Iterator[Iterator[pl.DataFrame]]:
    """`unread_batches` without ever holding all bodies of a batch.

    Yields:
        Each batch in slices of some hundred rows, in no order; to be read to the end before the
        connection is asked for anything else.
    """
    params = {"shard": shard, "after": _read_up_to(con, stream, shard), "of": list(endpoints)}
    commits = con.execute(
        """
        SELECT snapshot_id, count(*), min(fetched_at), max(fetched_at) FROM lake.raw
        WHERE shard = $shard AND rowid > $after AND list_contains($of, endpoint)
        GROUP BY snapshot_id ORDER BY snapshot_id
        """,
        params,
    ).fetchall()
    for span in _spans(commits):
        reader = con.execute(
            """
            SELECT *, rowid, snapshot_id FROM lake.raw
            WHERE shard = $shard AND rowid > $after AND list_contains($of, endpoint)
              AND snapshot_id BETWEEN $first AND $last
              -- Says nothing new, but files know it: the others are not opened.
              AND fetched_at BETWEEN $since AND $until
            """,
            params | span,
        ).to_arrow_reader(_SLICE_ANSWERS)
        yield (pl.DataFrame(rows) for rows in reader)


def shards_with_unread(
    con: duckdb.DuckDBPyConnection, stream: str, endpoint: str, since: datetime
) -> set[int]:
    """The shards with answers that came since an instant and that the stream has not read."""
    rows = con.execute(
        """
        SELECT DISTINCT r.shard FROM lake.raw AS r
        LEFT JOIN lake.progress AS p ON p.shard = r.shard AND p.stream = $stream
        WHERE r.endpoint = $endpoint AND r.fetched_at >= $since
          AND r.rowid > coalesce(p.raw_rowid, -1)
        """,
        {"stream": stream, "endpoint": endpoint, "since": since},
    ).fetchall()
    return {shard for (shard,) in rows}


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


def _spans(
    commits: Sequence[tuple[int, int, datetime, datetime]],
) -> Iterator[dict[str, int | datetime]]:
    """First and last commit of each batch, and its first and last instant.

    A commit is never parted, because a listing is one.
    """
    batch: list[tuple[int, int, datetime, datetime]] = []
    for commit in commits:
        batch.append(commit)
        if sum(rows for _, rows, _, _ in batch) >= BATCH_ANSWERS:
            yield _span(batch)
            batch = []
    if batch:
        yield _span(batch)


def _span(batch: Sequence[tuple[int, int, datetime, datetime]]) -> dict[str, int | datetime]:
    snapshots, _, since, until = zip(*batch, strict=True)
    return {
        "first": snapshots[0],
        "last": snapshots[-1],
        "since": min(since),
        "until": max(until),
    }
