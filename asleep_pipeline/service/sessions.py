"""What the API gives of a session, and how it is read from the published file."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

import duckdb
import msgspec
from msgspec import Meta

from asleep_pipeline.asleep import EPOCH_S
from asleep_pipeline.extract.plan import COMPLETE
from asleep_pipeline.lake.columns import Column
from asleep_pipeline.warehouse.marts.tables import FCT_SESSION

DELETED_SESSIONS: Final = "deleted_sessions"
"""Where the application keeps which sessions were deleted."""
MOST_DAYS: Final = 366
"""Longest period that a list of sessions may be asked for."""

State = Literal["OPEN", "CLOSED", "COMPLETE"]

_TYPES: Final[dict[str, Any]] = {
    "VARCHAR": str,
    "BOOLEAN": bool,
    "INTEGER": int,
    "DOUBLE": float,
    "DATE": date,
    "TIMESTAMP": datetime,
    "TIMESTAMPTZ": datetime,
    "VARCHAR[]": list[str],
    "TIMESTAMPTZ[]": list[datetime],
}
_ABOUT: Final = (
    "session_id",
    "state",
    "night_date",
    "started_at",
    "ended_at",
    "started_local",
    "ended_local",
    "timezone",
    "timezone_source",
    "utc_offset_start_min",
    "utc_offset_end_min",
    "is_main_sleep",
    "is_split_sleep",
    "is_nap",
    "quality",
    "peculiarities",
    "missing_data_fraction",
)
_IN_LIST: Final = (*_ABOUT, "tib_s", "tst_s", "efficiency_fraction")
_API: Final = "api_"
_COLUMNS: Final = {column.name: column for column in FCT_SESSION.columns}
_OURS: Final = tuple(
    column.name
    for column in FCT_SESSION.columns
    if column.name not in {*_ABOUT, "user_id", "org_id", "start_date_local"}
    and not column.name.startswith(_API)
)
_THEIRS: Final = tuple(name for name in _COLUMNS if name.startswith(_API))


def _struct(name: str, columns: Iterable[str]) -> Any:
    """A struct of columns of `fct_session`, each with its meaning and unit."""
    fields = [(each.removeprefix(_API), _annotated(_COLUMNS[each])) for each in columns]
    return msgspec.defstruct(name, fields, kw_only=True)


def _annotated(column: Column) -> Any:
    kind = _TYPES[column.type] if column.required else _TYPES[column.type] | None
    return Annotated[kind, Meta(description=column.comment)]


class Summary(_struct("Summary", _IN_LIST)):  # type: ignore[misc]  # its fields are the table's
    """A session in a list."""


class Statistics(_struct("Statistics", _OURS)):  # type: ignore[misc]  # its fields are the table's
    """Our statistics of a session, from its stages; null where there are none."""


class AsleepStatistics(_struct("AsleepStatistics", _THEIRS)):  # type: ignore[misc]  # as above
    """Asleep's own statistics of a session."""


class Stages(msgspec.Struct, kw_only=True):
    """The series of a session, one value an epoch."""

    starts_at: Annotated[datetime, Meta(description="Begin of the first epoch, UTC.")]
    epoch_s: Annotated[int, Meta(description="Length of an epoch, in s.", examples=[30])]
    sleep: Annotated[
        list[int] | None,
        Meta(
            description="-1 unknown, 0 wake, 1 light (asleep where `stage_levels` is 2), 2 deep, 3 REM."
        ),
    ]
    breath: Annotated[list[int] | None, Meta(description="0 stable, 1 or 2 unstable breathing.")]
    snoring: Annotated[list[int] | None, Meta(description="0 no snoring, 1 snoring.")]


