"""Which details to ask for: only those that may say something we do not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from asleep_pipeline.asleep import SessionItem
from asleep_pipeline.extract.answers import sha256

COMPLETE = "COMPLETE"


@dataclass(frozen=True, slots=True)
class KnownDetail:
    """The newest detail of a session in `raw`.

    Attributes:
        list_hash: The list row that made us ask; None when a webhook did.
        pushed_at: When the session's newest webhook came; None when none did.
    """

    list_hash: str | None
    body_sha256: str
    session_state: str | None
    status: int
    fetched_at: datetime
    pushed_at: datetime | None = None


def list_hash(item: SessionItem) -> str:
    """The list row's identity: two rows that say the same have the same hash."""
    return sha256(msgspec.json.encode(item, order="sorted"))


def is_detail_of(
    item: SessionItem,
    digest: str,
    asked_for: str | None,
    session_state: str | None,
    fetched_at: datetime,
) -> bool:
    """Whether a detail is what there is to say of a list row.

    Args:
        item: The list row.
        digest: Its hash.
        asked_for: Hash of the list row that made us ask for the detail; None when a webhook did. It
            belongs to a session that has not gone on since.
        session_state: The state that the detail reports.
        fetched_at: When the detail was read.
    """
    if asked_for is not None:
        return asked_for == digest
    return session_state == COMPLETE and fetched_at >= _end(item)


def wants_detail(
    item: SessionItem,
    digest: str,
    known: KnownDetail | None,
    listed: Mapping[str | None, datetime | None],
    *,
    now: datetime,
    recompute_days: int,
    refetch: bool = False,
) -> bool:
    """Whether the session's detail must be asked for.

    A session that is not COMPLETE has no statistics yet, so its list row says all there is. The
    vendor can recompute a COMPLETE session without any sign in its list row, so young ones are read
    again once a (UTC) day, and once more if days were missed and the last reading is too young to be
    the last of every day's. One that was listed otherwise since its detail was read has been taken
    up again in the meantime, even if its list row is by now what it was. A webhook that came since may
    tell of another result, and less of it than the API does.

    Args:
        item: The session's list row.
        digest: Its hash.
        known: What `raw` holds of it.
        listed: The session's list rows that are known beside that of the detail: when each was
            listed, by its hash.
        now: The present, UTC.
        recompute_days: Age up to which a COMPLETE session may still be recomputed.
        refetch: Ask whatever is known.
    """
    if item.state != COMPLETE:
        return False
    if known is None or refetch:
        return True
    is_pushed_since = known.pushed_at is not None and known.pushed_at > known.fetched_at
    if (
        is_pushed_since
        or known.session_state != COMPLETE
        or not _is_settled(item, digest, known, listed)
    ):
        return True
    is_young = now - _end(item) < timedelta(days=recompute_days)
    was_left_young = known.fetched_at - _end(item) < timedelta(days=recompute_days - 1)
    return (is_young or was_left_young) and known.fetched_at.date() < now.date()


def _is_settled(
    item: SessionItem,
    present: str,
    known: KnownDetail,
    listed: Mapping[str | None, datetime | None],
) -> bool:
    others = {digest: at for digest, at in listed.items() if digest not in {None, present}}
    if known.list_hash is None:
        # Without a webhook it would have been listed first, so what is older is no news to it.
        others = {digest: at for digest, at in others.items() if at and at > known.fetched_at}
    return not others and is_detail_of(
        item, present, known.list_hash, known.session_state, known.fetched_at
    )


def _end(item: SessionItem) -> datetime:
    return item.session_end_time or item.session_start_time
