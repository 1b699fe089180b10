"""The pull: list each user's sessions, ask for the details that may hold news, keep every answer."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from asleep_pipeline.asleep import (
    Answer,
    AsleepClient,
    AsleepError,
    SessionItem,
    SessionNotFound,
    SessionPage,
)
from asleep_pipeline.extract.answers import Chunks, raw_row
from asleep_pipeline.extract.clients import ClientOf, Clients
from asleep_pipeline.extract.crowd import Crowd, StopsAll, run
from asleep_pipeline.extract.details import AskedSession, detail_row, vanished_row
from asleep_pipeline.extract.jobs import Jobs, side_by_side
from asleep_pipeline.extract.known import Known, read_known
from asleep_pipeline.extract.plan import list_hash, wants_detail
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.users import LakeUser, mark_gone, pullable_users
from asleep_pipeline.normalise.rules import is_sound
from asleep_pipeline.zones.local_time import utc_date

USERS_AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class Window:
    """Start dates in UTC, both inclusive."""

    start: date
    end: date


@dataclass(slots=True)
class PullReport:
    """What one pull asked and got."""

    crowd: Crowd = field(default_factory=Crowd)
    sessions_listed: int = 0
    pages: int = 0
    details: int = 0
    details_vanished: int = 0
    details_failed: int = 0
    answers_by_date: Counter[date] = field(default_factory=Counter)

    @property
    def is_partial(self) -> bool:
        """Whether something that was asked for could not be had."""
        return bool(self.crowd.failed or self.details_failed)


OnProgress = Callable[[Crowd], None]
FirstKept = Callable[[str], date | None]
"""The first start date that is kept of an organisation, by its id; None when all are."""


def pull_sessions(
    lake: Lake,
    clients: Clients,
    window: Window,
    *,
    shard: int,
    now: datetime,
    recompute_days: int,
    user_ids: tuple[str, ...] = (),
    unfinished_only: bool = False,
    refetch: bool = False,
    first_kept: FirstKept = lambda _: None,
    on_progress: OnProgress = lambda _: None,
) -> PullReport:
    """Pull the sessions of one shard that start within the window, and keep the answers in `raw`.

    A user who is gone or whose answers are broken is counted and skipped; the others go on. What was
    answered before an error that stops the pull is kept.

    Args:
        lake: Where the answers go.
        clients: A client for every organisation.
        window: Start dates; at most 90 days, so that a user is one listing.
        shard: Whose users.
        now: The present, UTC.
        recompute_days: See `wants_detail`.
        user_ids: Only these users of the shard; everyone when empty.
        unfinished_only: Only users with a session in the window that is still OPEN or CLOSED.
        refetch: Ask again for details that are settled.
        first_kept: The first start date that is kept of an organisation, for which earlier ones are not
            asked; None for all.
        on_progress: Called after each user.

    Raises:
        StopError: The key, the plan or the quota forbids any request.
        CircuitOpen: The service fails for everyone.
        LakeError: An answer could not be kept.
    """
    with lake.read() as con:
        users = pullable_users(
            con,
            shard=shard,
            user_ids=user_ids,
            unfinished_since=window.start if unfinished_only else None,
        )
    chunks = Chunks(lake, f"pull {window.start} to {window.end}, shard {shard}")
    report = PullReport(Crowd(len(users)), answers_by_date=chunks.committed)
    pull = _Pull(
        clients,
        window,
        chunks,
        report,
        shard,
        now,
        recompute_days,
        refetch,
        first_kept,
        on_progress,
    )
    try:
        run(pull.everyone(users))
    finally:
        chunks.flush()
        report.crowd.distrust_if_all_are_gone()
        mark_gone(lake, report.crowd.gone, now)
    return report


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A detail to ask for, and the hash of the one that `raw` holds already."""

    asked: AskedSession
    stored_sha256: str | None


@dataclass(slots=True)
class _Rest:
    """What is still to come of one user."""

    details: int


