"""The public keys of an identity provider, as it publishes them (JWKS, RFC 7517).

They are fetched when they are needed, and kept. What strangers send cannot make this service ask more than
once a minute; and as long as the identity provider does not answer, the keys that are known hold on for
a while.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import jwt
import msgspec
import structlog

from asleep_pipeline.errors import AccessError

log = structlog.get_logger(__name__)

ALGORITHMS: Final = frozenset({"RS256", "ES256", "EdDSA"})
"""Those of which a key may be; each is made for public keys."""

FRESH_S: Final = 600.0
"""How long keys are taken for the newest ones: a key that is withdrawn holds no longer than that, as long
as the identity provider answers."""
STALE_S: Final = 3_600.0
"""How long keys hold when the identity provider does not answer."""
UNKNOWN_S: Final = 60.0
"""How long it takes until an unknown name makes this service ask again."""
FAILED_S: Final = 5.0
"""How long it takes until this service asks again as long as it knows no keys at all."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)
_MOST_BYTES: Final = 262_144
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class _Known:
    keys: tuple[jwt.PyJWK, ...]
    since: float

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None:
            return self.keys[0] if len(self.keys) == 1 else None
        return next((key for key in self.keys if key.key_id == kid), None)


class KeyServer:
    """The keys at one address; for use by many threads, none of which may run an event loop.

    Args:
        url: The address.
        clock: Seconds that only ever grow.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._clock = url, clock
        self._fetching = threading.Lock()
        self._known: _Known | None = None
        self._asked = float("-inf")

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of that name, or the only key there is; None when there is none.

        Raises:
            AccessError: No keys are known that are not too old, and they cannot be fetched.
        """
        if self._is_due(kid):
            self._fetch(kid)
        known = self._present
        if known is None:
            raise AccessError(
                "The identity provider does not tell its keys (jwt_jwks_url).",
                fix="Look whether it can be reached from here.",
            )
        return known.find(kid)

    @property
    def _present(self) -> _Known | None:
        known = self._known
        return known if known and self._clock() - known.since <= STALE_S else None

    def _is_due(self, kid: str | None) -> bool:
        known, now = self._present, self._clock()
        if known is None:
            return now - self._asked > FAILED_S
        is_wanting = now - known.since > FRESH_S or known.find(kid) is None
        return is_wanting and now - self._asked > UNKNOWN_S

    def _fetch(self, kid: str | None) -> None:
        """Ask, unless somebody does already; for them waits only who would have no keys at all."""
        if not self._fetching.acquire(blocking=self._present is None):
            return
        try:
            if self._is_due(kid):
                self._take(asyncio.run(_answer(self._url)))
        finally:
            self._fetching.release()

    def _take(self, answer: bytes | None) -> None:
        self._asked = self._clock()
        if keys := _keys(answer or b""):
            self._known = _Known(keys, self._asked)
        else:
            log.warning("jwt_keys_not_fetched", has_answered=answer is not None)


async def _answer(url: str) -> bytes | None:
    """The body of a good answer that is not too long; None otherwise."""
    try:
        async with (
            # What is packed could become any size.
            aiohttp.ClientSession(
                timeout=_TIMEOUT, trust_env=True, auto_decompress=False, headers=_HEADERS
            ) as session,
            session.get(url, allow_redirects=False) as got,
        ):
            body = b""
            async for piece in got.content.iter_chunked(_MOST_BYTES):
                body += piece
                if len(body) > _MOST_BYTES:
                    return None
            return body if got.status == HTTPStatus.OK else None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


class _Answer(msgspec.Struct):
    keys: list[dict[str, Any]]


def _keys(answer: bytes) -> tuple[jwt.PyJWK, ...]:
    try:
        given = msgspec.json.decode(answer, type=_Answer).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(key for each in given if (key := _key(each)))


def _key(given: dict[str, Any]) -> jwt.PyJWK | None:
    """A public key to check signatures by; None for whatever else may stand there."""
    if given.get("use", "sig") != "sig" or "d" in given:
        return None
    try:
        key = jwt.PyJWK(given)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if key.algorithm_name in ALGORITHMS else None
