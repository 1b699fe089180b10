"""The steps of an erasure, in order. Each may be repeated, and tells what it found to do.

A step takes everybody who is being erased, since what costs time is done for all of them at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
from filelock import FileLock, Timeout

from asleep_pipeline.access.keys import key_for
from asleep_pipeline.access.organisations import parameters
from asleep_pipeline.access.records import forget_records
from asleep_pipeline.asleep import AsleepClient, UserNotFound
from asleep_pipeline.errors import ErasureError
from asleep_pipeline.extract.crowd import run
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.forgetting import (
    forget_history,
    forget_rows,
    ids_of_sessions,
    other_ids,
    rewrite_files,
)
from asleep_pipeline.privacy.journal import Erasure, Journal, Subject
from asleep_pipeline.privacy.keys import keys_of
from asleep_pipeline.privacy.leftovers import clear
from asleep_pipeline.privacy.redacting import redact
from asleep_pipeline.privacy.scan import scan
from asleep_pipeline.privacy.scrub import scrub
from asleep_pipeline.privacy.traces import Traces
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.warehouse.files import drop_earlier_keys, needs_earlier_key
from asleep_pipeline.warehouse.publish import publish, publishing
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.live_table import publish_without

Counts = dict[str, int]

_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.1
_PLACES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Work:
    """Somebody who is being erased, and where.

    Attributes:
        traces: What may tell of the person.
    """

    settings: Settings
    subject: Subject
    erasure: Erasure
    traces: Traces

    @property
    def user_id(self) -> str:
        """Of the person."""
        return self.subject.user_id


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        name: In the journal and in the receipt.
        do: Does it for one person.
        is_shared: Whether doing it for one does it for all.
    """

    name: str
    do: Callable[[Work], Counts]
    is_shared: bool = False


def traces_of(settings: Settings, subject: Subject) -> Traces:
    """What may tell of a person; the ids of sessions as far as they were looked up."""
    others = set(_inbox_ids(settings, subject.user_id))
    if lake := lake_of(settings):
        others |= set(other_ids(lake, subject.user_id))
    return Traces(subject.user_id, subject.session_ids or (), tuple(sorted(others)))


def lake_of(settings: Settings) -> Lake | None:
    """The lake, if there is one."""
    return Lake.open(settings.lake_dir) if settings.catalog_path.exists() else None


def look_up(settings: Settings, journal: Journal, subject: Subject) -> Counts:
    """Write down the ids of the person's sessions, as long as the lake knows them."""
    lake = lake_of(settings)
    ids = ids_of_sessions(lake, subject.user_id) if lake else []
    journal.keep_sessions(subject.erasure_id, ids)
    return {"sessions": len(ids)}


def _upstream(work: Work) -> Counts:
    """Delete the user at Asleep; one who is gone there is what was asked for."""
    if not work.erasure.is_upstream:
        return {"users": 0}
    settings, org_id = work.settings, work.subject.org_id
    deleted: list[str] = []

    async def delete() -> None:
        async with AsleepClient(
            key_for(settings, org_id),
            base_url=settings.base_url,
            requests_per_second=settings.requests_per_second,
            budget_file=settings.budget_path,
            organisation=org_id,
        ) as asleep:
            try:
                await asleep.delete_user(work.user_id)
                deleted.append(work.user_id)
            except UserNotFound:
                return

    run(delete())
    return {"users": len(deleted)}


def _inbox(work: Work) -> Counts:
    path = work.settings.inbox_path
    if not path.exists():
        return {"events": 0}
    events = Inbox(path).forget(work.user_id)
    scrub([path], work.traces)
    return {"events": events}


def _rows(work: Work) -> Counts:
    lake = lake_of(work.settings)
    alias = f"erased-{work.subject.person}"
    return forget_rows(lake, work.user_id, alias=alias) if lake else {}


def _key(work: Work) -> Counts:
    """Without it, what was sealed for the person cannot be read in any copy either."""
    keys = keys_of(work.settings.data_dir)
    return {"keys": int(keys is not None and keys.forget(work.user_id, from_files=False))}


def _files(work: Work) -> Counts:
    lake = lake_of(work.settings)
    return {"files": rewrite_files(lake)} if lake else {}


def _warehouse(work: Work) -> Counts:
    settings, lake = work.settings, lake_of(work.settings)
    if lake is None:
        return {}
    if not settings.warehouse_path.exists():
        return {"lake_snapshot": lake.snapshot_id()}
    report = publish(
        lake, settings.warehouse_path, parameters=parameters(settings), without_traces=True
    )
    return {"lake_snapshot": report.lake_snapshot}


def _history(work: Work) -> Counts:
    """Of what was written since the snapshot that was published, nothing tells of the person."""
    settings, lake = work.settings, lake_of(work.settings)
    if lake is None:
        return {}
    (kept,) = [s.counts["lake_snapshot"] for s in work.erasure.steps if s.name == WAREHOUSE]
    with publishing(settings.warehouse_path):
        return forget_history(lake, before=kept)


