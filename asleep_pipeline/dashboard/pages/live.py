"""The page of sessions in progress: who is in bed, and how they sleep so far."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from asleep_pipeline.charts import hypnogram
from asleep_pipeline.charts.theme import STAGE_LABELS
from asleep_pipeline.dashboard import words
from asleep_pipeline.dashboard.figures import Figure, fitted
from asleep_pipeline.dashboard.html import Table, Tile, render
from asleep_pipeline.dashboard.queries import live
from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.warehouse.export import read_warehouse

Row = Mapping[str, Any]
Session = tuple[str, str]
"""user_id, session_id"""

_THE_LAST: Final = "The last to begin"
_EPOCH_S: Final = 30
_PROVISIONAL: Final = (
    "Provisional, as webhooks tell it: the finished night may differ. Times are in UTC; hatched is "
    "what was not told, or is unknown."
)
_NOBODY: Final = (
    "Somebody appears here within seconds of the first webhook of a session. If it stays empty, "
    "see whether events come, and whether their users are on the roster:"
)
_NOT_FOLLOWED: Final = (
    "Sessions in progress come by webhook: let Asleep's events reach the receiver, or send one by "
    "hand to try it:"
)


def live_organisations(path: Path) -> list[str]:
    """Organisations with a session in progress."""
    if not path.exists():
        return []
    with read_warehouse(path) as con:
        return live.organisations(con)


def live_choices(path: Path, org_id: str | None) -> dict[str, Session | None]:
    """Sessions by what people read of them; the first one stays right while people come and go."""
    choices: dict[str, Session | None] = {_THE_LAST: None}
    if path.exists():
        with read_warehouse(path) as con:
            rows = live.in_bed(con, org_id, live.CHOOSABLE)
        choices |= {_choice(row): (row["user_id"], row["session_id"]) for row in rows}
    return choices


def live_page(path: Path, org_id: str | None, chosen: Session | None, now: datetime) -> str:
    """Everybody in bed, and the stages so far of one of them.

    Args:
        path: The file of sessions in progress.
        org_id: Of this organisation; of all when None.
        chosen: Whose stages are drawn; None for who went to bed last.
        now: The present, UTC.
    """
    if not path.exists():
        return _notice("Nobody is followed yet", _NOT_FOLLOWED, _FOLLOW)
    try:
        with read_warehouse(path) as con:
            totals = live.totals(con, org_id, now)
            rows = live.in_bed(con, org_id)
            session = _one(con, rows, chosen)
    except (WarehouseError, duckdb.Error) as error:
        text = f"{str(error).splitlines()[0]} The receiver writes it anew:"
        return _notice("Sessions in progress cannot be shown", text, _FOLLOW[:1])
    if not totals["in_bed"] and not totals["complete"]:
        return _notice("Nobody is in bed", _NOBODY, _LOOK)
    return render(
        "live",
        lead=_PROVISIONAL,
        tiles=_tiles(totals, now),
        figure=_figure(session, now) if session else None,
        has_chosen=chosen is not None,
        table=_table(rows, totals["in_bed"], now),
    )


_FOLLOW: Final = (
    "asleep-pipeline webhooks serve",
    "asleep-pipeline webhooks send --event INFERENCE_COMPLETE --user USER_ID",
)
_LOOK: Final = ("asleep-pipeline webhooks list", "asleep-pipeline users list")


def _notice(title: str, text: str, commands: tuple[str, ...]) -> str:
    after = "This page looks again by itself."
    return render("notice", title=title, text=text, commands=commands, after=after)


def _choice(row: Row) -> str:
    return f"{row['user_id']}, from {_clock(row['started_at'])} ({row['session_id']})"


def _one(
    con: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], chosen: Session | None
) -> Row | None:
    if chosen is None and rows:
        chosen = rows[0]["user_id"], rows[0]["session_id"]
    return live.one_session(con, *chosen) if chosen else None


def _tiles(totals: Row, now: datetime) -> list[Tile]:
    missing = totals["missing_epochs"] / totals["epochs"] if totals["epochs"] else None
    return [
        Tile("In bed", words.number(totals["in_bed"]), "not complete"),
        Tile("Asleep", words.number(totals["asleep"]), "by their newest stage"),
        Tile("Awake", words.number(totals["awake"]), "by their newest stage"),
        Tile("Not told", words.percent(missing, 1), "of the time in bed: lost webhooks"),
        Tile("Quiet", words.number(totals["quiet"]), f"nothing for {words.duration(_QUIET_S)}"),
        Tile("Just complete", words.number(totals["complete"]), "not published yet"),
        Tile("Newest event", _age(totals["last_event_at"], now), "ago"),
    ]


_QUIET_S: Final = live.QUIET.total_seconds()


def _figure(session: Row, now: datetime) -> Figure | None:
    if session["started_at"] is None or not session["epochs"]:
        return None
    told = [
        f"{words.duration(session['asleep_s'])} asleep so far",
        f"now {_stage(session)}",
        f"{words.minutes(_EPOCH_S * session['missing_epochs'])} not told",
        f"newest event {_age(session['last_event_at'], now)} ago",
    ]
    chart = hypnogram(live.stage_runs(session), time_title="Time (UTC)")
    is_guess = session["started_at_source"] != "session_id"
    return Figure(
        f"Stages so far of {session['user_id']} (provisional)",
        f"In bed {'at the latest ' if is_guess else ''}from {_clock(session['started_at'])} UTC, "
        f"session {session['session_id']}{' (complete)' if session['completed_at'] else ''}: "
        f"{', '.join(told)}.",
        fitted(chart),
    )


def _table(rows: list[dict[str, Any]], in_bed: int, now: datetime) -> Table:
    which = f"the last {live.LISTED} of {in_bed:,} to begin" if in_bed > len(rows) else "all"
    head = ["Person", "Organisation", "In bed from", "Now", "Asleep so far", "Not told", "Event"]
    return Table(f"In bed now: {which}", head, [_row(row, now) for row in rows])


def _row(row: Row, now: datetime) -> list[str]:
    return [
        row["user_id"],
        row["org_id"],
        _clock(row["started_at"]),
        _stage(row),
        words.duration(row["asleep_s"]),
        words.minutes(_EPOCH_S * row["missing_epochs"]),
        f"{_age(row['last_event_at'], now)} ago",
    ]


def _stage(row: Row) -> str:
    return STAGE_LABELS.get(row["stage_now"], words.NONE)


def _clock(at: datetime | None) -> str:
    return words.NONE if at is None else f"{at:%H:%M}"


def _age(since: datetime | None, now: datetime) -> str:
    if since is None:
        return words.NONE
    seconds = max(0.0, (now - since).total_seconds())
    return f"{seconds:.0f} s" if seconds < _MINUTE_S else words.duration(seconds)


_MINUTE_S: Final = 60
