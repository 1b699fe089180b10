"""What an answer means: its result, or the error that it stands for (contract section 4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from asleep_pipeline.asleep._http import Reply, Request
from asleep_pipeline.asleep.errors import (
    AsleepError,
    InvalidRequest,
    InvalidUser,
    PlanExpired,
    QuotaExceeded,
    RateLimited,
    Redirected,
    ServerError,
    SessionNotFound,
    StopError,
    TruncatedBody,
    Unauthorized,
    UnreadableAnswer,
    UserNotFound,
)

_LONGEST_DETAIL: Final = 200
_SESSION_ENDPOINTS: Final = frozenset({"get_session", "delete_session"})


class _Meaning(NamedTuple):
    kind: type[AsleepError]
    what: str
    fix: str


_REDIRECTED: Final = _Meaning(
    Redirected,
    "redirects elsewhere, which is not followed because the key would go along",
    "Set the base address to the API itself.",
)
_INVALID_USER: Final = _Meaning(
    InvalidUser, "does not know this user id", "Use the id that Asleep issued to this account."
)
_UNAUTHORIZED: Final = _Meaning(
    Unauthorized, "refuses the API key", "Check the key and the environment it belongs to."
)
_RATE_LIMITED: Final = _Meaning(
    RateLimited, "refuses: too many requests", "Lower the requests per second."
)
_QUOTA: Final = _Meaning(
    QuotaExceeded, "refuses: the quota of sessions is used up", "Extend the plan with Asleep."
)
_PLAN: Final = _Meaning(PlanExpired, "refuses: the plan has expired", "Renew the plan with Asleep.")
_FORBIDDEN: Final = _Meaning(
    StopError, "refuses this key", "Ask Asleep what the key may do, quoting the detail."
)
_NO_USER: Final = _Meaning(
    UserNotFound, "does not have this user", "Remove the user from the roster."
)
_NO_SESSION: Final = _Meaning(
    SessionNotFound, "does not have this session", "Nothing: it was deleted or never existed."
)
_FAILED: Final = _Meaning(ServerError, "failed", "Try again later.")
_NO_SUCH_ADDRESS: Final = _Meaning(
    InvalidRequest, "has nothing at this address", "Check the base address."
)
_INVALID: Final = _Meaning(
    InvalidRequest, "refuses the request", "Change the request as the detail says."
)


def check(request: Request, reply: Reply, key: SecretStr) -> None:
    """Raise what the reply stands for, unless it is a success.

    Args:
        request: What was asked.
        reply: What came back.
        key: Cut out of whatever the reply quotes.

    Raises:
        AsleepError: One of its kinds, by status.
    """
    if not HTTPStatus(200) <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        raise _error(request, reply, key)
    if request.has_result:
        _check_envelope(request, reply)


class _Envelope(msgspec.Struct):
    result: msgspec.Raw


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def _check_envelope(request: Request, reply: Reply) -> None:
    """Look at the shape only; the result is decoded when somebody wants it."""
    try:
        _ENVELOPE.decode(reply.body)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    else:
        return
    problem = f"The answer of {request.endpoint} is not what the contract says ({reason})."
    if "truncated" in reason:
        raise TruncatedBody(
            problem, fix="Try again later.", endpoint=request.endpoint, status=reply.status
        )
    raise UnreadableAnswer(problem, endpoint=request.endpoint, status=reply.status)


def _error(request: Request, reply: Reply, key: SecretStr) -> AsleepError:
    detail, is_ours = _detail(reply)
    if reply.status == HTTPStatus.NOT_FOUND and not is_ours:
        # A wrong base address must not make every user look deleted.
        return UnreadableAnswer(
            f"{request.endpoint} met a 404 that is not the API's.",
            endpoint=request.endpoint,
            status=reply.status,
        )
    meaning = _meaning(reply.status, detail.lower(), request.endpoint)
    # The key is never put into a variable: a traceback may be printed with its variables.
    shown = (_location(reply) or detail).replace(key.get_secret_value(), "[key]")
    for each in request.ids:
        # As a word: an id may be so short that it is a part of others.
        shown = re.sub(rf"(?<!\w){re.escape(each)}(?!\w)", "[id]", shown)
    shown = shown[:_LONGEST_DETAIL]
    said = f" ({reply.status}: {shown})" if shown else f" ({reply.status})"
    return meaning.kind(
        f"{request.endpoint}: Asleep {meaning.what}{said}.",
        fix=meaning.fix,
        endpoint=request.endpoint,
        status=reply.status,
        detail=shown,
        retry_after_s=_retry_after_s(reply),
    )


def _detail(reply: Reply) -> tuple[str, bool]:
    """Return the detail as text, and whether the body is the API's error envelope."""
    try:
        body: Any = msgspec.json.decode(reply.body)
    except (ValueError, RecursionError):
        return "", False
    if not isinstance(body, dict) or "detail" not in body:
        return "", False
    detail = body["detail"]
    return detail if isinstance(detail, str) else msgspec.json.encode(detail).decode(), True


def _meaning(status: int, said: str, endpoint: str) -> _Meaning:
    special: dict[int, _Meaning] = {
        HTTPStatus.UNAUTHORIZED: _unauthorized(said),
        HTTPStatus.FORBIDDEN: _forbidden(said),
        HTTPStatus.NOT_FOUND: _not_found(said, endpoint),
        HTTPStatus.TOO_MANY_REQUESTS: _RATE_LIMITED,
    }
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _FAILED
    if status < HTTPStatus.BAD_REQUEST:
        return _REDIRECTED
    return special.get(status, _INVALID)


def _unauthorized(said: str) -> _Meaning:
    about_user = "invalid" in said and ("user" in said or "customer" in said)
    return _INVALID_USER if about_user else _UNAUTHORIZED


def _not_found(said: str, endpoint: str) -> _Meaning:
    if endpoint in _SESSION_ENDPOINTS:
        about_user = "user" in said and "session" not in said
        return _NO_USER if about_user else _NO_SESSION
    # A wrong path is a 404 as well; it must not make every user look deleted.
    return _NO_USER if "user" in said else _NO_SUCH_ADDRESS


def _forbidden(said: str) -> _Meaning:
    words = (("rate limit", _RATE_LIMITED), ("quota", _QUOTA), ("plan", _PLAN))
    return next((meaning for word, meaning in words if word in said), _FORBIDDEN)


def _location(reply: Reply) -> str:
    """Where a redirect points: the host only, a query may hold anything."""
    try:
        return urlsplit(reply.headers.get("location", "")).hostname or ""
    except ValueError:
        return ""


def _retry_after_s(reply: Reply) -> float | None:
    """Read Retry-After, which holds seconds or an HTTP date; None when it holds neither."""
    value = reply.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
