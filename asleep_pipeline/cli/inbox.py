"""`webhooks list|show|replay|purge|attempts`: what came, and what becomes of it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, show_facts, show_rows
from asleep_pipeline.cli._run import PROGRAM
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    from asleep_pipeline.webhooks.inbox import Inbox, Status

Limit = Annotated[int, typer.Option(min=1, max=100_000, help="So many at most, the newest first.")]


class State(Enum):
    """The states of an event."""

    WAITING = "waiting"
    QUARANTINED = "quarantined"
    DEAD = "dead"
    DONE = "done"


class Aside(Enum):
    """The states in which nothing happens to an event by itself."""

    DEAD = "dead"
    QUARANTINED = "quarantined"


def list_(
    *,
    status: Annotated[State | None, typer.Option(help="Only events in this state.")] = None,
    user: Annotated[str | None, typer.Option(help="Only events of this user.")] = None,
    event: Annotated[
        str | None, typer.Option(help="Only events of this name, such as SESSION_COMPLETE.")
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List the events of the inbox, the newest first, without what they say."""
    from asleep_pipeline.webhooks.admin import newest_events

    state: Status | None = status.value if status else None
    rows = newest_events(_inbox(), state, user_id=user, name=event, limit=limit)
    _note("read", "webhooks list", user_id=user, rows=len(rows))
    show_rows(rows, as_json=as_json, title="Webhooks")


def show(
    event_id: Annotated[int, typer.Argument(metavar="ID", help="From the list.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one event with its body, as it came."""
    event = _inbox().event(event_id)
    if event is None:
        raise _no_event([event_id])
    _note("read", "webhooks show", user_id=event.user_id, number=event_id)
    show_facts(asdict(event) | {"body": event.body.decode(errors="replace")}, as_json=as_json)


def replay(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="From the list.")] = None,
    *,
    status: Annotated[
        Aside | None, typer.Option(help="Instead of ids: all that are in this state.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="With --status: only of this user.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let events be processed again, with all their tries."""
    from asleep_pipeline.webhooks.admin import ids_of, missing_among

    if bool(ids) == bool(status) or (user and not status):
        raise UsageError(
            "What is to be replayed is not clear.",
            fix="Give ids, or --status dead or quarantined, which --user may narrow.",
        )
    inbox = _inbox()
    chosen = ids_of(inbox, status.value, user_id=user) if status else list(ids or ())
    if missing := missing_among(inbox, chosen):
        raise _no_event(missing)
    show_facts({"replayed": inbox.replay(chosen, now=datetime.now(UTC))}, as_json=as_json)


def purge(
    *,
    status: Annotated[State, typer.Option(help="Events in this state.")],
    older_than: Annotated[
        int, typer.Option(min=0, max=36_500, metavar="DAYS", help="In it for more days than this.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete events for good; asks first when they have not been processed."""
    from asleep_pipeline.webhooks.admin import count_before

    inbox = _inbox()
    before = datetime.now(UTC) - timedelta(days=older_than)
    if status is not State.DONE and not yes:
        events = count_before(inbox, status.value, before)
        question = f"Delete {events} {status.value} events, which are nowhere else?"
        typer.confirm(question, abort=True, err=True)
    _note("delete", "webhooks purge", days=older_than)
    show_facts({"deleted": inbox.purge(status.value, before=before)}, as_json=as_json)


def attempts(*, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List who tried to deliver what, by second, and what came of it; the newest first."""
    from asleep_pipeline.webhooks.admin import newest_attempts

    show_rows(newest_attempts(_inbox(), limit=limit), as_json=as_json, title="Attempts")


def _note(action: str, what: str, **more: Any) -> None:
    from asleep_pipeline.settings import load_settings

    note_deed(load_settings(), action, what, **more)


def _inbox() -> Inbox:
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.webhooks.inbox import Inbox

    return Inbox.open(load_settings().inbox_path)


def _no_event(ids: list[int]) -> UsageError:
    named = ", ".join(map(str, ids))
    return UsageError(
        f"The inbox has no event {named}.", fix=f"See what there is: {PROGRAM} webhooks list."
    )
