"""Which details to ask for: only those that may say something we do not have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from asleep_pipeline.asleep import SessionItem
from asleep_pipeline.extract.answers import sha256

COMPLETE = "COMPLETE"


@dataclass(frozen=True, slots=True)
class KnownDetail:
    """The newest detail of a session in `raw`."""

    list_hash: str | None
    body_sha256: str
    session_state: str | None
    status: int
    fetched_at: datetime


def list_hash(item: SessionItem) -> str:
    """The list row's identity: two rows that say the same have the same hash."""
    return sha256(msgspec.json.encode(item, order="sorted"))


def wants_detail(
    item: SessionItem,
    known: KnownDetail | None,
    listed: Collection[str | None],
    *,
    now: datetime,
    recompute_days: int,
    refetch: bool = False,
) -> bool:
    """Whether the session's detail must be asked for.

    A session that is not COMPLETE has no statistics yet, so its list row says all there is. The
    vendor can recompute a COMPLETE session without any sign in its list row, so young ones are read
    again once a (UTC) day. One that was listed otherwise since its detail was read has been taken up
    again in the meantime, even if its list row is by now what it was.

    Args:
        item: The session's list row.
        known: What `raw` holds of it.
        listed: Hashes of the session's list rows that are known beside that of the detail.
        now: The present, UTC.
        recompute_days: Age up to which a COMPLETE session may still be recomputed.
        refetch: Ask whatever is known.
    """
    if item.state != COMPLETE:
        return False
    if known is None or refetch:
        return True
    present = list_hash(item)
    if {known.list_hash, *listed} != {present} or known.session_state != COMPLETE:
        return True
    age = now - (item.session_end_time or item.session_start_time)
    is_young = age < timedelta(days=recompute_days)
    return is_young and known.fetched_at.date() < now.date()
