"""`webhooks drain`: what waits is in the published file afterwards."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

from asleep_pipeline.asleep.events import read_event
from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.simulator import RunningSimulator
from asleep_pipeline.webhooks.inbox import Arrival, Inbox
from asleep_pipeline_tests.cli.desk import Desk
from asleep_pipeline_tests.webhooks.mail import post

SINCE, UNTIL = date(2025, 5, 27), date(2025, 5, 30)
"""After the dates that are loaded."""


def event(simulator: RunningSimulator) -> Arrival:
    """The webhook of somebody's session of those nights."""
    user_id = simulator.world.people[0].user_id
    (said, *_) = simulator.world.sessions(user_id, SINCE, UNTIL)
    body = json.dumps({"event": "SESSION_COMPLETE", "version": "V3", "data": said}).encode()
    return Arrival(read_event(body), "default", user_id, datetime(2025, 6, 1, tzinfo=UTC), body)


def test_a_drain_publishes_what_was_pushed(own: Desk, simulator: RunningSimulator) -> None:
    """The night is there, with the API's own numbers; a second drain has nothing to do."""
    came = event(simulator)
    post(Inbox.create(own.data_dir / "webhooks" / "inbox.sqlite"), came)
    said = own("webhooks", "drain", "--json")
    assert said.code == ExitCode.OK
    counts = {name: said.data[name] for name in ("events_taken", "reread", "requests")}
    assert counts == {"events_taken": 1, "reread": 1, "requests": 1}
    (row,) = own("query", "SELECT * FROM sessions WHERE pushed_at IS NOT NULL", "--json").data
    assert (row["session_id"], row["state"]) == (came.event.session_id, "COMPLETE")
    again = own("webhooks", "drain", "--json").data
    assert (again["events_taken"], again["requests"], again["runs"]) == (0, 0, 1)


def test_a_drain_that_leaves_something_says_so(own: Desk, simulator: RunningSimulator) -> None:
    """A stranger's event is counted; one that cannot be taken makes the outcome partial."""
    came = event(simulator)
    nameless = json.dumps({"event": "SESSION_COMPLETE", "data": {"user_id": came.user_id}}).encode()
    post(
        Inbox.create(own.data_dir / "webhooks" / "inbox.sqlite"),
        Arrival(came.event, "default", "a-stranger", came.received_at, came.body),
        Arrival(read_event(nameless), "default", came.user_id, came.received_at, nameless),
    )
    said = own("webhooks", "drain", "--json")
    assert said.code == ExitCode.PARTIAL
    assert (said.data["events_quarantined"], said.data["events_failed"]) == (1, 1)


def test_a_drain_without_an_inbox_is_no_failure(own: Desk) -> None:
    """Nobody has served webhooks yet."""
    said = own("webhooks", "drain", "--json")
    assert (said.code, said.data["events_taken"]) == (ExitCode.OK, 0)
    assert not (own.data_dir / "webhooks").exists()
