"""Answers on their way into `raw`: gathered, and committed in chunks."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from asleep_pipeline.lake.ducklake import Lake, insert
from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.lake.users import LakeUser

CHUNK_ANSWERS = 2_000
CHUNK_BYTES = 64 * 1024 * 1024


def sha256(body: bytes) -> str:
    """The hash by which `raw` knows a body."""
    return hashlib.sha256(body).hexdigest()


def raw_row(
    user: LakeUser,
    endpoint: str,
    *,
    shards: int,
    partition_date: date,
    body: bytes,
    fetched_at: datetime,
    timezone: str = "UTC",
    status: int = 200,
    stored_sha256: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One row of `raw`.

    Args:
        user: Whom the answer is about.
        endpoint: The API's endpoint by name.
        shards: Number of shards of the lake.
        partition_date: UTC date of the partition that the answer belongs to.
        body: The answer as received.
        fetched_at: When it was complete, UTC.
        timezone: The zone header that was sent.
        status: HTTP status.
        stored_sha256: The body that `raw` holds already; an equal one is not stored again.
        **more: Further columns of `raw`.
    """
    digest = sha256(body)
    return {
        "shard": shard_of(user.user_id, shards),
        "partition_date": partition_date,
        "endpoint": endpoint,
        "org_id": user.org_id,
        "user_id": user.user_id,
        "timezone": timezone,
        "status": status,
        "body_sha256": digest,
        "body": None if digest == stored_sha256 else body,
        "fetched_at": fetched_at.astimezone(UTC),
        "source": "pull",
    } | more


@dataclass(slots=True)
class Chunks:
    """Gathers rows of `raw` and commits them a chunk at a time; a crash loses one chunk at most."""

    lake: Lake
    why: str
    committed: Counter[date] = field(default_factory=Counter)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _bytes: int = 0

    def add(self, *rows: dict[str, Any]) -> None:
        """Take rows that must not be parted by a commit."""
        self._rows.extend(rows)
        self._bytes += sum(len(row["body"] or b"") for row in rows)

    @property
    def is_full(self) -> bool:
        """Whether it is time to commit."""
        return len(self._rows) >= CHUNK_ANSWERS or self._bytes >= CHUNK_BYTES

    def flush(self) -> None:
        """Commit what has been gathered, one transaction; rows may be added meanwhile.

        Raises:
            LakeError: The lake refused it; nothing of the chunk is in the lake then.
        """
        rows, self._rows, self._bytes = self._rows, [], 0
        if not rows:
            return
        frame = pl.DataFrame(rows, schema=RAW.schema)
        with self.lake.write(f"{self.why}: {frame.height} answers") as con:
            frame = self.lake.without_erased(frame)
            insert(con, RAW, frame)
        self.committed.update(frame["partition_date"].to_list())
