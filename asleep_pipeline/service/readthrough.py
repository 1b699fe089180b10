"""Sessions that the published file does not have, or not in their final form: asked for at Asleep, and kept.

What is final is put into `raw` as a pull would have put it, so that the next reading of answers takes
it. Who asks for the same session again within a minute, or while it is being asked for, gets the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, date, datetime
from functools import partial
from time import monotonic
from typing import Any, Final

import structlog

from asleep_pipeline.access.organisations import zones
from asleep_pipeline.asleep import Gone, InvalidRequest, SessionNotFound
from asleep_pipeline.asleep.events import is_id, started_by_id
from asleep_pipeline.errors import LakeError
from asleep_pipeline.extract.answers import Chunks
from asleep_pipeline.extract.details import AskedSession, detail_row, vanished_row
from asleep_pipeline.extract.plan import COMPLETE
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline.normalise.details import KNOWN_STAGES, Detail
from asleep_pipeline.normalise.details import whole as read_whole
from asleep_pipeline.normalise.fold import Detailed, Entry
from asleep_pipeline.normalise.rows import SessionParts, session_rows
from asleep_pipeline.normalise.rules import broken_by_detail
from asleep_pipeline.privacy.keeping import Policy
from asleep_pipeline.service.problems import NotFound
from asleep_pipeline.service.roster import Roster
from asleep_pipeline.service.sessions import Session, whole
from asleep_pipeline.service.upstream import AsleepRefuses, Upstream
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse.single import figures_of
from asleep_pipeline.zones.fallbacks import ZoneFallbacks
from asleep_pipeline.zones.local_time import utc_date
from asleep_pipeline.zones.rules import zone_rules

log = structlog.get_logger(__name__)

READING: Final = "reading"
"""Where the application keeps this."""
KEPT_S: Final = 60.0
"""So long an answer of Asleep holds, also that there is no such session."""
MOST_KEPT: Final = 256

_GONE: Final = SessionNotFound(
    "The session was deleted.", endpoint="get_session", detail="session does not exist"
)
_ANSWERS: Final = """
    lake.raw WHERE endpoint = 'get_session' AND shard = $shard AND partition_date = $partition_date
      AND user_id = $user_id AND session_id = $session_id
"""

_Key = tuple[str, str, str]
"""Organisation, user and session."""
_MOST_WAITING: Final = 1_000
"""Answers that wait for the lake's writer; what is more, a pull will bring."""


