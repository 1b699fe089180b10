"""Answers as Asleep words them, and a way to put them into `raw` as a pull does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import polars as pl

from asleep_pipeline.asleep import decode_session_page
from asleep_pipeline.extract.answers import raw_row
from asleep_pipeline.extract.plan import list_hash
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline.normalise.sessions import NormaliseReport, normalise_sessions

Json = dict[str, Any]

MONTH = (date(2026, 1, 1), date(2026, 1, 31))
USER = "a-user"


def list_item(session_id: str = "20260110230000_aaaaa", **changes: Any) -> Json:
    """A row of list-sessions: seven hours, COMPLETE."""
    start = datetime.strptime(session_id[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return {
        "session_id": session_id,
        "state": "COMPLETE",
        "session_start_time": start.isoformat(),
        "session_end_time": (start + timedelta(hours=7)).isoformat(),
        "created_timezone": "Asia/Seoul",
        "unexpected_end_time": None,
        "last_received_seq_num": 839,
        "time_in_bed": 25_200,
    } | changes


def detail(item: Json, *, session: Json | None = None, stat: Json | None = None) -> Json:
    """The get-session result of a list row, with changes to its session and its statistics."""
    numbers = {"time_in_sleep": 22_000, "sleep_efficiency": 0.87, "sleep_index": 80}
    about = {
        "id": item["session_id"],
        "state": item["state"],
        "start_time": item["session_start_time"],
        "end_time": item["session_end_time"],
        "unexpected_end_time": item["unexpected_end_time"],
        "created_timezone": item["created_timezone"],
        "sleep_stages": [0] * 20 + [1] * 820,
        "breath_stages": None,
        "snoring_stages": None,
    }
    return {
        "timezone": "UTC",
        "peculiarities": [],
        "missing_data_ratio": 0.0,
        "session": about | (session or {}),
        "stat": numbers | (stat or {}),
    }


def envelope(result: Any) -> bytes:
    """A success as it comes over the wire."""
    return msgspec.json.encode({"detail": "OK", "result": result})


def event(user_id: str, result: Json) -> bytes:
    """A SESSION_COMPLETE of version V3 that says what get-session would."""
    said = {"event": "SESSION_COMPLETE", "version": "V3", "data": {"user_id": user_id} | result}
    return msgspec.json.encode(said)


@dataclass
class Mailbag:
    """Puts answers about one user into `raw`, each later than the one before.

    Attributes:
        lake: Where to.
        shard: Given to every row, whatever the user's own would be.
        user: Whom the answers are about.
    """

    lake: Lake
    shard: int = 0
    user: LakeUser = field(default_factory=lambda: LakeUser(USER, "default", None))
    _seconds: count[int] = field(default_factory=count)

    def listing(
        self, *items: Json, window: tuple[date, date] = MONTH, body: bytes | None = None
    ) -> Json:
        """One page that is a whole listing of a window."""
        said = body or envelope({"timezone": "UTC", "sleep_session_list": items})
        start, end = window
        listed_at = self._now()
        return self._row(
            "list_sessions",
            said,
            end,
            window_start=start,
            window_end=end,
            listed_at=listed_at,
        )

    def detail(self, item: Json, result: Json | None = None, *, body: bytes | None = None) -> Json:
        """The detail that a list row made us ask for."""
        said = body or envelope(detail(item) if result is None else result)
        return self._row(
            "get_session", said, _start(item), **_asked(item), session_state="COMPLETE"
        )

    def pushed(
        self,
        item: Json,
        result: Json | None = None,
        *,
        body: bytes | None = None,
        waited: timedelta = timedelta(0),
    ) -> Json:
        """The webhook of a complete session, V3, that has waited so long in the inbox."""
        said = body or event(USER, detail(item) if result is None else result)
        row = self._row("session_complete", said, _start(item), session_id=item["session_id"])
        arrived_at = row["fetched_at"] - waited
        return row | {
            "source": "webhook",
            "session_state": "COMPLETE",
            "fetched_at": arrived_at,
        }

    def reread(self, item: Json, result: Json | None = None) -> Json:
        """The detail that a webhook made us ask for."""
        return self.detail(item, result) | {"list_hash": None}

    def reread_vanished(self, item: Json) -> Json:
        """The 404 of a session whose webhook has come."""
        return self.vanished(item) | {"list_hash": None}

    def vanished(self, item: Json) -> Json:
        """The 404 of a session that was listed a moment ago."""
        body = b'{"detail": "session does not exist"}'
        return self._row("get_session", body, _start(item), **_asked(item), status=404)

    def averages(self, result: Any, *, month: date = MONTH[0], timezone: str = "UTC") -> Json:
        """One answer of average-stats."""
        window = {"window_start": month, "window_end": MONTH[1]}
        return self._row("average_stats", envelope(result), month, timezone=timezone, **window)

    def _row(self, endpoint: str, body: bytes, day: date, **more: Any) -> Json:
        row = raw_row(
            self.user,
            endpoint,
            shards=1,
            partition_date=day,
            body=body,
            fetched_at=self._now(),
            **more,
        )
        return row | {"shard": self.shard}

    def _now(self) -> datetime:
        return datetime(2026, 2, 1, tzinfo=UTC) + timedelta(seconds=next(self._seconds))

    def commit(self, *rows: Json) -> None:
        """Put rows into `raw`, in one commit."""
        with self.lake.write("a test's answers") as con:
            insert(con, RAW, pl.DataFrame(rows, schema=RAW.schema))

    def read(self) -> NormaliseReport:
        """Read what is new in `raw`."""
        return normalise_sessions(self.lake, shard=self.shard, organisations={}, default_zone="UTC")

    def send(self, *rows: Json) -> NormaliseReport:
        """Commit and read."""
        self.commit(*rows)
        return self.read()

    def sessions(self) -> dict[str, Json]:
        """The user's rows of `sessions`, by session id."""
        rows = self._rows_of("sessions")
        return {row["session_id"]: row for row in rows}

    def quarantine(self) -> list[Json]:
        """The user's rows of `quarantine`, in the order of rule and session."""
        return sorted(self._rows_of("quarantine"), key=lambda r: (r["rule"], r["session_id"] or ""))

    def _rows_of(self, table: str) -> list[Json]:
        query = f"SELECT * FROM {table} WHERE user_id = $1 AND shard = $2"
        return self.lake.frame(query, [self.user.user_id, self.shard]).to_dicts()


def _asked(item: Json) -> Json:
    page = decode_session_page(envelope({"sleep_session_list": [item]}))
    return {
        "session_id": item["session_id"],
        "list_hash": list_hash(page.sleep_session_list[0]),
    }


def _start(item: Json) -> date:
    return datetime.fromisoformat(item["session_start_time"]).astimezone(UTC).date()
