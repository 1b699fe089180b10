"""What the routes of users and sessions work with, made once for an application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from litestar import Litestar

from asleep_pipeline.access.app_users import AppUsers
from asleep_pipeline.access.deleted_sessions import DeletedSessions
from asleep_pipeline.privacy.erasure import request_erasure
from asleep_pipeline.privacy.tombstones import Tombstones
from asleep_pipeline.service.admission import APP_USERS, TOMBSTONES
from asleep_pipeline.service.creation import CREATION, Creation
from asleep_pipeline.service.readthrough import READING, Reading
from asleep_pipeline.service.roster import ROSTER, Roster
from asleep_pipeline.service.routes.users import ERASE
from asleep_pipeline.service.sessions import DELETED_SESSIONS
from asleep_pipeline.service.upstream import UPSTREAM, Upstream
from asleep_pipeline.settings import Settings


def people_state(settings: Settings) -> dict[str, Any]:
    """What the application keeps for them; nothing is opened before it is asked for."""
    app_users = AppUsers(settings.access_path)
    roster = Roster(settings)
    upstream = Upstream(settings)
    tombstones = Tombstones(settings.erasures_path, settings.secret_path)
    return {
        DELETED_SESSIONS: DeletedSessions(settings.access_path),
        READING: Reading(settings, upstream, roster),
        APP_USERS: app_users,
        ROSTER: roster,
        UPSTREAM: upstream,
        TOMBSTONES: tombstones,
        CREATION: Creation(app_users, tombstones, roster, upstream),
        ERASE: partial(request_erasure, settings),
    }


@asynccontextmanager
async def people(app: Litestar) -> AsyncIterator[None]:
    """Close what they have opened, once what was read is kept; part of an application's lifespan."""
    reading: Reading = app.state[READING]
    roster: Roster = app.state[ROSTER]
    upstream: Upstream = app.state[UPSTREAM]
    try:
        yield
    finally:
        await reading.close()
        await asyncio.to_thread(roster.close)
        await upstream.close()