def _catalog(work: Work) -> Counts:
    lake = lake_of(work.settings)
    # A commit that meets the writing of the whole file would be refused.
    with lake.alone() if lake else nullcontext():
        return {"written_anew": scrub([work.settings.catalog_path], work.traces)}


def _live(work: Work) -> Counts:
    """Whoever follows the events leaves the person out by itself, as soon as the lake does not know them."""
    path = work.settings.live_path
    if not path.exists():
        return {"sessions": 0}
    try:
        with FileLock(work.settings.inbox_path.with_name("receiver.lock"), blocking=False):
            sessions = publish_without(path, work.user_id)
    except Timeout:
        sessions = _wait_for_live(path, work.user_id)
    drop_earlier_keys(work.settings.warehouse_path)
    return {"sessions": sessions}


def _wait_for_live(path: Path, user_id: str) -> int:
    until = time.monotonic() + _PATIENCE_S
    first = _live_sessions(path, user_id)
    while _live_sessions(path, user_id) or needs_earlier_key(path):
        if time.monotonic() > until:
            raise ErasureError(
                "The receiver still shows sessions of the person.",
                fix="Look at its log; `asleep-pipeline erase resume` goes on.",
            )
        time.sleep(_POLL_S)
    return first


def _live_sessions(path: Path, user_id: str) -> int:
    with read_warehouse(path) as con:
        sql = "SELECT count(*) FROM live_sessions WHERE user_id = $1"
        return int(con.execute(sql, [user_id]).fetchall()[0][0])


def _leftovers(work: Work) -> Counts:
    settings = work.settings
    elsewhere = (
        settings.lake_dir,
        settings.warehouse_path,
        settings.warehouse_path.parent / "warehouse",
        settings.live_path,
        settings.inbox_path.parent,
        settings.secret_path.parent,
        settings.dagster_home,
    )
    try:
        files = clear(settings.data_dir, settings.reports_dir, work.traces, except_for=elsewhere)
    except (OSError, duckdb.Error) as error:
        raise ErasureError(
            f"A report or an export cannot be written: {type(error).__name__}.",
            fix="Check the rights of the data folder and the free space.",
        ) from error
    return {"files": files}


def _records(work: Work) -> Counts:
    folder = work.settings.secret_path.parent
    counts = forget_records(folder, work.user_id, except_for=[work.settings.erasures_path])
    scrub(
        [file for file in folder.glob("*.sqlite") if file != work.settings.erasures_path],
        work.traces,
    )
    return counts


def _runs(work: Work) -> Counts:
    return {"files": redact(work.settings.dagster_home, work.traces)}


def _scan(work: Work) -> Counts:
    """What is looked for stands in the journal, which comes last."""
    settings = work.settings
    with publishing(settings.warehouse_path):
        found = scan(settings.data_dir, work.traces, except_for=journal_files(settings))
    if found:
        places = [f"{each.file} ({each.part})" for each in found[:_PLACES_SHOWN]]
        raise NotCleanError(
            f"Something is left in {len(found)} places: {', '.join(places)}.",
            fix="`asleep-pipeline erase resume` repeats all steps; what it does not know, remove.",
        )
    return {"findings": 0}


class NotCleanError(ErasureError):
    """Bytes are left, so that everything has to be done once more."""


def journal_files(settings: Settings) -> list[Path]:
    """The files that hold an erasure that is under way."""
    path = settings.erasures_path
    return [path, path.with_name(f"{path.name}-journal")]


def _inbox_ids(settings: Settings, user_id: str) -> list[str]:
    """Other users whose ids hold that of the person as a part, by the inbox."""
    if not settings.inbox_path.exists():
        return []
    with Inbox(settings.inbox_path).connection() as con:
        rows: list[Any] = con.execute(
            "SELECT DISTINCT user_id FROM event WHERE user_id <> ?1 AND instr(user_id, ?1)",
            [user_id],
        ).fetchall()
    return [other for (other,) in rows]


WAREHOUSE: Final = "warehouse"
SCAN: Final = "scan"
UPSTREAM: Final = "upstream"
STEPS: Final[Sequence[Step]] = (
    Step(UPSTREAM, _upstream),
    Step("inbox", _inbox),
    Step("lake_rows", _rows),
    Step("key", _key),
    Step("lake_files", _files, is_shared=True),
    Step(WAREHOUSE, _warehouse, is_shared=True),
    Step("lake_history", _history, is_shared=True),
    Step("lake_catalog", _catalog),
    Step("sessions_in_progress", _live),
    Step("reports_and_exports", _leftovers),
    Step("access", _records),
    Step("runs", _runs),
    Step(SCAN, _scan),
)
