"""What the lake holds beside a batch of new answers: rows, details, omissions, first webhooks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

import duckdb
import msgspec
import polars as pl

from asleep_pipeline.asleep import SessionItem, UnreadableAnswer, decode_session_page
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import QUARANTINE, RAW, SESSIONS
from asleep_pipeline.normalise.fold import DetailAnswer, Detailed, Entry, Key, Listed, Listing

PULLED: Final = "get_session"
PUSHED: Final = "session_complete"
DETAILS: Final = (PULLED, PUSHED)
"""Endpoints whose answers are details of a session."""
FOUND: Final = 200

_WINDOWS: Final = {"user_id": pl.String, "window_start": pl.Date, "window_end": pl.Date}
_KEYS: Final = {"user_id": pl.String, "session_id": pl.String}
_IN_WINDOW: Final = "s.start_date BETWEEN asked.window_start AND asked.window_end"
_SAME_SESSION: Final = "s.session_id = asked.session_id"
_ROWS_OF: Final = """
    SELECT user_id, session_id, org_id, state, started_at, ended_at, unexpected_ended_at,
    created_timezone, last_received_seq_num, listed_time_in_bed_s, extra, list_hash, list_row,
    listed_at, detail_sha256, fetched_at, pushed_at, start_date
    FROM {rows}
"""
_SESSIONS_OF: Final = """
    lake.sessions AS s SEMI JOIN asked ON s.user_id = asked.user_id AND {on} WHERE shard = $shard
"""
_ASIDE_OF: Final = """
    SELECT user_id, session_id, body_sha256, quarantined_at, partition_date AS start_date
    FROM {rows}
"""
_QUARANTINED_OF: Final = """
    (SELECT *, partition_date AS start_date FROM lake.quarantine) AS s
    SEMI JOIN asked ON s.user_id = asked.user_id AND {on}
    WHERE shard = $shard AND endpoint IN ('get_session', 'session_complete')
"""
_DETAILS_OF: Final = """
    SELECT endpoint, org_id, user_id, session_id, partition_date, list_hash, session_state, status,
           body_sha256, fetched_at
    FROM {rows}
"""
_DETAILS: Final = """
    lake.raw AS r SEMI JOIN asked USING (user_id, session_id)
    WHERE r.shard = $shard AND r.endpoint IN ('get_session', 'session_complete')
"""
_BEFORE: Final = f"{_DETAILS} AND r.rowid < $first_rowid"
_SINCE: Final = f"{_BEFORE} AND r.fetched_at > $since"
_SETTLED: Final = f"{_BEFORE} AND r.status = 200"
_LISTINGS_OF: Final = """
    SELECT org_id, user_id, window_start, window_end, listed_at, body FROM {rows} ORDER BY rowid
"""
_LISTINGS_SINCE: Final = """
    lake.raw AS r SEMI JOIN asked USING (user_id)
    WHERE r.shard = $shard AND r.endpoint = 'list_sessions' AND r.status = 200
      -- The listing began before its answer came; files know both.
      AND r.listed_at > $since AND r.fetched_at > $since AND r.rowid < $first_rowid
"""
_FIRST_PUSHES: Final = """
    SELECT user_id, session_id, min(fetched_at) AS pushed_at
    FROM lake.raw AS r SEMI JOIN asked USING (user_id, session_id)
    WHERE r.shard = $shard AND r.endpoint = 'session_complete' AND r.rowid <= $last
    GROUP BY user_id, session_id
