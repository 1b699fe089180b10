"""Raw answers into `sessions` and `quarantine`: what is new in `raw`, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date
from itertools import groupby
from typing import Any

import duckdb
import polars as pl

from asleep_pipeline.asleep import SessionItem, UnreadableAnswer, decode_session_page
from asleep_pipeline.asleep.events import is_id
from asleep_pipeline.lake.ducklake import Lake, delete_keys, insert
from asleep_pipeline.lake.progress import mark_read, unread_slices
from asleep_pipeline.lake.tables import QUARANTINE, SESSIONS
from asleep_pipeline.normalise.details import Detail, Reading, read_body
from asleep_pipeline.normalise.fold import DetailAnswer, Entry, Fold, Key, Listing
from asleep_pipeline.normalise.rows import SessionParts, session_rows
from asleep_pipeline.normalise.rules import Broken, broken_by_detail, broken_by_item
from asleep_pipeline.normalise.stored import (
    DETAILS,
    FOUND,
    Body,
    Surroundings,
    detail_answer,
    is_anything_aside,
)
from asleep_pipeline.zones.fallbacks import ZoneFallbacks, read_fallbacks

STREAM = "sessions"
_ENDPOINTS = ("list_sessions", *DETAILS)
_WINDOWS = {"user_id": pl.String, "window_start": pl.Date, "window_end": pl.Date}
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
    around: Surroundings
    readings: dict[str, Reading]
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
    for slices in unread_slices(con, STREAM, shard, _ENDPOINTS):
        readings: dict[str, Reading] = {}
        answers = [answer for rows in slices for answer in _without_details(rows, readings)]
        rowids = [answer["rowid"] for answer in answers]
        has_aside = is_anything_aside(con, shard)
        around = Surroundings(con, shard, min(rowids), max(rowids), has_aside)
        batch = _Batch(con, shard, fallbacks, rules, report, around, readings)
        _read(batch, answers)
        report.answers += len(answers)
    mark_read(con, STREAM, shard)
    return report


def _without_details(rows: pl.DataFrame, readings: dict[str, Reading]) -> Iterator[dict[str, Any]]:
    """Answers of which the bodies of details are read, because these take a tenth of the room."""
    for answer in rows.iter_rows(named=True):
        if answer["endpoint"] in DETAILS and answer["status"] == FOUND:
            body = answer.pop("body")
            if body is not None:
                readings[answer["body_sha256"]] = read_body(Body(answer["endpoint"], body))
        yield answer


def _read(batch: _Batch, answers: Sequence[dict[str, Any]]) -> None:
    events = list(_events(batch, answers))
    begin = _beginning(batch, events)
    fold = _folded(begin({}), events)
    lacking = [key for key in fold.lacking if fold.entries[key[0]][key[1]].list_is_newer]
    if lacking:
        fold = _folded(begin(batch.around.settled(lacking)), events)
    changed = dict(fold.changed())
    _look_up(batch, changed)
    changed = {key: entry for key, entry in changed.items() if not _has_expired(batch, entry)}
    _write(batch, changed, _parts(batch, changed))


def _folded(fold: Fold, events: Sequence[Event]) -> Fold:
    for event in events:
        fold.read(event)
    return fold


def _events(batch: _Batch, answers: Sequence[dict[str, Any]]) -> Iterator[Event]:
    """The answers as events, in the order of commits and, within one, of time."""
    rows = sorted(
        answers,
        key=lambda r: (
            r["snapshot_id"],
            r["listed_at"] or r["fetched_at"],
            r["user_id"],
            r["rowid"],
        ),
    )
    for (_, listed_at, _), group in groupby(
        rows, key=lambda r: (r["snapshot_id"], r["listed_at"], r["user_id"])
    ):
        if listed_at is None:
            yield from map(detail_answer, group)
        else:
            yield from _listing(batch, list(group))


def _listing(batch: _Batch, pages: Sequence[dict[str, Any]]) -> Iterator[Listing]:
    first = pages[0]
    about = {name: first[name] for name in ("org_id", "listed_at", *_WINDOWS)}
    # A page without a body says nothing that `sessions` does not say already.
    if any(page["body"] is None for page in pages):
        yield Listing(**about, is_news=False)
        return
    try:
        items = [i for p in pages for i in decode_session_page(p["body"]).sleep_session_list]
    except UnreadableAnswer as error:
        _set_aside(batch, first, [Broken("the list can be read", error.problem)])
        return
    _forget_list_rows(batch, first)
    yield Listing(
        **about,
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
    # No table may hold what is no id, not even quarantine.
    name = item.session_id if is_id(item.session_id) else None
    _set_aside(batch, page | {"session_id": name, "partition_date": day}, broken)
    return not broken


def _beginning(
    batch: _Batch, events: Sequence[Event]
) -> Callable[[Mapping[Key, list[DetailAnswer]]], Fold]:
    """A maker of folds that begin with what the lake holds of what the events may speak of."""
    details = [e for e in events if isinstance(e, DetailAnswer)]
    stored = batch.around.entries([e for e in events if isinstance(e, Listing)], details)
    hindsight = list(batch.around.hindsight([detail for detail in details if detail.is_unasked]))

    def begin(settled: Mapping[Key, list[DetailAnswer]]) -> Fold:
        fold = Fold(settled=settled)
        for (user_id, session_id), entry in stored:
            fold.remember(user_id, session_id, replace(entry))
        for said in hindsight:
            fold.recall(said)
        return fold

    return begin


def _look_up(batch: _Batch, changed: Mapping[Key, Entry]) -> None:
    """Find in `raw` what rows need that did not come with this batch."""
    present = {key: entry for key, entry in changed.items() if not entry.is_gone}
    bodies = {
        key: entry.detailed.body_sha256
        for key, entry in present.items()
        if entry.detailed and entry.detailed.body_sha256 not in batch.readings
    }
    for sha256, body in batch.around.bodies(bodies):
        batch.readings[sha256] = read_body(body)
    new = [key for key, entry in present.items() if not entry.is_stored]
    for key, pushed_at in batch.around.first_pushes(new).items():
        present[key].pushed_at = pushed_at


def _has_expired(batch: _Batch, entry: Entry) -> bool:
    """Whether a stored row rests on a detail that `raw` does not keep any more: it stays as it is."""
    is_there = entry.detailed is None or entry.detailed.body_sha256 in batch.readings
    return entry.is_stored and not entry.is_gone and not is_there


def _parts(batch: _Batch, changed: dict[Key, Entry]) -> list[SessionParts]:
    parts = []
    for (user_id, session_id), entry in changed.items():
        if entry.is_gone:
            continue
        detail, broken = _detail(batch, session_id, entry)
        if broken:
            _set_aside(batch, _reference(batch, user_id, session_id, entry), broken)
        if detail is not None or entry.listed is not None:
            parts.append(SessionParts(user_id, session_id, entry, detail, bool(broken)))
    return parts


def _detail(batch: _Batch, session_id: str, entry: Entry) -> tuple[Detail | None, list[Broken]]:
    """The session's detail, or the rules that it breaks."""
    # Of a user whose key is gone, no body is found.
    if entry.detailed is None or entry.detailed.body_sha256 not in batch.readings:
        return None, []
    detail = batch.readings[entry.detailed.body_sha256].detail
    if isinstance(detail, UnreadableAnswer):
        return None, [Broken("the detail can be read", detail.problem)]
    broken = list(broken_by_detail(detail, asked_for=session_id))
    return (None, broken) if broken else (detail, [])