class Reading:
    """Asks Asleep for sessions, and keeps what is final; within one event loop.

    Args:
        settings: Whose fallbacks of zones.
        upstream: The way to Asleep.
        roster: The lake.
    """

    def __init__(self, settings: Settings, upstream: Upstream, roster: Roster) -> None:
        self._settings = settings
        self._upstream = upstream
        self._roster = roster
        self._held: OrderedDict[_Key, tuple[float, asyncio.Task[Session | None]]] = OrderedDict()
        self._waiting: list[dict[str, Any]] = []
        self._keeping: asyncio.Task[None] | None = None

    async def session(self, org_id: str, user_id: str, session_id: str) -> Session | None:
        """A session as Asleep has it, at most `KEPT_S` old; None when it has none.

        Raises:
            HTTPException: Asleep did not say, see `Upstream.asking`.
        """
        key = (org_id, user_id, session_id)
        ends_at, task = self._held.get(key, (0.0, None))
        if task is None or (task.done() and ends_at < monotonic()):
            task = asyncio.create_task(self._ask(*key))
            task.add_done_callback(partial(self._forget_failure, key))
            self._held[key] = (monotonic() + KEPT_S, task)
            self._held.move_to_end(key)
            while len(self._held) > MOST_KEPT:
                self._held.popitem(last=False)
        # Whoever goes away does not end it for the others.
        return await asyncio.shield(task)

    def vanished(self, user: LakeUser, session_id: str, start_date: date) -> None:
        """Keep that Asleep does not have a session that is known here."""
        self._keep(self._gone(user, session_id, start_date))

    async def delete(
        self, user: LakeUser, session_id: str, start_date: date | None, *, is_known: bool
    ) -> None:
        """Delete a session at Asleep and from the lake; done before is done.

        Args:
            user: Whose.
            session_id: Which.
            start_date: UTC date on which it starts, where that is known.
            is_known: Whether it is published: then it need not be at Asleep any more.

        Raises:
            NotFound: There is no such session, neither here nor there.
            HTTPException: Asleep did not do it, see `Upstream.asking`.
            LakeError: It was deleted at Asleep only; to ask again helps.
        """
        async with self._upstream.asking(user.org_id) as asleep:
            try:
                await asleep.delete_session(user.user_id, session_id)
            except (Gone, InvalidRequest):
                if not is_known:
                    raise NotFound from None
        self._held.pop((user.org_id, user.user_id, session_id), None)
        row = self._gone(user, session_id, start_date or _started_on(session_id))
        await self._roster.writing(self._commit, [row])

    async def close(self) -> None:
        """Wait until what was read is kept."""
        if self._keeping is not None:
            await self._keeping

    async def _ask(self, org_id: str, user_id: str, session_id: str) -> Session | None:
        if not is_id(session_id):
            return None
        async with self._upstream.asking(org_id) as asleep:
            try:
                answer = await asleep.get_session(user_id, session_id)
            except (Gone, InvalidRequest):
                return None
            detail = read_whole(answer.result)
        user = await asyncio.to_thread(self._user, org_id, user_id)
        session = await asyncio.to_thread(self._told, user, session_id, detail, answer.fetched_at)
        asked = AskedSession(user, session_id, utc_date(detail.session.start_time))
        if detail.session.state == COMPLETE and await asyncio.to_thread(self._may_keep, asked):
            self._keep(detail_row(asked, answer, shards=self._settings.shards))
        return session

    def _may_keep(self, asked: AskedSession) -> bool:
        """Whether the organisation keeps answers about a date that is so long ago."""
        first = Policy.of(self._settings, now=datetime.now(UTC)).first_answer(asked.user.org_id)
        return first is None or asked.start_date >= first

    def _user(self, org_id: str, user_id: str) -> LakeUser:
        row = self._roster.find(org_id, user_id) or {}
        return LakeUser(user_id, org_id, row.get("timezone"))

    def _told(
        self, user: LakeUser, session_id: str, detail: Detail, fetched_at: datetime
    ) -> Session:
        if broken := next(broken_by_detail(detail, asked_for=session_id), None):
            log.warning("session_unreadable", rule=broken.rule)
            raise AsleepRefuses("Asleep's answer breaks its own contract.")
        homes = {user.user_id: user.timezone} if user.timezone else {}
        entry = Entry(user.org_id, detailed=Detailed("", fetched_at))
        frame = session_rows(
            [SessionParts(user.user_id, session_id, entry, detail, is_quarantined=False)],
            shard=0,
            fallbacks=ZoneFallbacks(homes, zones(self._settings), self._settings.timezone),
            rules=zone_rules(),
        )
        stages = frame.select(list(KNOWN_STAGES)).row(0, named=True)
        return whole(figures_of(frame) | stages, "asleep")

    def _gone(self, user: LakeUser, session_id: str, start_date: date) -> dict[str, Any]:
        asked = AskedSession(user, session_id, start_date)
        now = datetime.now(UTC)
        return vanished_row(asked, _GONE, shards=self._settings.shards, at=now)

    def _forget_failure(self, key: _Key, task: asyncio.Task[Session | None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._held.pop(key, None)

    def _keep(self, row: dict[str, Any]) -> None:
        """Have a row written soon, together with others."""
        if len(self._waiting) >= _MOST_WAITING:
            return
        self._waiting.append(row)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        while self._waiting:
            rows, self._waiting = self._waiting, []
            try:
                await self._roster.writing(self._commit, rows)
            except LakeError as error:
                log.warning("sessions_not_kept", sessions=len(rows), problem=error.problem)

    def _commit(self, rows: list[dict[str, Any]]) -> None:
        chunks = Chunks(self._roster.lake, "sessions of the API")
        chunks.add(*(row for row in rows if not self._is_kept(row)))
        chunks.flush()

    def _is_kept(self, row: dict[str, Any]) -> bool:
        """Whether `raw` says the same as its last word on the session."""
        names = ("shard", "partition_date", "user_id", "session_id")
        with self._roster.lake.read() as con:
            last = con.execute(
                f"SELECT max_by(body_sha256, fetched_at) FROM {opened(con, RAW, _ANSWERS)}",
                {name: row[name] for name in names},
            ).fetchone()
        return last is not None and last[0] == row["body_sha256"]


def _started_on(session_id: str) -> date:
    """The UTC date that the vendor writes into its ids; today in an id without."""
    return (started_by_id(session_id) or datetime.now(UTC)).date()
