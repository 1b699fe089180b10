"""The way to Asleep: one client for each organisation, and what its failures mean to who asks here.

The vendor's words are never passed on: they may quote what was sent, and they tell of the account
behind a key, which is nobody's business but the operators'.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import structlog
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from pydantic import SecretStr

from asleep_pipeline.access.keys import key_for
from asleep_pipeline.asleep import (
    AsleepClient,
    AsleepError,
    Gone,
    InvalidRequest,
    InvalidUser,
    PlanExpired,
    QuotaExceeded,
    RateLimited,
    StopError,
    TransientError,
)
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.service.problems import NotFound
from asleep_pipeline.settings import Settings

log = structlog.get_logger(__name__)

UPSTREAM: Final = "upstream"
"""Where the application keeps the way to Asleep."""
PATIENCE_S: Final = 25.0
"""So long does a request here wait for Asleep, attempts and pauses included."""

_USUAL_PAUSE_S: Final = 10
_MOST_PAUSE_S: Final = 3_600


class AsleepRefuses(HTTPException):
    """Asleep serves nobody of the organisation, or not as the contract says."""

    status_code = HTTPStatus.BAD_GATEWAY


class AsleepUnavailable(HTTPException):
    """Asleep cannot be reached, is overloaded or fails: ask again after `Retry-After`."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str, pause_s: float = _USUAL_PAUSE_S) -> None:
        pause = min(max(1, ceil(pause_s)), _MOST_PAUSE_S)
        super().__init__(detail, headers={"retry-after": str(pause)})


class NotAccepted(HTTPException):
    """Asleep does not accept what was sent."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY


FAILURES: Final = (AsleepRefuses, AsleepUnavailable)
"""What every route that asks Asleep may answer."""


class Upstream:
    """One client for each organisation, made when it is first needed; within one event loop.

    A key that is replaced holds from the next call on.

    Args:
        settings: Whose keys, address and request budget.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[tuple[str, SecretStr], AsleepClient] = {}

    @asynccontextmanager
    async def asking(self, org_id: str) -> AsyncIterator[AsleepClient]:
        """The organisation's client, for at most `PATIENCE_S`; what fails becomes an answer of ours.

        Raises:
            NotFound: Asleep has no such user or session.
            NotAccepted: The request is one that Asleep refuses.
            AsleepRefuses: The key, the plan or the quota forbids it, or the answer cannot be read.
            AsleepUnavailable: Asleep did not answer in time, is overloaded or fails.
        """
        try:
            client = await self._client(org_id)
            async with asyncio.timeout(PATIENCE_S):
                yield client
        except TimeoutError:
            log.warning("asleep_timed_out", organisation=org_id)
            raise AsleepUnavailable("Asleep did not answer in time.") from None
        except (AsleepError, ConfigurationError) as error:
            log.warning("asleep_failed", organisation=org_id, kind=type(error).__name__)
            raise _answer(error) from None

    async def close(self) -> None:
        """Close all connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()

    async def _client(self, org_id: str) -> AsleepClient:
        # The key may stand in a file.
        key = await asyncio.to_thread(key_for, self._settings, org_id)
        if (org_id, key) not in self._clients:
            self._clients[org_id, key] = AsleepClient(
                key,
                base_url=self._settings.base_url,
                max_connections=self._settings.max_connections,
                requests_per_second=self._settings.requests_per_second,
                budget_file=self._settings.budget_path,
                organisation=org_id,
            )
        return self._clients[org_id, key]


def upstream_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Upstream:
    """The application's way to Asleep."""
    upstream: Upstream = connection.app.state[UPSTREAM]
    return upstream


def _answer(error: AsleepError | ConfigurationError) -> HTTPException:
    if isinstance(error, Gone | InvalidUser):
        return NotFound()
    if isinstance(error, InvalidRequest):
        return NotAccepted("Asleep does not accept this.")
    if isinstance(error, RateLimited):
        return AsleepUnavailable(
            "Asleep is asked too often.", error.retry_after_s or _USUAL_PAUSE_S
        )
    if isinstance(error, TransientError):
        return AsleepUnavailable("Asleep cannot be reached just now.")
    return AsleepRefuses(_for_operators(error))


def _for_operators(error: AsleepError | ConfigurationError) -> str:
    if isinstance(error, ConfigurationError):
        return "This organisation has no usable key for Asleep: the operators must set it."
    if isinstance(error, PlanExpired):
        return "The organisation's plan at Asleep has ended: the operators must renew it."
    if isinstance(error, QuotaExceeded):
        return "The organisation's quota at Asleep is used up: the operators must extend it."
    if isinstance(error, StopError):
        return "Asleep refuses this organisation: the operators must look at its key and address."
    return "Asleep's answer cannot be read: the operators find more in the log."
