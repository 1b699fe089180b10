"""`webhooks`: takes events in, and looks at what came."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from asleep_pipeline.cli._output import AsJson, note, show_facts
from asleep_pipeline.cli._signals import until_stopped
from asleep_pipeline.cli._tls import certificate_of, warn_if_readable
from asleep_pipeline.cli.inbox import attempts, list_, purge, replay, show
from asleep_pipeline.cli.send import send
from asleep_pipeline.webhooks import DEFAULT_PORT

_TOLD = (
    "events_taken",
    "events_duplicate",
    "events_settled",
    "events_released",
    "events_quarantined",
    "events_failed",
    "events_dead",
    "reread",
    "reread_unfinished",
    "reread_vanished",
    "reread_failed",
    "sessions_written",
    "answers_quarantined",
    "requests",
)

webhooks = typer.Typer(help="Take Asleep's events as they happen, and look at what came.")
webhooks.command()(send)
webhooks.command("list")(list_)
for command in (show, replay, purge, attempts):
    webhooks.command()(command)


@webhooks.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 for any free one.")
    ] = DEFAULT_PORT,
    cert: Annotated[
        Path | None, typer.Option(help="Speak TLS: PEM file of the certificate and its chain.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take events at /webhooks/asleep until stopped; 200 means that the event is on the disk.

    An organisation's present and previous key are good. GET /schema describes it all.
    """
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.webhooks.serving import serve as serve_until_stopped

    settings = load_settings()
    certificate = certificate_of(cert, key)
    warn_if_readable(host, certificate, "API keys")

    def tell(url: str) -> None:
        show_facts({"url": f"{url}/webhooks/asleep", "inbox": settings.inbox_path}, as_json=as_json)
        sys.stdout.flush()
        note("Ctrl-C ends it.")

    with until_stopped():
        serve_until_stopped(settings, host, port, certificate=certificate, on_url=tell)


@webhooks.command()
def drain(*, as_json: AsJson = False) -> None:
    """Take what waits into the lake, and publish it, as Dagster's sensor does every 30 s."""
    from asleep_pipeline.cli.pull import finish, ready_pipeline

    with ready_pipeline() as (users, pipeline):
        outcomes = [pipeline.drain(), pipeline.publish()]
    finish(outcomes, users, as_json=as_json, told=_TOLD)
