"""Raw answers into `sessions` and `quarantine`: what is new in `raw`, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from itertools import groupby
from typing import Any

import duckdb
import msgspec
import polars as pl

from asleep_pipeline.asleep import (
    Session,
    SessionItem,
    UnreadableAnswer,
    decode_session,
    decode_session_page,
)
from asleep_pipeline.lake.ducklake import Lake, delete_keys, insert
from asleep_pipeline.lake.progress import mark_read, unread_batches
from asleep_pipeline.lake.tables import QUARANTINE, SESSIONS
from asleep_pipeline.normalise.fold import (
    DetailAnswer,
    Detailed,
    Entry,
    Fold,
    Key,
    Listed,
    Listing,
)
from asleep_pipeline.normalise.rows import SessionParts, session_rows
from asleep_pipeline.normalise.rules import Broken, broken_by_item, broken_by_session
from asleep_pipeline.zones.fallbacks import ZoneFallbacks, read_fallbacks

STREAM = "sessions"
_ENDPOINTS = ("list_sessions", "get_session")
_FOUND = 200
_WINDOWS = {"user_id": pl.String, "window_start": pl.Date, "window_end": pl.Date}
_KEYS = {"user_id": pl.String, "session_id": pl.String}
_IN_WINDOW = "s.start_date BETWEEN asked.window_start AND asked.window_end"
_SAME_SESSION = "s.session_id = asked.session_id"
Event = Listing | DetailAnswer


@dataclass(slots=True)
class NormaliseReport:
    """What one reading of new answers changed, by the UTC date on which the sessions start."""

    answers: int = 0
    written: Counter[date] = field(default_factory=Counter)
    removed: Counter[date] = field(default_factory=Counter)
    quarantined: Counter[date] = field(default_factory=Counter)

    @property
    def dates(self) -> list[date]:
        """Dates with a change."""
        return sorted(self.written.keys() | self.removed.keys() | self.quarantined.keys())


@dataclass(slots=True)
class _Batch:
    """One batch of new answers of a shard, and the lake around it."""

    con: duckdb.DuckDBPyConnection
    shard: int
    fallbacks: ZoneFallbacks
    rules: pl.DataFrame
    report: NormaliseReport
    last_rowid: int
    bodies: dict[str, bytes] = field(default_factory=dict)
    relisted: list[tuple[str, date, date]] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)


def normalise_sessions(
    lake: Lake, *, shard: int, organisations: dict[str, str], default_zone: str
) -> NormaliseReport:
    """Read the shard's new answers into `sessions`; one transaction, so all of it or nothing.

    Args:
        lake: The lake.
        shard: Whose users.
        organisations: Zone by organisation, for sessions and users without one.
        default_zone: Zone of everyone else.

    Raises:
        LakeError: The lake refused the commit.
    """
    with lake.write(f"sessions, shard {shard}") as con:
        return read_new_answers(
            con, shard=shard, organisations=organisations, default_zone=default_zone
        )


def read_new_answers(
    con: duckdb.DuckDBPyConnection,
    *,
    shard: int,
    organisations: dict[str, str],
    default_zone: str,
) -> NormaliseReport:
    """`normalise_sessions` within a transaction that is already open."""
    report = NormaliseReport()
    fallbacks = read_fallbacks(con, organisations, default_zone)
    rules = con.execute("SELECT tz, utc_from, offset_s FROM lake.tz_rules").pl()
    for answers in unread_batches(con, STREAM, shard, _ENDPOINTS):
        batch = _Batch(con, shard, fallbacks, rules, report, answers["rowid"][-1])
        _read(batch, answers)
        report.answers += answers.height
    mark_read(con, STREAM, shard)
    return report


def _read(batch: _Batch, answers: pl.DataFrame) -> None:
    events = list(_events(batch, answers))
    fold = _stored(batch, events)
    for event in events:
        fold.read(event)
    changed = dict(fold.changed())
    _attach_settled_details(batch, changed)
    _write(batch, changed, _parts(batch, changed))


def _events(batch: _Batch, answers: pl.DataFrame) -> Iterator[Event]:
    """The answers as events, in the order of commits and, within one, of time."""
    rows = sorted(
        answers.iter_rows(named=True),
        key=lambda r: (r["snapshot_id"], r["listed_at"] or r["fetched_at"], r["user_id"]),
    )
    for (_, listed_at, _), group in groupby(
        rows, key=lambda r: (r["snapshot_id"], r["listed_at"], r["user_id"])
    ):
        if listed_at is None:
            yield from (_detail_answer(batch, row) for row in group)
        else:
            yield from _listing(batch, list(group))


def _listing(batch: _Batch, pages: Sequence[dict[str, Any]]) -> Iterator[Listing]:
    # A page without a body says nothing that `sessions` does not say already.
    if any(page["body"] is None for page in pages):
        return
    try:
        items = [i for p in pages for i in decode_session_page(p["body"]).sleep_session_list]
    except UnreadableAnswer as error:
        _set_aside(batch, pages[0], [Broken("the list can be read", error.problem)])
        return
    first = pages[0]
    _forget_list_rows(batch, first)
    yield Listing(
        org_id=first["org_id"],
        user_id=first["user_id"],
        window_start=first["window_start"],
        window_end=first["window_end"],
        listed_at=first["listed_at"],
        session_ids=frozenset(item.session_id for item in items),
        items=tuple(item for item in items if _is_sound(batch, first, item)),
    )


def _forget_list_rows(batch: _Batch, page: dict[str, Any]) -> None:
    """A listing says anew which list rows of its user and window break a rule."""
    user_id, start, end = (page[name] for name in _WINDOWS)
    batch.relisted.append((user_id, start, end))
    batch.quarantine = [
        row
        for row in batch.quarantine
        if row["user_id"] != user_id or not start <= row["partition_date"] <= end
    ]


def _is_sound(batch: _Batch, page: dict[str, Any], item: SessionItem) -> bool:
    broken = list(broken_by_item(item))
    # Within the window, so that the next listing of it finds the row again.
    day = min(max(item.session_start_time.date(), page["window_start"]), page["window_end"])
    _set_aside(batch, page | {"session_id": item.session_id, "partition_date": day}, broken)
    return not broken


def _detail_answer(batch: _Batch, row: dict[str, Any]) -> DetailAnswer:
    found = row["status"] == _FOUND
    if found and row["body"] is not None:
        batch.bodies[row["body_sha256"]] = row["body"]
    return DetailAnswer(
        org_id=row["org_id"],
        user_id=row["user_id"],
        session_id=row["session_id"],
        start_date=row["partition_date"],
        body_sha256=row["body_sha256"] if found else None,
        fetched_at=row["fetched_at"],
    )


def _stored(batch: _Batch, events: Sequence[Event]) -> Fold:
    """Begin the fold with the stored sessions that the events may speak of."""
    listings = [e for e in events if isinstance(e, Listing)]
    details = [e for e in events if isinstance(e, DetailAnswer)]
    windows = pl.DataFrame(
        list({(e.user_id, e.window_start, e.window_end) for e in listings}),
        schema=_WINDOWS,
        orient="row",
    )
    keys = pl.DataFrame(
        list({(e.user_id, e.session_id) for e in details}), schema=_KEYS, orient="row"
    )
    fold = Fold()
    # Two hash joins; one join on either condition would compare every row with every other.
    for asked, on in ((windows, _IN_WINDOW), (keys, _SAME_SESSION)):
        for row in _stored_rows(batch, asked, on):
            fold.remember(row["user_id"], row["session_id"], _stored_entry(row))
    return fold


def _stored_rows(batch: _Batch, asked: pl.DataFrame, on: str) -> list[dict[str, Any]]:
    batch.con.register("asked", asked.to_arrow())
    rows = batch.con.execute(
        f"""
        SELECT user_id, session_id, org_id, state, started_at, ended_at, unexpected_ended_at,
               created_timezone, last_received_seq_num, listed_time_in_bed_s, extra, list_hash,
               listed_at, detail_sha256, fetched_at, start_date
        FROM lake.sessions AS s SEMI JOIN asked ON s.user_id = asked.user_id AND {on}
        WHERE shard = $shard
        """,
        {"shard": batch.shard},
    ).pl()
    batch.con.unregister("asked")
    return rows.to_dicts()


def _stored_entry(row: dict[str, Any]) -> Entry:
    listed = detailed = None
    if row["list_hash"] is not None:
        item = SessionItem(
            session_id=row["session_id"],
            state=row["state"],
            session_start_time=row["started_at"],
            session_end_time=row["ended_at"],
            unexpected_end_time=row["unexpected_ended_at"],
            created_timezone=row["created_timezone"],
            last_received_seq_num=row["last_received_seq_num"],
            time_in_bed=row["listed_time_in_bed_s"],
            extra=msgspec.json.decode(row["extra"] or "{}").get("list", {}),
        )
        listed = Listed(item, row["list_hash"], row["listed_at"])
    if row["detail_sha256"] is not None:
        detailed = Detailed(row["detail_sha256"], row["fetched_at"])
    return Entry(row["org_id"], listed, detailed, is_stored=True, start_date=row["start_date"])


def _attach_settled_details(batch: _Batch, changed: dict[Key, Entry]) -> None:
    """Find in `raw` the bodies that are needed and did not come with this batch.

    A session that comes back as it was is not asked for again, because `raw` holds its detail.
    """
    wanted = {
        key: entry
        for key, entry in changed.items()
        if not entry.is_gone
        and (
            entry.detailed.body_sha256 not in batch.bodies if entry.detailed else entry.is_complete
        )
    }
    needed = []
    for row in _raw_details(batch, list(wanted)):
        entry = wanted[row["user_id"], row["session_id"]]
        if entry.detailed is None:
            if entry.listed is None or row["list_hash"] != entry.listed.hash:
                continue
            entry.detailed = Detailed(row["body_sha256"], row["fetched_at"])
        if entry.detailed.body_sha256 == row["body_sha256"] and row["has_body"]:
            needed.append(row)
    batch.bodies.update(_raw_bodies(batch, needed))


def _raw_details(batch: _Batch, keys: Sequence[Key]) -> list[dict[str, Any]]:
    """Details of some sessions that `raw` holds up to this batch, newest first."""
    if not keys:
        return []
    frame = pl.DataFrame(keys, schema=["user_id", "session_id"], orient="row")
    batch.con.register("wanted", frame.to_arrow())
    rows = batch.con.execute(
        """
        SELECT user_id, session_id, list_hash, body_sha256, fetched_at, partition_date,
               body IS NOT NULL AS has_body
        FROM lake.raw AS r SEMI JOIN wanted USING (user_id, session_id)
        WHERE r.shard = $shard AND r.endpoint = 'get_session' AND r.status = $found
          AND r.rowid <= $last
        ORDER BY r.rowid DESC
        """,
        {"shard": batch.shard, "found": _FOUND, "last": batch.last_rowid},
    ).pl()
    batch.con.unregister("wanted")
    return rows.to_dicts()


def _raw_bodies(batch: _Batch, rows: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """The bodies of some details, by their hash; only files of their dates are opened."""
    if not rows:
        return {}
    dates = [row["partition_date"] for row in rows]
    found = batch.con.execute(
        """
        SELECT body_sha256, body FROM lake.raw
        WHERE shard = $shard AND endpoint = 'get_session' AND body IS NOT NULL
          AND body_sha256 IN (SELECT unnest($hashes)) AND partition_date BETWEEN $first AND $last
        """,
        {
            "shard": batch.shard,
            "hashes": [row["body_sha256"] for row in rows],
            "first": min(dates),
            "last": max(dates),
        },
    ).fetchall()
    return dict(found)


def _parts(batch: _Batch, changed: dict[Key, Entry]) -> list[SessionParts]:
    parts = []
    for (user_id, session_id), entry in changed.items():
        if entry.is_gone:
            continue
        detail, broken = _detail(batch, session_id, entry)
        if broken:
            _set_aside(batch, _reference(user_id, session_id, entry), broken)
        if detail is not None or entry.listed is not None:
            parts.append(SessionParts(user_id, session_id, entry, detail, bool(broken)))
    return parts


def _detail(batch: _Batch, session_id: str, entry: Entry) -> tuple[Session | None, list[Broken]]:
    """The session's detail, or the rules that it breaks."""
    if entry.detailed is None:
        return None, []
    try:
        detail = decode_session(batch.bodies[entry.detailed.body_sha256])
    except UnreadableAnswer as error:
        return None, [Broken("the detail can be read", error.problem)]
    broken = list(broken_by_session(detail, asked_for=session_id))
    return (None, broken) if broken else (detail, [])


