"""The receiver's answers: fixed words, so that nothing of a key or a payload can be in them.

Problems are `application/problem+json` (RFC 9457).
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from asleep_pipeline.asleep.events import LONGEST_ID

MOST_BYTES: Final = 1024 * 1024
"""Longest body, in bytes."""
PROBLEM_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, omit_defaults=True):
    """Why there is no other answer, as RFC 9457 has it.

    Attributes:
        error_id: Names a failure of the API, in its log too; left out otherwise.
    """

    type: str
    title: str
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    detail: str
    error_id: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, as ASGI wants it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event is not taken.

    Attributes:
        outcome: In the audit and as a label of metrics.
        detail: What its sender is told, in words.
        answer: What its sender is told.
    """

    outcome: str
    detail: str
    answer: Answer


class Refused(Exception):  # noqa: N818 -- it is an answer, and a normal one
    """An event is not taken."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.outcome)
        self.refusal = refusal


def problem(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> Answer:
    """A problem in words of ours."""
    body = msgspec.json.encode(Problem("about:blank", status.phrase, status, detail))
    return _answer(status, PROBLEM_TYPE, body, headers or {})


def stored(outcome: str) -> Answer:
    """That an event is on the disk: STORED, or DUPLICATE when it was before; or ERASED, with its user."""
    return _answer(HTTPStatus.OK, "application/json", msgspec.json.encode({"status": outcome}), {})


def _answer(status: HTTPStatus, kind: str, body: bytes, headers: dict[str, str]) -> Answer:
    described = {"content-type": kind, "content-length": str(len(body))} | headers
    return Answer(int(status), tuple((n.encode(), v.encode()) for n, v in described.items()), body)


def _refusal(
    outcome: str, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None
) -> Refusal:
    return Refusal(outcome, detail, problem(status, detail, headers))


_CHALLENGE: Final = {"www-authenticate": "ApiKey"}
_UNKNOWN: Final = "The request must bear exactly one x-api-key that is known here."
_UNPROCESSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY

TOO_LARGE: Final = _refusal(
    "too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body has at most {MOST_BYTES} bytes."
)
# Their answers are the same: a stranger learns nothing by trying.
NO_KEY: Final = _refusal("no key", HTTPStatus.UNAUTHORIZED, _UNKNOWN, _CHALLENGE)
SEVERAL_KEYS: Final = _refusal("several keys", HTTPStatus.UNAUTHORIZED, _UNKNOWN, _CHALLENGE)
UNKNOWN_KEY: Final = _refusal("unknown key", HTTPStatus.UNAUTHORIZED, _UNKNOWN, _CHALLENGE)
TOO_MANY: Final = _refusal(
    "too many",
    HTTPStatus.TOO_MANY_REQUESTS,
    "More events a second came with this key than are allowed.",
    {"retry-after": "1"},
)
# A header that every event must have is a matter of the request's form, hence 400.
NO_USER: Final = _refusal(
    "no user",
    HTTPStatus.BAD_REQUEST,
    f"The request must bear exactly one x-user-id, in UTF-8, of at most {LONGEST_ID} bytes.",
)
COMPRESSED: Final = _refusal(
    "compressed",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "Compressed bodies are not taken.",
    {"accept-encoding": "identity"},
)
BAD_SIGNATURE: Final = _refusal(
    "bad signature",
    HTTPStatus.UNAUTHORIZED,
    "The request must bear a signature by Standard Webhooks, no older than five minutes.",
    _CHALLENGE,
)
NOT_JSON: Final = _refusal("not json", _UNPROCESSABLE, "The body is no JSON object in UTF-8.")
USER_NOT_NAMED: Final = _refusal(
    "user not named", _UNPROCESSABLE, "The body of such an event must name its user."
)
# The body is sound, but its sender speaks for somebody else, hence 403.
OTHER_USER: Final = _refusal(
    "other user", HTTPStatus.FORBIDDEN, "The body is about another user than x-user-id."
)
NOT_KEPT: Final = _refusal(
    "not stored",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The event cannot be stored just now; send it again.",
    {"retry-after": "5"},
)
OTHER_METHOD: Final = _refusal(
    "other method", HTTPStatus.METHOD_NOT_ALLOWED, "Events are posted.", {"allow": "POST"}
)
FAILED: Final = _refusal(
    "failed", HTTPStatus.INTERNAL_SERVER_ERROR, "The receiver failed; send the event again."
)
HUNG_UP: Final = _refusal("hung up", HTTPStatus.BAD_REQUEST, "The body ended too early.")
"""Nobody is there to be answered."""

REFUSALS: Final = (
    TOO_LARGE,
    NO_KEY,
    SEVERAL_KEYS,
    UNKNOWN_KEY,
    TOO_MANY,
    NO_USER,
    COMPRESSED,
    BAD_SIGNATURE,
    NOT_JSON,
    USER_NOT_NAMED,
    OTHER_USER,
    NOT_KEPT,
    OTHER_METHOD,
    FAILED,
    HUNG_UP,
)
