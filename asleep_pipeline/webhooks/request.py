"""What a request says, read with care: its headers, its body, its event."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from litestar.types import HTTPScope, Receive

from asleep_pipeline.asleep.events import (
    INFERENCE_COMPLETE,
    LONGEST_ID,
    SESSION_COMPLETE,
    Event,
    NotJsonError,
    read_event,
)
from asleep_pipeline.webhooks import answers
from asleep_pipeline.webhooks.answers import MOST_BYTES, Refused

_MOST_COMING_BYTES: Final = 64 * 1024 * 1024
_NAMES_ITS_USER: Final = frozenset({INFERENCE_COMPLETE, SESSION_COMPLETE})


class Headers:
    """The headers of a request.

    Attributes:
        single: Values by name in lower case, of those that came exactly once.
        repeated: Names of those that came more than once.
    """

    __slots__ = ("repeated", "single")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.single: dict[bytes, bytes] = {}
        self.repeated: set[bytes] = set()
        for name, value in headers:
            if name in self.single:
                self.repeated.add(name)
            self.single[name] = value
        for name in self.repeated:
            del self.single[name]


class Bodies:
    """Reads bodies, and holds no more of them at a time than memory allows."""

    def __init__(self) -> None:
        self._coming_bytes = 0

    async def read(self, receive: Receive) -> bytes:
        """The body of a request.

        Raises:
            Refused: It is too large, too many large ones come at once, or its sender hung up.
        """
        body, is_whole = await _part(receive)
        return body if is_whole else await self._rest(receive, body)

    async def _rest(self, receive: Receive, first: bytes) -> bytes:
        parts = [first]
        size = 0
        try:
            is_whole = False
            while not is_whole:
                size += len(parts[-1])
                self._coming_bytes += len(parts[-1])
                self._check(size)
                part, is_whole = await _part(receive)
                parts.append(part)
        finally:
            self._coming_bytes -= size
        return _checked(b"".join(parts))

    def _check(self, size: int) -> None:
        if size > MOST_BYTES:
            raise Refused(answers.TOO_LARGE)
        if self._coming_bytes > _MOST_COMING_BYTES:
            raise Refused(answers.NOT_KEPT)


async def _part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise Refused(answers.HUNG_UP)
    return message["body"], not message["more_body"]


def _checked(body: bytes) -> bytes:
    if len(body) > MOST_BYTES:
        raise Refused(answers.TOO_LARGE)
    return body


def source_of(scope: HTTPScope) -> str:
    """The address that a request came from; "" when a proxy says something else than an address."""
    client = scope["client"]
    return _address(client[0]) if client else ""


@lru_cache(1024)
def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def check_form(scope: HTTPScope, headers: Headers) -> None:
    """Refuse what is no post, or says itself that it is too large."""
    if scope["method"] != "POST":
        raise Refused(answers.OTHER_METHOD)
    # Digits only: the HTTP parser has seen to it.
    if int(headers.single.get(b"content-length", b"0")) > MOST_BYTES:
        raise Refused(answers.TOO_LARGE)


def key_of(headers: Headers) -> bytes:
    """The API key of a request, whoever's it is."""
    key = headers.single.get(b"x-api-key")
    if key:
        return key
    raise Refused(answers.SEVERAL_KEYS if b"x-api-key" in headers.repeated else answers.NO_KEY)


def user_of(headers: Headers) -> str:
    """The user whom the headers name."""
    value = headers.single.get(b"x-user-id", b"")
    try:
        user_id = value.decode()
    except UnicodeDecodeError:
        user_id = ""
    if not user_id.isprintable() or not user_id or len(value) > LONGEST_ID:
        raise Refused(answers.NO_USER)
    return user_id


def check_encoding(headers: Headers) -> None:
    """Refuse a body that would have to be unpacked: a bomb is small until then."""
    if b"content-encoding" in headers.repeated:
        raise Refused(answers.COMPRESSED)
    if headers.single.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused(answers.COMPRESSED)


def event_of(body: bytes, user_id: str) -> Event:
    """The event of a body, which must be about the user whom the headers name.

    An event of an unknown name need not name its user.
    """
    try:
        event = read_event(body)
    except NotJsonError:
        raise Refused(answers.NOT_JSON) from None
    if event.user_id is None:
        if event.name in _NAMES_ITS_USER:
            raise Refused(answers.USER_NOT_NAMED)
    elif event.user_id != user_id:
        raise Refused(answers.OTHER_USER)
    return event
