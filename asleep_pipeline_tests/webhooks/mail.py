"""Events that have passed every check, and a way to put them into an inbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from asleep_pipeline.asleep.events import INFERENCE_COMPLETE, read_event
from asleep_pipeline.webhooks.inbox import Arrival, Inbox
from asleep_pipeline.webhooks.writer import Attempt, Writer

SESSION = "20260110230000_aaaaa"
NOW = datetime(2026, 1, 11, 6, tzinfo=UTC)


def arrival(
    block: int | None = 0,
    *,
    user: str = "ann",
    session: str = SESSION,
    key_name: str = "default",
    name: str = INFERENCE_COMPLETE,
    at: datetime = NOW,
    padding: str = "",
) -> Arrival:
    """An event of the newest version; `padding` makes its body another one."""
    data = {"user_id": user, "session_id": session, "inference_seq_num": block, "more": padding}
    body = json.dumps({"event": name, "version": "V3", "data": data}).encode()
    return Arrival(read_event(body), key_name, user, at, body)


def attempt(ticket: int, what: Arrival, source: str = "192.0.2.1") -> Attempt[int]:
    """The request that brought an event."""
    return Attempt(ticket, what.received_at, source, what.key_name, arrival=what)


def post(inbox: Inbox, *arrivals: Arrival) -> list[str]:
    """Put events into an inbox, as the receiver does; the outcome of each."""
    outcomes: dict[int, str] = {}

    def deliver(told: Sequence[tuple[int, str]]) -> None:
        outcomes.update(told)

    writer = Writer(inbox, deliver)
    writer.start()
    for number, one in enumerate(arrivals):
        writer.put(attempt(number, one))
    writer.close()
    return [outcomes[number] for number in range(len(arrivals))]
