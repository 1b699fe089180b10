"""The published file of sessions in progress: one plain DuckDB file with one table.

It is written aside and renamed into place, so that whoever reads it sees one state and holds up
nobody. It is provisional and made anew from the inbox after a crash, so nothing waits for the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import NDArray

from asleep_pipeline.asleep.events import EPOCH_S
from asleep_pipeline.disk import discard
from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.columns import Column, Table, count, instant, seconds, text
from asleep_pipeline.lake.engine import quoted
from asleep_pipeline.warehouse.files import file_key, read_beside, written
from asleep_pipeline.webhooks.live_sessions import (
    NO_CODES,
    Codes,
    LiveSession,
    arrays_of,
    padded,
)

LIVE_SESSIONS: Final = Table(
    "live_sessions",
    "Sessions in progress, as far as their webhooks have come: provisional. A row goes once the "
    "session is complete in the published file, or a day after its last event.",
    (
        text("user_id", "Asleep's user id", required=True),
        text("org_id", "Organisation of the user", required=True),
        text("session_id", "Asleep's session id", required=True),
        instant("started_at", "Session start; NULL when nothing tells it"),
        text(
            "started_at_source",
            "session_id: the id begins with it; arrival: 30 s an epoch before an event came, so it "
            "was that early or earlier",
        ),
        instant("last_event_at", "When its newest event came", required=True),
        instant("completed_at", "When SESSION_COMPLETE came; NULL while in progress"),
        count("epochs", "Epochs of 30 s from the start to the newest one told", required=True),
        count("missing_epochs", "Those of them that no event has told", required=True),
        text("stage_now", "Newest stage that is known: wake, light (or just asleep), deep or rem"),
        seconds("asleep_s", "Sleep so far; at least so much, where epochs are missing"),
        Column(
            "sleep_stages",
            "TINYINT[]",
            "NULL not told, -1 unknown, 0 wake, 1 light (asleep with 2 stage levels), 2 deep, 3 REM",
            "one a 30 s",
        ),
        Column(
            "breath_stages",
            "TINYINT[]",
            "NULL not told, 0 stable, 1 unstable breathing; no list where the plan lacks it",
            "one a 30 s",
        ),
        Column(
            "snoring_stages",
            "TINYINT[]",
            "NULL not told, 0 no snoring, 1 snoring; no list where the plan lacks it",
            "one a 30 s",
        ),
    ),
    key=("user_id", "session_id"),
)

STAGE_NAMES: Final = ("wake", "light", "deep", "rem")
"""By the vendor's numbers, from 0."""

_BATCH: Final = 5_000
_SERIES: Final = ("sleep_stages", "breath_stages", "snoring_stages")


@dataclass(frozen=True, slots=True)
class Shown:
    """A session that may be shown, and whose it is."""

    org_id: str
    session: LiveSession


