"""`webhooks send`: one event by hand, as Asleep would send it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from asleep_pipeline.cli._output import AsJson, show_facts
from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.cli.serve import Envelope
from asleep_pipeline.errors import AsleepPipelineError, UsageError
from asleep_pipeline.webhooks import DEFAULT_PORT

if TYPE_CHECKING:
    from asleep_pipeline.settings import Settings
    from asleep_pipeline.simulator import Person, World
    from asleep_pipeline.simulator.anyone import Subject
    from asleep_pipeline.simulator.calendar import Slot
    from asleep_pipeline.simulator.nights import Night

_RECENT = timedelta(days=14)


class SendError(AsleepPipelineError):
    """No receiver answers."""


class Kind(Enum):
    """The documented events."""

    SESSION_COMPLETE = "SESSION_COMPLETE"
    INFERENCE_COMPLETE = "INFERENCE_COMPLETE"


def send(
    *,
    user: Annotated[str, typer.Option(help="Whose event; the header x-user-id.")],
    event: Annotated[Kind, typer.Option(help="What happened.")] = Kind.SESSION_COMPLETE,
    session: Annotated[
        str | None,
        typer.Option(help="Which session (default: the demo person's last, or a new one)."),
    ] = None,
    seq: Annotated[
        int | None,
        typer.Option(min=0, help="Chunk of 30 s that ends the windows (default: the last one)."),
    ] = None,
    version: Annotated[Envelope, typer.Option(help="The envelope.")] = Envelope.V3,
    url: Annotated[
        str, typer.Option(help="Where the receiver listens.")
    ] = f"http://127.0.0.1:{DEFAULT_PORT}/webhooks/asleep",
    body: Annotated[
        Path | None, typer.Option(help="Send this file as it is instead of a made-up event.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send one event by hand, with the key of the user's organisation, and show the answer.

    For the demo's people it is about a night that the simulator knows, for others about a made-up one.
    """
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.simulator.posting import Poster

    if not user.isprintable():
        raise UsageError(f"{user!r} is no user id.", fix="Give it as Asleep has issued it.")
    settings = load_settings()
    world = _demo_world(settings, user)
    said = _read(body) if body else _made(_about(world, user, event, session), event, seq, version)
    headers = _headers(settings, user, said, is_demo=world is not None)
    # Who sends by hand sees what happened, and decides.
    poster = Poster(_checked(url), patience_s=0)
    answer = poster.post(said, headers)
    poster.close()
    if answer.status is None:
        raise SendError(
            f"Nobody answers at {url!r}.", fix="Start a receiver: asleep-pipeline webhooks serve."
        )
    facts = {"status": answer.status, "answer": answer.body.decode(errors="replace")}
    show_facts(facts, as_json=as_json)
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise typer.Exit(ExitCode.FAILED)


def _checked(url: str) -> str:
    from asleep_pipeline.simulator.posting import is_on_this_machine

    if url.startswith("http://") and not is_on_this_machine(url):
        raise UsageError(
            f"{url!r} is on another computer and has no TLS, so the key would be readable.",
            fix="Give an address that starts with https://.",
        )
    return url


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The body {str(path)!r} cannot be read: {error.strerror}.", fix="Name a file."
        ) from error


def _demo_world(settings: Settings, user: str) -> World | None:
    """The demo's world, if the user is one of its people and the data folder is the demo's."""
    from asleep_pipeline.cli._world import is_demo
    from asleep_pipeline.simulator import Clock, Faults, SimulatorOptions, World

    if not is_demo(settings):
        return None
    world = World(SimulatorOptions(), Clock(), Faults())
    return world if world.find_person(user) else None


def _about(world: World | None, user: str, kind: Kind, session: str | None) -> Subject:
    from asleep_pipeline.simulator.anyone import Subject, night_of

    now = datetime.now(UTC)
    if world is None:
        return night_of(user, now, session)
    person = world.person(user)
    slot = world.find_session(person, session) if session else _latest(world, person, kind, now)
    night = world.heard(slot) if slot else None
    if slot is None or night is None:
        raise UsageError(
            f"The simulator knows no session {session or 'of late'} of {user!r} to tell of.",
            fix='Take one from: asleep-pipeline query "FROM sessions".',
        )
    return Subject(slot, night, world.analysis(slot))


def _latest(world: World, person: Person, kind: Kind, now: datetime) -> Slot | None:
    slots = world.visible(person, UTC, (now - _RECENT).date(), None)
    is_over = kind is Kind.SESSION_COMPLETE
    told = [
        slot for slot in slots if world.heard(slot) and (slot.complete_at <= now or not is_over)
    ]
    return told[-1] if told else None


def _made(subject: Subject, kind: Kind, seq: int | None, version: Envelope) -> bytes:
    from asleep_pipeline.simulator.events import completion, inference

    slot, night, analysis = subject
    if kind is Kind.SESSION_COMPLETE:
        return completion(slot, analysis, slot.complete_at, version.value).body
    return inference(slot, night, _chunk(slot, night, seq), version.value).body


def _chunk(slot: Slot, night: Night, seq: int | None) -> int:
    from asleep_pipeline.simulator.nights import whole_blocks

    recorded, elapsed = len(night.stages), datetime.now(UTC) - slot.start
    if seq is None:
        return min(recorded, max(1, whole_blocks(elapsed.total_seconds()))) - 1
    if seq >= recorded:
        raise UsageError(
            f"The session {slot.session_id!r} has no chunk {seq}.",
            fix=f"Its last one is {recorded - 1}.",
        )
    return seq


def _headers(settings: Settings, user: str, body: bytes, *, is_demo: bool) -> dict[str, str]:
    key = _key(settings, user, is_demo=is_demo)
    headers = {"content-type": "application/json", "x-api-key": key, "x-user-id": user}
    if settings.webhook_signing_secret:
        headers |= _signature(settings.webhook_signing_secret.get_secret_value(), body)
    return headers


def _key(settings: Settings, user: str, *, is_demo: bool) -> str:
    from asleep_pipeline.access.keys import key_for
    from asleep_pipeline.simulator import SimulatorOptions

    if is_demo:
        return SimulatorOptions().api_key
    return key_for(settings, _organisation(settings, user)).get_secret_value()


def _organisation(settings: Settings, user: str) -> str:
    from asleep_pipeline.lake import Lake

    if not settings.catalog_path.exists():
        return "default"
    lake = Lake.open(settings.lake_dir)
    rows = lake.frame("SELECT org_id FROM lake.users WHERE user_id = $1", [user]).rows()
    return str(rows[0][0]) if rows else "default"


def _signature(secret: str, body: bytes) -> dict[str, str]:
    """The headers of a Standard Webhooks signature, as a gateway between Asleep and us adds them."""
    from standardwebhooks import Webhook

    name, now = f"msg_{uuid4().hex}", datetime.now(UTC)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        # The library signs text; a body that is none is refused with any signature.
        "webhook-signature": Webhook(secret).sign(name, now, body.decode(errors="replace")),
    }