class Session(Summary):
    """A session with its stages and statistics."""

    source: Annotated[
        Literal["warehouse", "asleep"],
        Meta(
            description="Where it was read. What was read from Asleep is taken for the only session "
            "of its night until it is published."
        ),
    ]
    stages: Stages
    statistics: Statistics
    asleep_statistics: AsleepStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which sessions of a user a list holds.

    Attributes:
        first: First date, inclusive.
        last: Last date, inclusive.
        zone: The zone in which sessions start on these dates; None: their own night dates.
        state: Only these; all when None.
        hidden: Ids that are not shown.
        newest_first: The order.
        after: Start (ISO, UTC) and id of the session before the first one; None at the beginning.
    """

    user_id: str
    first: date
    last: date
    zone: str | None
    state: State | None
    hidden: Collection[str]
    newest_first: bool
    after: tuple[str, str] | None


_OF_USER: Final = "SELECT * FROM fct_session WHERE user_id = $user_id"
_ON_NIGHTS: Final = "coalesce(night_date, start_date_local)"
_OF_USER_IN_ZONE: Final = """
    SELECT * FROM (SELECT *, make_timestamp(epoch_us(started_at)) AS utc FROM fct_session
                   WHERE user_id = $user_id)
    ASOF JOIN (SELECT utc_from, offset_s FROM tz_rules WHERE tz = $zone) ON utc >= utc_from
"""
_ON_STARTS: Final = "(utc + to_seconds(offset_s))::DATE"
_WHOLE: Final = """
    SELECT f.*, s.start_date, s.has_detail, s.sleep_stages, s.breath_stages, s.snoring_stages
    FROM fct_session AS f JOIN sessions AS s USING (user_id, session_id)
    WHERE user_id = $user_id AND session_id = $session_id
"""


def listed(con: duckdb.DuckDBPyConnection, wanted: Wanted, limit: int) -> list[Summary]:
    """Sessions of a user, at most `limit`, by their start.

    Args:
        con: Of the user's organisation.
        wanted: Which.
        limit: Most of them.
    """
    values: dict[str, Any] = {
        "user_id": wanted.user_id,
        "first": wanted.first,
        "last": wanted.last,
        "hidden": list(wanted.hidden),
        "state": wanted.state,
        "limit": limit,
    }
    source, dates = _OF_USER, _ON_NIGHTS
    if wanted.zone is not None:
        source, dates = _OF_USER_IN_ZONE, _ON_STARTS
        values["zone"] = wanted.zone
    direction, beyond = ("DESC", "<") if wanted.newest_first else ("ASC", ">")
    place = "true"
    if wanted.after is not None:
        place = f"(started_at, session_id) {beyond} ($started_at::TIMESTAMPTZ, $session_id)"
        values["started_at"], values["session_id"] = wanted.after
    rows = con.execute(
        f"""
        SELECT {", ".join(_IN_LIST)} FROM ({source})
        WHERE {dates} BETWEEN $first AND $last AND {place}
          AND ($state IS NULL OR state = $state) AND NOT list_contains($hidden, session_id)
        ORDER BY started_at {direction}, session_id {direction} LIMIT $limit
        """,
        values,
    ).pl()
    return [msgspec.convert(row, Summary) for row in rows.to_dicts()]


def place_of(session: Summary) -> tuple[str, str]:
    """Where a session stands in a list."""
    return session.started_at.isoformat(), session.session_id


@dataclass(frozen=True, slots=True)
class Found:
    """A session as the published file has it: a row of `fct_session`, with its stages."""

    row: dict[str, Any]

    @property
    def is_final(self) -> bool:
        """Whether Asleep need not be asked."""
        return self.row["state"] == COMPLETE and bool(self.row["has_detail"])

    @property
    def start_date(self) -> date:
        """UTC date on which it starts."""
        start_date: date = self.row["start_date"]
        return start_date


def find(con: duckdb.DuckDBPyConnection, user_id: str, session_id: str) -> Found | None:
    """One session of a user of the connection's organisation."""
    values = {"user_id": user_id, "session_id": session_id}
    rows = con.execute(_WHOLE, values).pl().to_dicts()
    return Found(rows[0]) if rows else None


def whole(row: dict[str, Any], source: str) -> Session:
    """A session, from its row of `fct_session` with its stages."""
    stages = {
        "starts_at": row["started_at"],
        "epoch_s": EPOCH_S,
        "sleep": row["sleep_stages"],
        "breath": row["breath_stages"],
        "snoring": row["snoring_stages"],
    }
    parts = {
        "source": source,
        "stages": stages,
        "statistics": row,
        "asleep_statistics": {name.removeprefix(_API): row[name] for name in _THEIRS},
    }
    return msgspec.convert(row | parts, Session)