"""
_SAME_BODY: Final = "SEMI JOIN asked USING (user_id, session_id, body_sha256)"
_DATES: Final = f"SELECT DISTINCT partition_date FROM {{rows}} {_SAME_BODY}"
_KEPT: Final = f"{_DETAILS} AND r.body IS NOT NULL AND r.rowid <= $last"
_BODIES: Final = f"SELECT endpoint, body_sha256, body FROM {{rows}} {_SAME_BODY}"
_KEPT_WITHIN: Final = (
    f"{_DETAILS} AND r.body IS NOT NULL AND r.partition_date BETWEEN $first AND $last"
)


@dataclass(frozen=True, slots=True)
class Body:
    """A detail as it came, and whose words it is in."""

    endpoint: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The lake around one batch of answers of a shard.

    Attributes:
        con: A connection of `Lake.write`.
        shard: Whose users.
        first_rowid: The batch's first row in `raw`.
        last_rowid: Its last one.
        has_aside: Whether the shard has rows in quarantine.
    """

    con: duckdb.DuckDBPyConnection
    shard: int
    first_rowid: int
    last_rowid: int
    has_aside: bool

    def entries(
        self, listings: Sequence[Listing], details: Sequence[DetailAnswer]
    ) -> list[tuple[Key, Entry]]:
        """The sessions that the events may speak of: rows, and details in quarantine without one."""
        windows = {(e.user_id, e.window_start, e.window_end) for e in listings if e.is_news}
        keys = {e.key for e in details}
        found: dict[Key, Entry] = {}
        # Two hash joins; one join on either condition would compare every row with every other.
        for asked, schema, on in ((windows, _WINDOWS, _IN_WINDOW), (keys, _KEYS, _SAME_SESSION)):
            frame = pl.DataFrame(list(asked), schema=schema, orient="row")
            for row in (
                self._rows(_ASIDE_OF, QUARANTINE, _QUARANTINED_OF.format(on=on), asked=frame)
                if self.has_aside
                else ()
            ):
                entry = _set_aside_entry(row)
                found.setdefault((row["user_id"], row["session_id"]), entry)
            for row in self._rows(_ROWS_OF, SESSIONS, _SESSIONS_OF.format(on=on), asked=frame):
                found[row["user_id"], row["session_id"]] = _stored_entry(row)
        return list(found.items())

    def hindsight(self, details: Collection[DetailAnswer]) -> Iterator[Listing | DetailAnswer]:
        """What was said of some sessions after details that are read only now."""
        if not details:
            return
        since = min(detail.fetched_at for detail in details)
        asked = pl.DataFrame([detail.key for detail in details], schema=_KEYS, orient="row")
        yield from map(
            detail_answer, self._rows(_DETAILS_OF, RAW, _SINCE, asked=asked, since=since)
        )
        yield from _listings(
            self._rows(_LISTINGS_OF, RAW, _LISTINGS_SINCE, asked=asked, since=since)
        )

    def settled(self, keys: Collection[Key]) -> dict[Key, list[DetailAnswer]]:
        """The details of some sessions that `raw` held before this batch."""
        found: dict[Key, list[DetailAnswer]] = {key: [] for key in keys}
        asked = pl.DataFrame(list(keys), schema=_KEYS, orient="row")
        for said in map(detail_answer, self._rows(_DETAILS_OF, RAW, _SETTLED, asked=asked)):
            found[said.key].append(said)
        return found

    def first_pushes(self, keys: Collection[Key]) -> dict[Key, datetime]:
        """When the first webhook came of each session of which one came, up to this batch."""
        asked = pl.DataFrame(list(keys), schema=_KEYS, orient="row")
        rows = self._rows(_FIRST_PUSHES, RAW, asked=asked)
        return {(row["user_id"], row["session_id"]): row["pushed_at"] for row in rows}

    def bodies(self, wanted: Mapping[Key, str]) -> Iterator[tuple[str, Body]]:
        """Hash and body of some details; only files of their dates are opened.

        Args:
            wanted: The hash of a detail by session.
        """
        schema = _KEYS | {"body_sha256": pl.String}
        asked = pl.DataFrame([(*k, v) for k, v in wanted.items()], schema=schema, orient="row")
        dates = [row["partition_date"] for row in self._rows(_DATES, RAW, _KEPT, asked=asked)]
        if dates:
            for row in self._rows(
                _BODIES, RAW, _KEPT_WITHIN, asked=asked, first=min(dates), last=max(dates)
            ):
                yield row["body_sha256"], Body(row["endpoint"], row["body"])

    def _rows(
        self,
        select: str,
        table: Table,
        source: str = "",
        *,
        asked: pl.DataFrame,
        **more: date | datetime,
    ) -> list[Any]:
        """The answer of one query about some sessions or windows."""
        if asked.is_empty():
            return []
        sql = select.format(rows=opened(self.con, table, source)) if source else select
        known = {"shard": self.shard, "first_rowid": self.first_rowid, "last": self.last_rowid}
        params = {name: value for name, value in {**known, **more}.items() if f"${name}" in sql}
        self.con.register("asked", asked.to_arrow())
        rows = self.con.execute(sql, params).pl()
        self.con.unregister("asked")
        return rows.to_dicts()


def is_anything_aside(con: duckdb.DuckDBPyConnection, shard: int) -> bool:
    """Whether the shard has rows in quarantine: mostly not, and five queries can be left out."""
    sql = "SELECT 1 FROM lake.quarantine WHERE shard = $1 LIMIT 1"
    return con.execute(sql, [shard]).fetchone() is not None


def detail_answer(row: dict[str, Any]) -> DetailAnswer:
    """What a row of `raw` says of one session."""
    return DetailAnswer(
        org_id=row["org_id"],
        user_id=row["user_id"],
        session_id=row["session_id"],
        start_date=row["partition_date"],
        body_sha256=row["body_sha256"] if row["status"] == FOUND else None,
        fetched_at=row["fetched_at"],
        list_hash=row["list_hash"],
        session_state=row["session_state"],
        is_pushed=row["endpoint"] == PUSHED,
    )


def _stored_entry(row: dict[str, Any]) -> Entry:
    listed = detailed = None
    if row["list_hash"] is not None:
        listed = Listed(_item(row), row["list_hash"], row["listed_at"])
    if row["detail_sha256"] is not None:
        detailed = Detailed(row["detail_sha256"], row["fetched_at"])
    return Entry(
        row["org_id"],
        listed,
        detailed,
        pushed_at=row["pushed_at"],
        stored_date=row["start_date"],
        start_date=row["start_date"],
    )


def _item(row: dict[str, Any]) -> SessionItem:
    if row["list_row"] is not None:
        return msgspec.json.decode(row["list_row"], type=SessionItem)
    return SessionItem(
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


def _set_aside_entry(row: dict[str, Any]) -> Entry:
    """A session of which nothing is known but a detail that broke the contract."""
    detailed = Detailed(row["body_sha256"], row["quarantined_at"])
    return Entry("", None, detailed, start_date=row["start_date"])


def _listings(pages: Sequence[dict[str, Any]]) -> Iterator[Listing]:
    """Listings, from pages in the order in which they were kept."""
    by_listing: dict[Listing, list[bytes | None]] = defaultdict(list)
    for page in pages:
        body = page.pop("body")
        by_listing[Listing(**page, is_news=False)].append(body)
    for listing, bodies in by_listing.items():
        whole = [body for body in bodies if body is not None]
        if len(whole) < len(bodies):
            yield listing
            continue
        try:
            items = [i for body in whole for i in decode_session_page(body).sleep_session_list]
        except UnreadableAnswer:
            continue
        yield replace(listing, session_ids=frozenset(i.session_id for i in items), is_news=True)
