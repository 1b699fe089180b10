"""From the inbox into `raw`: every completed session's event once, whatever crashes on the way.

An event is marked as done after the lake's commit. One that was committed and not marked is found
in `raw` by the next drain, and marked then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import duckdb
import polars as pl
import structlog
from filelock import FileLock, Timeout

from asleep_pipeline.asleep.events import INFERENCE_COMPLETE
from asleep_pipeline.errors import AsleepPipelineError, InboxError, LakeError
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.crowd import Crowd
from asleep_pipeline.extract.details import AskedSession
from asleep_pipeline.extract.reread import RereadReport, reread
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline.settings import Settings
from asleep_pipeline.webhooks.inbox import Head, Inbox
from asleep_pipeline.webhooks.pushed import SESSION_ENDPOINT, pushed_row
from asleep_pipeline.webhooks.triage import Gate, Triage, triage, waiting

log = structlog.get_logger(__name__)

_BATCH: Final = 1_000
_BATCH_BYTES: Final = 32 * 1024 * 1024
_LONGEST_REASON: Final = 200
_SAME: Final = ("endpoint", "user_id", "session_id", "body_sha256")
_PUSHED: Final = """
    lake.raw WHERE source = 'webhook' AND partition_date IN (SELECT unnest($days))
        AND shard IN (SELECT unnest($shards)) AND user_id IN (SELECT user_id FROM incoming)
