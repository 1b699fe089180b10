"""Rows of `sessions` out of list rows and details, column by column."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Final

import msgspec
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types

from asleep_pipeline.asleep import SessionItem
from asleep_pipeline.asleep.models import SessionFacts
from asleep_pipeline.lake.tables import SESSIONS, STAT_COLUMNS
from asleep_pipeline.normalise.details import KNOWN_STAGES, Detail, Stages
from asleep_pipeline.normalise.fold import Entry
from asleep_pipeline.zones.fallbacks import ZoneFallbacks
from asleep_pipeline.zones.local_time import add_local_time, utc_date

_TYPES: Final = {
    field.name: field.type for field in pl.DataFrame(schema=SESSIONS.schema).to_arrow().schema
}


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What one row is made of."""

    user_id: str
    session_id: str
    entry: Entry
    detail: Detail | None
    is_quarantined: bool


@dataclass(frozen=True, slots=True)
class _About:
    """What list row and detail both say of a session."""

    state: str
    started_at: datetime
    ended_at: datetime | None
    unexpected_ended_at: datetime | None
    created_timezone: str | None


def session_rows(
    parts: Sequence[SessionParts],
    *,
    shard: int,
    fallbacks: ZoneFallbacks,
    rules: pl.DataFrame,
) -> pl.DataFrame:
    """The rows of `sessions`, in its schema.

    Args:
        parts: Sessions that have a list row or a detail.
        shard: The shard of all of them.
        fallbacks: Zones for sessions without one.
        rules: `tz_rules`.
    """
    about = [_about(part) for part in parts]
    zones = [
        fallbacks.zone_of(a.created_timezone, p.user_id, p.entry.org_id)
        for a, p in zip(about, parts, strict=True)
    ]
    placed: dict[str, list[Any]] = {
        "shard": [shard] * len(parts),
        "timezone": [zone for zone, _ in zones],
        "timezone_source": [source for _, source in zones],
    }
    columns = (
        placed
        | _identity_columns(parts)
        | _about_columns(about)
        | _list_columns(parts, about)
        | _detail_columns(parts)
    )
    # Arrow makes UTC of any offset and columns of lists in a tenth of the time that polars takes.
    arrays = {name: pa.array(values, type=_TYPES[name]) for name, values in columns.items()}
    arrays |= _stage_arrays(parts)
    frame = pl.DataFrame(pa.table(arrays))
    return _with_local_time(frame, rules).select(
        pl.col(name).cast(dtype) for name, dtype in SESSIONS.schema.items()
    )


def _about(part: SessionParts) -> _About:
    """What the newer of list row and detail says."""
    listed, detail = part.entry.listed, part.detail
    if listed is not None and (detail is None or part.entry.list_is_newer):
        return _about_item(listed.item)
    assert detail is not None, "a row has a list row or a detail"
    return _about_session(detail.session)


def _about_item(item: SessionItem) -> _About:
    return _About(
        item.state,
        item.session_start_time.astimezone(UTC),
        _utc(item.session_end_time),
        _utc(item.unexpected_end_time),
        item.created_timezone,
    )


def _about_session(session: SessionFacts) -> _About:
    return _About(
        session.state,
        session.start_time.astimezone(UTC),
        _utc(session.end_time),
        _utc(session.unexpected_end_time),
        session.created_timezone,
    )


def _identity_columns(parts: Sequence[SessionParts]) -> dict[str, list[Any]]:
    return {
        "session_id": [p.session_id for p in parts],
        "user_id": [p.user_id for p in parts],
        "org_id": [p.entry.org_id for p in parts],
        "is_quarantined": [p.is_quarantined for p in parts],
        "has_detail": [p.detail is not None for p in parts],
        "has_stat": [p.detail is not None and p.detail.result.stat is not None for p in parts],
        "extra": [_extra(p) for p in parts],
    }


def _about_columns(about: Sequence[_About]) -> dict[str, list[Any]]:
    return {name: [getattr(a, name) for a in about] for name in _About.__slots__} | {
        "start_date": [utc_date(a.started_at) for a in about]
    }


def _list_columns(parts: Sequence[SessionParts], about: Sequence[_About]) -> dict[str, list[Any]]:
    listed = [p.entry.listed for p in parts]
    items = [e.item if e else None for e in listed]
    return {
        "last_received_seq_num": _values(items, "last_received_seq_num"),
        "listed_time_in_bed_s": _values(items, "time_in_bed"),
        "list_hash": _values(listed, "hash"),
        "listed_at": _values(listed, "listed_at"),
        "list_row": [_overruled(item, a) for item, a in zip(items, about, strict=True)],
    }


def _overruled(item: SessionItem | None, about: _About) -> str | None:
    """A list row that a newer detail contradicts: what it said comes back when the detail goes."""
    if item is None or _about_item(item) == about:
        return None
    return msgspec.json.encode(item, order="sorted").decode()


def _detail_columns(parts: Sequence[SessionParts]) -> dict[str, list[Any]]:
    results = [p.detail and p.detail.result for p in parts]
    stats = [r and r.stat for r in results]
    newest = [p.entry.detailed for p in parts]
    return {column.name: _values(stats, column.name) for column in STAT_COLUMNS} | {
        "peculiarities": _values(results, "peculiarities"),
        "missing_data_ratio": _values(results, "missing_data_ratio"),
        "readings": _values(results, "readings"),
        "detail_sha256": _values(newest, "body_sha256"),
        "fetched_at": _values(newest, "fetched_at"),
        "pushed_at": [p.entry.pushed_at for p in parts],
    }


def _stage_arrays(parts: Sequence[SessionParts]) -> dict[str, pa.Array]:
    return {
        name: _stage_array([p.detail.stages[name] if p.detail else None for p in parts])
        for name in KNOWN_STAGES
    }


def _stage_array(series: Sequence[Stages]) -> pa.Array:
    """Lists of signed bytes, from their bytes put end to end."""
    packed = [bytes(array("b", each)) if isinstance(each, list) else each or b"" for each in series]
    ends = array("q", accumulate(map(len, packed), initial=0))
    return pa.LargeListArray.from_arrays(
        pa.Array.from_buffers(pa.int64(), len(ends), [None, pa.py_buffer(ends)]),
        pa.Array.from_buffers(pa.int8(), ends[-1], [None, pa.py_buffer(b"".join(packed))]),
        mask=pa.array([each is None for each in series], pa.bool_()),
    )


def _values(records: Iterable[Any], name: str) -> list[Any]:
    return [None if record is None else getattr(record, name) for record in records]


def _extra(part: SessionParts) -> str | None:
    """Keys that nobody documented, by the place they stood in; None when there are none."""
    places = {
        "list": part.entry.listed and part.entry.listed.item.extra,
        "result": part.detail and part.detail.result.extra,
        "session": part.detail and part.detail.session.extra,
        "stat": part.detail and part.detail.result.stat and part.detail.result.stat.extra,
    }
    found = {place: keys for place, keys in places.items() if keys}
    return msgspec.json.encode(found).decode() if found else None


def _with_local_time(frame: pl.DataFrame, rules: pl.DataFrame) -> pl.DataFrame:
    for moment in ("start", "end"):
        frame = add_local_time(
            frame,
            rules,
            instant=f"{moment}ed_at",
            zone="timezone",
            local=f"{moment}ed_at_local",
            offset_min=f"utc_offset_{moment}_min",
        )
    return frame.with_columns(
        start_date_local=pl.col("started_at_local").dt.date(),
        night_date=pl.col("ended_at_local").dt.date(),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
