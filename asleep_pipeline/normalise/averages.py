"""Raw averages into `average_stats`: the newest answer of a user, month and zone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import duckdb
import msgspec
import polars as pl

from asleep_pipeline.asleep import Averages, AverageStats, UnreadableAnswer, decode_average_stats
from asleep_pipeline.lake.ducklake import Lake, delete_keys, insert
from asleep_pipeline.lake.progress import mark_read, unread_batches
from asleep_pipeline.lake.tables import AVERAGE_STATS, QUARANTINE

STREAM = "average_stats"
_MEANS: Final = tuple(name for name in Averages.__struct_fields__ if name != "extra")


@dataclass(slots=True)
class AveragesReport:
    """Rows written and answers set aside, by month."""

    written: Counter[date] = field(default_factory=Counter)
    quarantined: Counter[date] = field(default_factory=Counter)


def normalise_averages(lake: Lake, *, shard: int) -> AveragesReport:
    """Read the shard's new answers into `average_stats`; one transaction.

    Raises:
        LakeError: The lake refused the commit.
    """
    with lake.write(f"average_stats, shard {shard}") as con:
        return read_new_averages(con, shard=shard)


def read_new_averages(con: duckdb.DuckDBPyConnection, *, shard: int) -> AveragesReport:
    """`normalise_averages` within a transaction that is already open."""
    report = AveragesReport()
    for answers in unread_batches(con, STREAM, shard, ["average_stats"]):
        newest = answers.sort("snapshot_id", "fetched_at").unique(
            ["user_id", "partition_date", "timezone"], keep="last", maintain_order=True
        )
        _write(con, newest.to_dicts(), report)
    mark_read(con, STREAM, shard)
    return report


def _write(
    con: duckdb.DuckDBPyConnection, answers: Sequence[dict[str, Any]], report: AveragesReport
) -> None:
    rows: list[dict[str, Any]] = []
    aside: dict[tuple[str, date], dict[str, Any] | None] = {}
    for answer in answers:
        month = (answer["user_id"], answer["partition_date"])
        aside[month] = None
        try:
            rows.append(_row(answer, decode_average_stats(answer["body"])))
        except UnreadableAnswer as error:
            aside[month] = _aside(answer, error)
    asked = [(a["user_id"], a["partition_date"], a["timezone"]) for a in answers]
    # The newest answer counts: one that cannot be read takes away what an older one said.
    delete_keys(
        con, AVERAGE_STATS, pl.DataFrame(asked, schema=list(AVERAGE_STATS.key), orient="row")
    )
    frame = pl.DataFrame(rows, schema=AVERAGE_STATS.schema)
    insert(con, AVERAGE_STATS, frame)
    months = pl.DataFrame(list(aside), schema=["user_id", "partition_date"], orient="row")
    delete_keys(con, QUARANTINE, months.with_columns(endpoint=pl.lit("average_stats")))
    bad = pl.DataFrame([row for row in aside.values() if row], schema=QUARANTINE.schema)
    insert(con, QUARANTINE, bad)
    report.written.update(frame["month"].to_list())
    report.quarantined.update(bad["partition_date"].to_list())


def _row(answer: dict[str, Any], said: AverageStats) -> dict[str, Any]:
    extra = {"result": said.extra, "average_stats": said.average_stats and said.average_stats.extra}
    known = {place: keys for place, keys in extra.items() if keys}
    return {
        "user_id": answer["user_id"],
        "org_id": answer["org_id"],
        "shard": answer["shard"],
        "month": answer["partition_date"],
        "timezone": answer["timezone"],
        "window_end": answer["window_end"],
        "peculiarities": said.peculiarities,
        "slept_sessions": len(said.slept_sessions),
        "slept_session_ids": sorted(session.id for session in said.slept_sessions),
        "never_slept_sessions": len(said.never_slept_sessions),
        "never_slept_session_ids": sorted(session.id for session in said.never_slept_sessions),
        "readings": list(said.readings),
        "extra": msgspec.json.encode(known).decode() if known else None,
        "fetched_at": answer["fetched_at"],
    } | {name: getattr(said.average_stats, name, None) for name in _MEANS}


def _aside(answer: dict[str, Any], error: UnreadableAnswer) -> dict[str, Any]:
    return {
        "shard": answer["shard"],
        "partition_date": answer["partition_date"],
        "endpoint": "average_stats",
        "user_id": answer["user_id"],
        "session_id": None,
        "rule": "the averages can be read",
        "value": error.problem[:80],
        "body_sha256": answer["body_sha256"],
        "quarantined_at": answer["fetched_at"],
    }