def publish_live(path: Path, sessions: Sequence[Shown]) -> str | None:
    """Write all of `live_sessions` anew and put it in place.

    Returns:
        The key by which it is encrypted; None without encryption.

    Raises:
        WarehouseError: The file cannot be written; the earlier one stays.
    """
    aside = path.with_name(f"{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        discard(aside)
        key = file_key(path)
        # More threads would take processors from what accepts events, and cost more of them together.
        with written(aside, key, threads=1) as con:
            _write(con, sorted(sessions, key=lambda shown: (shown.org_id, shown.session.key)))
        aside.replace(path)
    except (duckdb.Error, OSError) as error:
        raise _not_published(path, error) from error
    return key


def publish_without(path: Path, user_id: str) -> int:
    """Write the file anew without one person, for a deployment in which nobody follows the events.

    Returns:
        How many sessions of theirs it held.

    Raises:
        WarehouseError: The file cannot be read or written; the earlier one stays.
    """
    aside = path.with_name(f"{path.name}.unfinished")
    try:
        discard(aside)
        with written(aside, file_key(path), threads=1) as con, read_beside(con, path, "earlier"):
            _create(con)
            con.execute(
                "INSERT INTO live_sessions FROM earlier.live_sessions WHERE user_id <> $1",
                [user_id],
            )
            found = con.execute(
                "SELECT count(*) FROM earlier.live_sessions WHERE user_id = $1", [user_id]
            ).fetchall()
            con.execute("CHECKPOINT")
        aside.replace(path)
    except (duckdb.Error, OSError) as error:
        raise _not_published(path, error) from error
    return int(found[0][0])


def _not_published(path: Path, error: Exception) -> WarehouseError:
    return WarehouseError(
        f"Sessions in progress cannot be published at {path}: {str(error).splitlines()[0]}",
        fix="Check the free space and the folder's rights.",
    )


def _write(con: duckdb.DuckDBPyConnection, sessions: Sequence[Shown]) -> None:
    con.execute("BEGIN")
    _create(con)
    for first in range(0, len(sessions), _BATCH):
        con.register("incoming", _rows(sessions[first : first + _BATCH]))
        con.execute("INSERT INTO live_sessions SELECT * FROM incoming")
        con.unregister("incoming")
    con.execute("COMMIT")
    # A write-ahead log would be left behind by the rename.
    con.execute("CHECKPOINT")


def _create(con: duckdb.DuckDBPyConnection) -> None:
    name = LIVE_SESSIONS.name
    columns = ", ".join(
        f"{c.name} {c.type}{' NOT NULL' if c.required else ''}" for c in LIVE_SESSIONS.columns
    )
    con.execute(f"CREATE TABLE {name} ({columns})")
    con.execute(f"COMMENT ON TABLE {name} IS {quoted(LIVE_SESSIONS.description)}")
    for column in LIVE_SESSIONS.columns:
        con.execute(f"COMMENT ON COLUMN {name}.{column.name} IS {quoted(column.comment)}")


def _rows(batch: Sequence[Shown]) -> pa.Table:
    """Rows as Arrow: a night is a thousand values, too many to touch one by one."""
    sessions = [shown.session for shown in batch]
    starts = [session.session_start for session in sessions]
    flats = [_flat(sessions, number) for number in range(len(_SERIES))]
    lists = [
        _lists(flat, [session.series[number] is None for session in sessions])
        for number, flat in enumerate(flats)
    ]
    epochs = [session.epochs for session in sessions]
    columns: dict[str, Any] = {
        "user_id": [session.key[1] for session in sessions],
        "org_id": [shown.org_id for shown in batch],
        "session_id": [session.key[2] for session in sessions],
        "started_at": _instants([start for start, _ in starts]),
        "started_at_source": pa.array([source for _, source in starts], pa.string()),
        "last_event_at": _instants([session.last_event_at for session in sessions]),
        "completed_at": _instants([session.completed_at for session in sessions]),
        "epochs": pa.array(epochs, pa.int32()),
        **_told(flats[0], epochs),
        **dict(zip(_SERIES, lists, strict=True)),
    }
    return pa.table({name: columns[name] for name in LIVE_SESSIONS.column_names})


def _instants(values: Sequence[object]) -> pa.Array:
    return pa.array(values, pa.timestamp("us", "UTC"))


@dataclass(frozen=True, slots=True)
class _Flat:
    """One series of all sessions behind each other, and where those of each start and end."""

    values: NDArray[np.int8]
    gaps: NDArray[np.bool_]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def _flat(sessions: Sequence[LiveSession], number: int) -> _Flat:
    series = [_whole(session.series[number], session.epochs) for session in sessions]
    ends = np.cumsum([codes.size for codes in series])
    return _Flat(*arrays_of(np.concatenate(series)), np.concatenate([[0], ends[:-1]]), ends)


def _whole(codes: Codes | None, epochs: int) -> Codes:
    return NO_CODES if codes is None else padded(codes, epochs)


def _told(sleep: _Flat, epochs: Sequence[int]) -> dict[str, pa.Array]:
    """What the sleep stages of each session say together."""
    missing = np.array(epochs) - _sums(~sleep.gaps, sleep)
    names = [
        STAGE_NAMES[sleep.values[at]] if at >= 0 else None
        for at in _newest(sleep.values >= 0, sleep)
    ]
    return {
        "missing_epochs": pa.array(missing, pa.int32()),
        "stage_now": pa.array(names, pa.string()),
        "asleep_s": pa.array(EPOCH_S * _sums(sleep.values > 0, sleep), pa.int32()),
    }


def _sums(flags: NDArray[np.bool_], flat: _Flat) -> NDArray[np.int64]:
    totals: NDArray[np.int64] = np.concatenate([[0], np.cumsum(flags)])
    return totals[flat.ends] - totals[flat.starts]


def _newest(flags: NDArray[np.bool_], flat: _Flat) -> list[int]:
    """The last place of each session that is flagged; -1 without any."""
    places = np.maximum.accumulate(np.where(flags, np.arange(1, flags.size + 1), 0))
    newest = np.concatenate([[0], places])[flat.ends]
    found: list[int] = (np.where(newest > flat.starts, newest, 0) - 1).tolist()
    return found


def _lists(flat: _Flat, lacking: Sequence[bool]) -> pa.Array:
    offsets = pa.array(np.concatenate([[0], flat.ends]), pa.int32())
    values = pa.array(flat.values, mask=flat.gaps)
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(lacking))