"""
_PLACES: Final = {"days": "partition_date", "shards": "shard"}


@dataclass(slots=True)
class DrainReport:
    """What one drain did.

    Attributes:
        is_busy: Whether another drain was under way, so that this one did nothing.
        triage: What was sorted before.
        taken: Events that are new in `raw`.
        duplicates: Events that `raw` had already.
        failed: Tries that failed.
        dead: Events that have failed as often as they may.
        reread: What the API was asked then.
        changes: Rows of `raw` by shard and start date.
    """

    is_busy: bool = False
    triage: Triage = field(default_factory=Triage)
    taken: int = 0
    duplicates: int = 0
    failed: int = 0
    dead: int = 0
    reread: RereadReport = field(default_factory=RereadReport)
    changes: dict[int, Counter[date]] = field(default_factory=lambda: defaultdict(Counter))


def drain(
    lake: Lake,
    inbox: Inbox,
    settings: Settings,
    *,
    now: datetime,
    clients: Clients | None = None,
    shards: Collection[int] | None = None,
    on_progress: Callable[[Crowd], None] = lambda _: None,
) -> DrainReport:
    """Take what waits, in order of arrival, and ask the API for the sessions that are new.

    Args:
        lake: Where it goes.
        inbox: Where it waits.
        settings: Whose key is whose, and how often an event is tried.
        now: The present, UTC.
        clients: A client for every organisation; None when the API is not to be asked.
        shards: Take only events of users of these; of all when None.
        on_progress: Told how far the asking is.

    Raises:
        InboxError: The inbox cannot be read or written.
        LakeError: The lake cannot be read or written; no event is blamed for it.
    """
    with only_drain(inbox) as is_alone:
        if not is_alone:
            return DrainReport(is_busy=True)
        gate = Gate(lake, settings)
        work = _Drain(lake, inbox, gate, now, settings.webhook_tries)
        work.report.triage = triage(inbox, gate, now=now)
        for batch in _batches(takeable(inbox, gate, shards)):
            work.take(batch)
        if clients:
            sessions = [s for s in work.sessions.values() if s.user.org_id in clients.keys]
            asked = reread(lake, clients, sessions, on_progress=on_progress)
            work.report.reread = asked
            for shard, dates in asked.changes.items():
                work.report.changes[shard].update(dates)
        return work.report


@contextmanager
def only_drain(inbox: Inbox) -> Iterator[bool]:
    """Yields whether nobody else sorts or takes events of the inbox during the block."""
    lock = FileLock(inbox.path.with_name("drain.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def takeable(
    inbox: Inbox, gate: Gate, shards: Collection[int] | None = None
) -> Iterator[tuple[Head, LakeUser]]:
    """The waiting events that belong into the lake, with their users, in order of arrival."""
    for events in waiting(inbox):
        gate.look_up(event.user_id for event in events)
        for event in events:
            user = gate.user_of(event)
            is_here = shards is None or shard_of(event.user_id, gate.lake.shards) in shards
            # What has come since the triage is sorted by the next one.
            if user is not None and is_here and event.name != INFERENCE_COMPLETE:
                yield event, user


@dataclass(slots=True)
class _Drain:
    lake: Lake
    inbox: Inbox
    gate: Gate
    now: datetime
    tries: int
    report: DrainReport = field(default_factory=DrainReport)
    sessions: dict[tuple[str, str], AskedSession] = field(default_factory=dict)

    def take(self, batch: Sequence[tuple[Head, LakeUser]]) -> None:
        """Bring some events into `raw`, together or, when one of them hinders that, one by one."""
        rows = list(self._rows(batch))
        try:
            self._keep(rows)
        except (LakeError, InboxError):
            raise
        except Exception as error:  # noqa: BLE001 -- whichever it is, the others must flow
            log.warning("webhooks_kept_one_by_one", kind=type(error).__name__, events=len(rows))
            for row in rows:
                self._keep_alone(*row)

    def _rows(
        self, batch: Sequence[tuple[Head, LakeUser]]
    ) -> Iterator[tuple[Head, LakeUser, dict[str, Any]]]:
        bodies = self.inbox.bodies([event.id for event, _ in batch])
        for event, user in batch:
            if event.id not in bodies:  # somebody has purged it
                continue
            try:
                row = pushed_row(event, bodies[event.id], user, shards=self.lake.shards)
            except Exception as error:  # noqa: BLE001 -- a poison event must not stop the others
                self._fail(event, error)
            else:
                yield event, user, row

    def _keep(self, rows: Sequence[tuple[Head, LakeUser, dict[str, Any]]]) -> None:
        if not rows:
            return
        frame = pl.DataFrame([row for *_, row in rows], schema=RAW.schema)
        with _lake_errors():
            known = _known(self.lake, frame)
            new = frame.unique(_SAME, keep="first", maintain_order=True).join(
                known, on=_SAME, how="anti", nulls_equal=True, maintain_order="left"
            )
            if not new.is_empty():
                with self.lake.write(f"webhooks: {new.height} events") as con:
                    new = self.lake.without_erased(new)
                    insert(con, RAW, new)
        users = {user.user_id: user for _, user, _ in rows}
        for row in new.iter_rows(named=True):
            self._count(users[row["user_id"]], row)
        self.report.duplicates += frame.height - new.height
        self.inbox.settle([event.id for event, *_ in rows], "done", now=self.now)

    def _keep_alone(self, event: Head, user: LakeUser, row: dict[str, Any]) -> None:
        try:
            self._keep([(event, user, row)])
        except (LakeError, InboxError):
            raise
        except Exception as error:  # noqa: BLE001 -- it is the one that hindered the others
            self._fail(event, error)

    def _count(self, user: LakeUser, row: dict[str, Any]) -> None:
        self.report.taken += 1
        self.report.changes[row["shard"]][row["partition_date"]] += 1
        if row["endpoint"] == SESSION_ENDPOINT:
            asked = AskedSession(user, row["session_id"], row["partition_date"])
            self.sessions[user.user_id, row["session_id"]] = asked

    def _fail(self, event: Head, error: Exception) -> None:
        self.inbox.fail([(event.id, _reason(error))], tries=self.tries, now=self.now)
        self.report.failed += 1
        self.report.dead += event.tries + 1 >= self.tries


def _batches(
    events: Iterator[tuple[Head, LakeUser]],
) -> Iterator[list[tuple[Head, LakeUser]]]:
    batch: list[tuple[Head, LakeUser]] = []
    size = 0
    for event, user in events:
        batch.append((event, user))
        size += event.size
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextmanager
def _lake_errors() -> Iterator[None]:
    """What is the matter with the lake, and not with an event, as an error of the lake."""
    try:
        yield
    except (duckdb.OperationalError, duckdb.InternalError, duckdb.FatalException) as error:
        raise LakeError(
            f"The lake cannot be read or written: {str(error).splitlines()[0]}",
            fix="Check its disk, then run it again; the events wait in the inbox.",
        ) from error


def _known(lake: Lake, frame: pl.DataFrame) -> pl.DataFrame:
    """Which of some rows `raw` holds already. The date of a session's events is always the same."""
    asked = {name: frame[column].unique().to_list() for name, column in _PLACES.items()}
    with lake.read() as con:
        con.register("incoming", frame.select(_SAME).to_arrow())
        known = con.execute(
            f"""
            SELECT DISTINCT {", ".join(_SAME)} FROM {opened(con, RAW, _PUSHED)} AS r
            WHERE EXISTS (
                SELECT 1 FROM incoming AS i WHERE
                {" AND ".join(f"r.{c} IS NOT DISTINCT FROM i.{c}" for c in _SAME)})
            """,
            asked,
        ).pl()
        con.unregister("incoming")
    return known


def _reason(error: Exception) -> str:
    if isinstance(error, AsleepPipelineError):
        return error.problem
    return f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
