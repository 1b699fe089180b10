"""Answers of get-session as rows of `raw`, whoever asked: the pull, or a webhook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from asleep_pipeline.asleep import Answer, Session, SessionNotFound
from asleep_pipeline.extract.answers import raw_row
from asleep_pipeline.lake.users import LakeUser

_ENDPOINT = "get_session"


@dataclass(frozen=True, slots=True)
class AskedSession:
    """A session whose detail is asked for.

    Attributes:
        start_date: UTC date on which it starts.
        list_hash: The list row that makes us ask; None when a webhook does.
    """

    user: LakeUser
    session_id: str
    start_date: date
    list_hash: str | None = None


def detail_row(
    asked: AskedSession, answer: Answer[Session], *, shards: int, stored_sha256: str | None = None
) -> dict[str, Any]:
    """A session's detail.

    Args:
        asked: Which session.
        answer: What the API said.
        shards: Number of shards of the lake.
        stored_sha256: The body that `raw` holds already; an equal one is not stored again.
    """
    return raw_row(
        asked.user,
        _ENDPOINT,
        shards=shards,
        partition_date=asked.start_date,
        body=answer.body,
        fetched_at=answer.fetched_at,
        stored_sha256=stored_sha256,
        session_id=asked.session_id,
        list_hash=asked.list_hash,
        session_state=session_state(answer.body),
    )


def vanished_row(
    asked: AskedSession, error: SessionNotFound, *, shards: int, at: datetime
) -> dict[str, Any]:
    """The API's word, at an instant, that there is no such session (any more)."""
    return raw_row(
        asked.user,
        _ENDPOINT,
        shards=shards,
        partition_date=asked.start_date,
        body=msgspec.json.encode({"detail": error.detail}),
        fetched_at=at,
        status=error.status or HTTPStatus.NOT_FOUND,
        session_id=asked.session_id,
        list_hash=asked.list_hash,
    )


class _Said(msgspec.Struct):
    state: str | None = None


class _Result(msgspec.Struct):
    session: _Said


class _Detail(msgspec.Struct):
    result: _Result


_decode_state = msgspec.json.Decoder(_Detail).decode


def session_state(body: bytes) -> str | None:
    """The session's state in a detail; None when the body cannot be read (normalising tells why)."""
    try:
        return _decode_state(body).result.session.state
    except (ValueError, RecursionError):
        return None
