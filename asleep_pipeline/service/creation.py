"""Creating a user at Asleep for a user of an app: once, whoever asks how often."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import structlog
from litestar.exceptions import HTTPException

from asleep_pipeline.access.app_users import AppUser, AppUsers, Reservation
from asleep_pipeline.asleep import (
    AsleepClient,
    CircuitOpen,
    ConnectionFailed,
    InvalidRequest,
    RateLimited,
    StopError,
)
from asleep_pipeline.privacy.tombstones import Tombstones
from asleep_pipeline.service.roster import Roster
from asleep_pipeline.service.upstream import PATIENCE_S, Upstream
from asleep_pipeline.service.users import NewUser

log = structlog.get_logger(__name__)

CREATION: Final = "creation"
"""Where the application keeps how users are created."""
_LOOK_EVERY_S: Final = 0.05
_REFUSALS: Final = (StopError, InvalidRequest, RateLimited, CircuitOpen, ConnectionFailed)
"""Errors after which it is certain that nobody was created; of the last one, unless it was sent."""


class BeingCreated(HTTPException):
    """Another request is creating the user: ask again after `Retry-After`."""

    status_code = HTTPStatus.CONFLICT

    def __init__(self) -> None:
        super().__init__("The user is being created.", headers={"retry-after": "2"})


@dataclass(frozen=True, slots=True)
class Creation:
    """How users are created.

    Attributes:
        app_users: Who is known already, and who is being created.
        tombstones: Who was erased; the app's user is somebody new when created again.
        roster: Where users are added, so that the next pull takes them.
        upstream: The way to Asleep.
    """

    app_users: AppUsers
    tombstones: Tombstones
    roster: Roster
    upstream: Upstream

    async def create(self, org_id: str, wanted: NewUser) -> tuple[AppUser, bool]:
        """The user, and whether Asleep has created it just now.

        Raises:
            BeingCreated: Another request has not finished creating it.
            HTTPException: Asleep did not create it, see `Upstream.asking`.
            LakeError: It was created and is not on the roster yet; to ask again helps.
        """
        found = await self._user_or_right(org_id, wanted.app_user_id)
        is_new = isinstance(found, Reservation)
        user = await self._ask(found, wanted) if isinstance(found, Reservation) else found
        if await asyncio.to_thread(self.roster.find, org_id, user.user_id) is None:
            columns = wanted.metadata.columns if wanted.metadata else {}
            await self.roster.writing(self.roster.add, org_id, user.user_id, columns)
        return user, is_new

    async def _user_or_right(self, org_id: str, app_user_id: str) -> AppUser | Reservation:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + PATIENCE_S
        while loop.time() < ends_at:
            found = await asyncio.to_thread(self._reserve, org_id, app_user_id)
            if found is not None:
                return found
            await asyncio.sleep(_LOOK_EVERY_S)
        raise BeingCreated

    def _reserve(self, org_id: str, app_user_id: str) -> AppUser | Reservation | None:
        now = datetime.now(UTC)
        found = self.app_users.reserve(org_id, app_user_id, now=now)
        if isinstance(found, AppUser) and self.tombstones.hold(found.user_id):
            self.app_users.forget(org_id, found.user_id)
            return self.app_users.reserve(org_id, app_user_id, now=now)
        return found

    async def _ask(self, held: Reservation, wanted: NewUser) -> AppUser:
        metadata = wanted.metadata.over(None) if wanted.metadata else None
        end = self.app_users.give_back
        try:
            async with self.upstream.asking(held.org_id) as asleep:
                end = self.app_users.give_up
                try:
                    answer = await asleep.create_user(metadata)
                except _REFUSALS as error:
                    if not (isinstance(error, ConnectionFailed) and error.sent):
                        end = self.app_users.give_back
                    raise
                return await self._settle(held, answer.result.user_id, asleep)
        except BaseException:
            end(held)
            raise

    async def _settle(self, held: Reservation, user_id: str, asleep: AsleepClient) -> AppUser:
        user = await asyncio.to_thread(self.app_users.settle, held, user_id, now=datetime.now(UTC))
        if user is None:
            # This process stood still for so long that another one has taken over.
            log.warning("user_created_too_late", organisation=held.org_id)
            await asleep.delete_user(user_id)
            raise BeingCreated
        return user