def _reference(user_id: str, session_id: str, entry: Entry) -> dict[str, Any]:
    assert entry.detailed is not None, "only a detail can break a detail's rule"
    started_at = entry.listed.item.session_start_time if entry.listed else entry.detailed.fetched_at
    return {
        "partition_date": started_at.astimezone(UTC).date(),
        "endpoint": "get_session",
        "user_id": user_id,
        "session_id": session_id,
        "body_sha256": entry.detailed.body_sha256,
        "fetched_at": entry.detailed.fetched_at,
    }


def _set_aside(batch: _Batch, answer: dict[str, Any], broken: Sequence[Broken]) -> None:
    batch.quarantine.extend(
        {
            "shard": batch.shard,
            "partition_date": answer["partition_date"],
            "endpoint": answer["endpoint"],
            "user_id": answer["user_id"],
            "session_id": answer["session_id"],
            "rule": broke.rule,
            "value": broke.value,
            "body_sha256": answer["body_sha256"],
            "quarantined_at": answer["fetched_at"],
        }
        for broke in broken
    )


def _write(batch: _Batch, changed: dict[Key, Entry], parts: Sequence[SessionParts]) -> None:
    frame = session_rows(parts, shard=batch.shard, fallbacks=batch.fallbacks, rules=batch.rules)
    keys = pl.DataFrame(list(changed), schema=list(SESSIONS.key), orient="row")
    stored = [key for key, entry in changed.items() if entry.is_stored]
    delete_keys(batch.con, SESSIONS, pl.DataFrame(stored, schema=list(SESSIONS.key), orient="row"))
    insert(batch.con, SESSIONS, frame)
    _write_quarantine(batch, keys)
    batch.report.written.update(frame["start_date"].to_list())
    batch.report.removed.update(
        entry.start_date
        for entry in changed.values()
        if entry.is_gone and entry.is_stored and entry.start_date is not None
    )


def _write_quarantine(batch: _Batch, decided: pl.DataFrame) -> None:
    """What was decided anew replaces what was said of it before."""
    details = decided.with_columns(endpoint=pl.lit("get_session"))
    delete_keys(batch.con, QUARANTINE, details)
    relisted = pl.DataFrame(batch.relisted, schema=_WINDOWS, orient="row")
    batch.con.register("relisted", relisted.to_arrow())
    batch.con.execute(
        """
        DELETE FROM lake.quarantine AS q WHERE q.endpoint = 'list_sessions' AND EXISTS (
            SELECT 1 FROM relisted AS r WHERE r.user_id = q.user_id
                AND q.partition_date BETWEEN r.window_start AND r.window_end)
        """
    )
    batch.con.unregister("relisted")
    rows = pl.DataFrame(batch.quarantine, schema=QUARANTINE.schema)
    frame = rows.unique(QUARANTINE.key, keep="last", maintain_order=True)
    delete_keys(batch.con, QUARANTINE, frame.select(QUARANTINE.key))
    insert(batch.con, QUARANTINE, frame)
    batch.report.quarantined.update(frame["partition_date"].to_list())