@dataclass(slots=True)
class _Pull:
    clients: Clients
    window: Window
    chunks: Chunks
    report: PullReport
    shard: int
    now: datetime
    recompute_days: int
    refetch: bool
    first_kept: FirstKept
    on_progress: OnProgress
    committing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def everyone(self, users: Sequence[LakeUser]) -> None:
        """All users, some hundred at a time so that what is known of them fits in memory."""
        async with self.clients.open() as client_of:
            for first in range(0, len(users), USERS_AT_A_TIME):
                await self._group(users[first : first + USERS_AT_A_TIME], client_of)
        self.report.crowd.raise_if_stopped()

    async def _group(self, users: Sequence[LakeUser], client_of: ClientOf) -> None:
        stacks: defaultdict[str, Jobs] = defaultdict(Jobs)
        for window, members in self._by_window(users).items():
            known = read_known(self.chunks.lake, members, self.shard, window.start, window.end)
            for user in reversed(members):
                jobs = stacks[user.org_id]
                jobs.add(partial(self._user, user, window, client_of, known, jobs))
        # Details of few users fill the connections as well as those of many.
        await side_by_side(stacks.values(), at_once=self.clients.max_connections)

    def _by_window(self, users: Sequence[LakeUser]) -> dict[Window, list[LakeUser]]:
        """Whom to ask about which dates: those of the pull that their organisation keeps."""
        found: defaultdict[Window, list[LakeUser]] = defaultdict(list)
        for user in users:
            first = self.first_kept(user.org_id) or self.window.start
            window = Window(max(first, self.window.start), self.window.end)
            if window.start <= window.end:
                found[window].append(user)
            else:
                self._done_without(_Rest(0))
        return found

    async def _user(
        self, user: LakeUser, window: Window, client_of: ClientOf, known: Known, jobs: Jobs
    ) -> None:
        """List the user's sessions, and have the details asked for that may hold news."""
        if user.org_id in self.report.crowd.stopped:
            return
        self.report.crowd.asked[user.org_id] += 1
        asleep = client_of(user.org_id)
        wanted: list[_Wanted] = []
        try:
            listed = await self._listing(user, window, asleep, known)
        except StopsAll as error:
            self.report.crowd.stop(user, error)
            return
        except AsleepError as error:
            self.report.crowd.meets(user, error)
        else:
            wanted = self._wanted(user, listed, known)
        rest = _Rest(len(wanted))
        for each in reversed(wanted):
            jobs.add(partial(self._detail, each, asleep, rest))
        self._done_without(rest)
        await self._commit_when_full()

    def _wanted(
        self, user: LakeUser, listed: dict[str, SessionItem], known: Known
    ) -> list[_Wanted]:
        wanted = []
        details = known.details.get(user.user_id, {})
        for digest, item in listed.items():
            stored = details.get(item.session_id)
            if is_sound(item) and wants_detail(
                item,
                digest,
                stored,
                known.list_hashes(user.user_id, item.session_id),
                now=self.now,
                recompute_days=self.recompute_days,
                refetch=self.refetch,
            ):
                asked = AskedSession(user, item.session_id, start_date(item), digest)
                wanted.append(_Wanted(asked, stored.body_sha256 if stored else None))
        return wanted

    async def _listing(
        self, user: LakeUser, window: Window, asleep: AsleepClient, known: Known
    ) -> dict[str, SessionItem]:
        """Ask for all pages, and keep them as one; returns the list rows by their hash."""
        listed_at = datetime.now(UTC)
        pages = [
            page async for page in asleep.session_pages(user.user_id, window.start, window.end)
        ]
        items = {item.session_id: item for page in pages for item in page.result.sleep_session_list}
        hashes = {session_id: list_hash(item) for session_id, item in items.items()}
        is_news = not known.says_the_same(user.user_id, hashes)
        rows = (self._page_row(user, window, page, listed_at, is_news=is_news) for page in pages)
        self.chunks.add(*rows)
        self.report.pages += len(pages)
        self.report.sessions_listed += len(items)
        return {hashes[session_id]: item for session_id, item in items.items()}

    async def _detail(self, wanted: _Wanted, asleep: AsleepClient, rest: _Rest) -> None:
        asked, shards = wanted.asked, self.chunks.lake.shards
        if asked.user.org_id in self.report.crowd.stopped:
            return
        try:
            answer = await asleep.get_session(asked.user.user_id, asked.session_id)
        except SessionNotFound as error:
            self.chunks.add(vanished_row(asked, error, shards=shards, at=datetime.now(UTC)))
            self.report.details_vanished += 1
        except StopsAll as error:
            self.report.crowd.stop(asked.user, error)
            return
        except AsleepError as error:
            self.report.details_failed += 1
            self.report.crowd.note("get_session", error)
        else:
            stored = wanted.stored_sha256
            self.chunks.add(detail_row(asked, answer, shards=shards, stored_sha256=stored))
            self.report.details += 1
        rest.details -= 1
        self._done_without(rest)
        await self._commit_when_full()

    def _done_without(self, rest: _Rest) -> None:
        """Note that a user is done when there is no rest."""
        if not rest.details:
            self.report.crowd.done += 1
            self.on_progress(self.report.crowd)

    async def _commit_when_full(self) -> None:
        if self.chunks.is_full:
            async with self.committing:
                # Whoever waited for the lock may find it done.
                if self.chunks.is_full:
                    await asyncio.to_thread(self.chunks.flush)

    def _page_row(
        self,
        user: LakeUser,
        window: Window,
        page: Answer[SessionPage],
        listed_at: datetime,
        *,
        is_news: bool,
    ) -> dict[str, Any]:
        row = raw_row(
            user,
            "list_sessions",
            shards=self.chunks.lake.shards,
            # The end, so that the listings of every day lie in the month in which they were made.
            partition_date=window.end,
            body=page.body,
            fetched_at=page.fetched_at,
            window_start=window.start,
            window_end=window.end,
            listed_at=listed_at,
        )
        return row if is_news else row | {"body": None}


def start_date(item: SessionItem) -> date:
    """The partition of a session: the date on which it starts in UTC."""
    return utc_date(item.session_start_time)
