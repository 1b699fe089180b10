"""Asking again for sessions that a webhook has told of, so that body and API agree."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

from asleep_pipeline.asleep import AsleepClient, AsleepError, SessionNotFound
from asleep_pipeline.extract.answers import Chunks
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.crowd import Crowd, StopsAll, ask_all
from asleep_pipeline.extract.details import AskedSession, detail_row, vanished_row
from asleep_pipeline.extract.plan import COMPLETE
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.users import LakeUser

LONGEST_S: Final = 120.0
"""So long are sessions asked for; the rows of what was pushed are written afterwards."""


@dataclass(slots=True)
class RereadReport:
    """What was asked and got.

    Attributes:
        crowd: How the users fared.
        details: Details that were kept.
        unfinished: Details that are not COMPLETE yet, which were not kept.
        vanished: Sessions that are gone by now.
        failed: Sessions that could not be had; the next sync asks.
        left: Sessions that were not asked for, since the time was up; the next sync asks.
        stopped_by: What forbids any further request; None when everyone was asked.
        changes: Answers that were kept, by shard and start date.
    """

    crowd: Crowd = field(default_factory=Crowd)
    details: int = 0
    unfinished: int = 0
    vanished: int = 0
    failed: int = 0
    left: int = 0
    stopped_by: AsleepError | None = None
    changes: dict[int, Counter[date]] = field(default_factory=lambda: defaultdict(Counter))


def reread(
    lake: Lake,
    clients: Clients,
    sessions: Sequence[AskedSession],
    *,
    on_progress: Callable[[Crowd], None] = lambda _: None,
) -> RereadReport:
    """Ask for the details of some sessions, and keep those that are final in `raw`.

    What the API cannot or will not answer is counted, and so is what is left when the time is up,
    for the rows wait for the end: the next sync asks for both.

    Args:
        lake: Where the answers go.
        clients: A client for every organisation.
        sessions: Which.
        on_progress: Called after each user.

    Raises:
        LakeError: An answer could not be kept.
    """
    asked: dict[LakeUser, list[AskedSession]] = defaultdict(list)
    for session in sessions:
        asked[session.user].append(session)
    chunks = Chunks(lake, f"details of {len(sessions)} webhooks")
    work = _Reread(chunks, asked, RereadReport(Crowd(len(asked))))
    if asked:
        work.everyone(clients, on_progress)
    return work.report


@dataclass(slots=True)
class _Reread:
    chunks: Chunks
    asked: dict[LakeUser, list[AskedSession]]
    report: RereadReport
    committing: asyncio.Lock = field(default_factory=asyncio.Lock)
    ends_at: float = field(default_factory=lambda: time.monotonic() + LONGEST_S)

    def everyone(self, clients: Clients, on_progress: Callable[[Crowd], None]) -> None:
        try:
            ask_all(clients, self.asked, self._user, self.report.crowd, on_progress)
        except StopsAll as error:
            self.report.stopped_by = error
        finally:
            self.chunks.flush()

    async def _user(self, user: LakeUser, asleep: AsleepClient) -> None:
        for session in self.asked[user]:
            if time.monotonic() < self.ends_at:
                await self._session(session, asleep)
            else:
                self.report.left += 1
        async with self.committing:
            if self.chunks.is_full:
                await asyncio.to_thread(self.chunks.flush)

    async def _session(self, asked: AskedSession, asleep: AsleepClient) -> None:
        shards = self.chunks.lake.shards
        try:
            answer = await asleep.get_session(asked.user.user_id, asked.session_id)
        except SessionNotFound as error:
            self._keep(vanished_row(asked, error, shards=shards, at=datetime.now(UTC)))
            self.report.vanished += 1
        except StopsAll:
            raise
        except AsleepError as error:
            self.report.failed += 1
            self.report.crowd.note("get_session", error)
        else:
            row = detail_row(asked, answer, shards=shards)
            # What is not final yet, the pull follows by its list row.
            if row["session_state"] == COMPLETE:
                self._keep(row)
                self.report.details += 1
            else:
                self.report.unfinished += 1

    def _keep(self, row: dict[str, Any]) -> None:
        self.chunks.add(row)
        self.report.changes[row["shard"]][row["partition_date"]] += 1
