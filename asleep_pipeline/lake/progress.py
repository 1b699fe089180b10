"""How far each reader of `raw` has come, kept in the same transaction as what it wrote.

Row ids of a DuckLake table grow in the order of commits and survive compaction, so one number says
which answers were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import duckdb
import polars as pl

from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import PROGRESS, RAW, RAW_COMMITS

BATCH_ANSWERS = 5_000
_SLICE_ANSWERS = 250
_COMMITS: Final = """
    SELECT r.shard, r.endpoint, r.fetched_at, r.rowid, coalesce(c.snapshot, r.snapshot_id) AS commit
    FROM lake.raw AS r ASOF LEFT JOIN lake.raw_commits AS c ON r.rowid >= c.first_rowid
"""
_UNREAD: Final = """
    lake.raw WHERE shard = $shard AND rowid BETWEEN $first AND $last
        AND list_contains($of, endpoint)
        -- Says nothing new, but files know it: the others are not opened.
        AND fetched_at BETWEEN $since AND $until
"""

_Commit = tuple[int, int, int, int, datetime, datetime]
"""Snapshot, number of rows, first and last row, first and last instant."""


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
        f"""
        SELECT commit, count(*), min(rowid), max(rowid), min(fetched_at), max(fetched_at)
        FROM ({_COMMITS} WHERE shard = $shard AND r.rowid > $after AND list_contains($of, endpoint))
        GROUP BY commit ORDER BY commit
        """,
        params,
    ).fetchall()
    rewritten = con.execute("SELECT * FROM lake.raw_commits ORDER BY first_rowid").pl()
    for span in _spans(commits):
        reader = con.execute(
            f"FROM {opened(con, RAW, _UNREAD)}", {"shard": shard, "of": params["of"]} | span
        ).to_arrow_reader(_SLICE_ANSWERS)
        yield (_with_commits(pl.DataFrame(rows), rewritten) for rows in reader)


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


def keep_commits(con: duckdb.DuckDBPyConnection) -> None:
    """Write down which commit each row of `raw` came with, before its file is rewritten.

    A row counts as written by the snapshot that rewrote it, while its row id stays. Readers rely on
    the commit: a listing is never parted from its pages, and events are read in the order of commits.
    """
    commits = con.execute(
        f"""
        SELECT min(rowid) AS first_rowid, commit AS snapshot FROM ({_COMMITS}) GROUP BY commit
        UNION ALL
        SELECT coalesce(max(rowid) + 1, 0), NULL FROM lake.raw
        """
    ).pl()
    con.execute("DELETE FROM lake.raw_commits")
    insert(con, RAW_COMMITS, commits)


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


def _with_commits(rows: pl.DataFrame, rewritten: pl.DataFrame) -> pl.DataFrame:
    """Rows of `raw` whose `snapshot_id` is that of the commit they came with."""
    if rewritten.is_empty():
        return rows
    came_with = rows.sort("rowid").join_asof(
        rewritten, left_on="rowid", right_on="first_rowid", strategy="backward"
    )
    return came_with.with_columns(snapshot_id=pl.coalesce("snapshot", "snapshot_id")).select(
        rows.columns
    )


def _spans(commits: Sequence[_Commit]) -> Iterator[dict[str, int | datetime]]:
    """First and last row of each batch, and its first and last instant.

    A commit is never parted, because a listing is one.
    """
    batch: list[_Commit] = []
    for commit in commits:
        batch.append(commit)
        if sum(rows for _, rows, *_ in batch) >= BATCH_ANSWERS:
            yield _span(batch)
            batch = []
    if batch:
        yield _span(batch)


def _span(batch: Sequence[_Commit]) -> dict[str, int | datetime]:
    _, _, first, last, since, until = zip(*batch, strict=True)
    return {
        "first": min(first),
        "last": max(last),
        "since": min(since),
        "until": max(until),
    }