def _reference(batch: _Batch, user_id: str, session_id: str, entry: Entry) -> dict[str, Any]:
    assert entry.detailed is not None, "only a detail can break a detail's rule"
    return {
        "partition_date": entry.starts_on or entry.detailed.fetched_at.astimezone(UTC).date(),
        "endpoint": batch.readings[entry.detailed.body_sha256].endpoint,
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
    stored = {key: e.stored_date for key, e in changed.items() if e.stored_date is not None}
    _delete(batch.con, stored)
    insert(batch.con, SESSIONS, frame)
    _write_quarantine(batch, keys)
    batch.report.written.update(frame["start_date"].to_list())
    left = {(part.user_id, part.session_id) for part in parts}
    batch.report.removed.update(day for key, day in stored.items() if key not in left)


def _delete(con: duckdb.DuckDBPyConnection, stored: Mapping[Key, date]) -> None:
    """Delete rows that are stored on these dates."""
    if stored:
        doomed = pl.DataFrame(list(stored), schema=list(SESSIONS.key), orient="row")
        dated = ("start_date", min(stored.values()), max(stored.values()))
        delete_keys(con, SESSIONS, doomed, dated=dated)


def _write_quarantine(batch: _Batch, decided: pl.DataFrame) -> None:
    """What was decided anew replaces what was said of it before."""
    rows = pl.DataFrame(batch.quarantine, schema=QUARANTINE.schema)
    frame = rows.unique(QUARANTINE.key, keep="last", maintain_order=True)
    if batch.around.has_aside:
        _take_back(batch, decided)
        delete_keys(batch.con, QUARANTINE, frame.select(QUARANTINE.key))
    insert(batch.con, QUARANTINE, frame)
    batch.report.quarantined.update(frame["partition_date"].to_list())


def _take_back(batch: _Batch, decided: pl.DataFrame) -> None:
    """Remove what was said of the sessions that were decided anew, and of the windows' list rows."""
    endpoints = pl.DataFrame({"endpoint": DETAILS})
    delete_keys(batch.con, QUARANTINE, decided.join(endpoints, how="cross"))
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
