"""Commands that serve until they are stopped."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import sys
import threading
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asleep_pipeline.cli._output import AsJson, note, show_facts
from asleep_pipeline.cli._signals import until_stopped
from asleep_pipeline.cli._tls import certificate_of, warn_if_readable
from asleep_pipeline.cli._values import read_day, read_instant
from asleep_pipeline.errors import UsageError
from asleep_pipeline.service import DEFAULT_PORT

if TYPE_CHECKING:
    from asleep_pipeline.simulator import World


class Envelope(Enum):
    """The published forms of a webhook; `flat` is that of the vendor's guides."""

    V1 = "V1"
    V2 = "V2"
    V3 = "V3"
    FLAT = "flat"


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 for any free one.")
    ] = DEFAULT_PORT,
    cert: Annotated[
        Path | None, typer.Option(help="Speak TLS: PEM file of the certificate and its chain.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    webhooks: Annotated[
        bool, typer.Option("--webhooks", help="Take Asleep's events at /webhooks/asleep, too.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Show /metrics on this port of 127.0.0.1."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the HTTP API of users, sessions and statistics until stopped.

    GET /schema/openapi.json describes it; `asleep-pipeline tokens create` makes what lets an app in.
    """
    from asleep_pipeline.service.serving import serve as serve_until_stopped
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    certificate = certificate_of(cert, key)
    warn_if_readable(host, certificate, "credentials and nights")

    def tell(url: str) -> None:
        events = f"{url}/webhooks/asleep" if webhooks else None
        show_facts({"url": f"{url}/v1", "webhooks": events}, as_json=as_json)
        sys.stdout.flush()
        note("Ctrl-C ends it.")

    with until_stopped():
        serve_until_stopped(
            settings,
            host,
            port,
            certificate=certificate,
            with_webhooks=webhooks,
            metrics_port=metrics_port,
            on_url=tell,
        )


def simulate(
    *,
    people: Annotated[int, typer.Option(help="Number of made-up people.")] = 24,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people and nights.")] = 7,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port on 127.0.0.1.")] = 8900,
    now: Annotated[
        datetime | None,
        typer.Option(parser=read_instant, help="Instant to stand still at (default: real time)."),
    ] = None,
    first_date: Annotated[
        date, typer.Option(parser=read_day, help="No night starts before this date.")
    ] = date(2024, 1, 1),
    recordings: Annotated[
        Path | None, typer.Option(help="Parquet file of real hypnograms to serve instead.")
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(help="Write the people to this CSV file, for `users import`.")
    ] = None,
    latency_ms: Annotated[float, typer.Option(min=0, help="Wait so long with each answer.")] = 0,
    rate_limit: Annotated[
        float | None,
        typer.Option(min=0.001, help="Refuse what exceeds so many requests a second."),
    ] = None,
    fail_share: Annotated[
        float, typer.Option(min=0, max=1, help="Answer this share of requests by a 5xx.")
    ] = 0,
    webhooks: Annotated[
        str | None, typer.Option(help="Post events to this URL on this machine as they fall due.")
    ] = None,
    webhook_version: Annotated[Envelope, typer.Option(help="Their envelope.")] = Envelope.V3,
    webhook_duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Send this share of them twice.")
    ] = 0,
    webhook_losses: Annotated[
        float, typer.Option(min=0, max=1, help="Never send this share of them.")
    ] = 0,
    webhook_wrong_keys: Annotated[
        float, typer.Option(min=0, max=1, help="Send this share of them with another key.")
    ] = 0,
    webhook_delay_s: Annotated[float, typer.Option(min=0, help="Send them so late.")] = 0,
    webhook_reorder: Annotated[
        bool, typer.Option("--webhook-reorder", help="Let them overtake each other.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve the Asleep API on this machine, with made-up people; needs no key.

    What fails in sending an event is tried again for half a minute. To send those of a time gone by, POST
    {"since": "2026-05-01T00:00:00Z", "until": "2026-05-02T00:00:00Z"} to /_simulator/webhooks.

    More faults are switched on while it runs: PUT {"plan_expired": true} to /_simulator/faults;
    a GET there lists them all.
    """
    from asleep_pipeline.simulator import SimulatorOptions, running
    from asleep_pipeline.simulator.webhooks import check_target

    if webhooks:
        check_target(webhooks)
    options = SimulatorOptions(
        people=people, seed=seed, now=now, first_date=first_date, recordings=recordings
    )
    with until_stopped(), running(options, port=port) as simulator:
        simulator.faults.latency_s = latency_ms / 1000
        simulator.faults.requests_per_second = rate_limit
        simulator.faults.server_error_share = fail_share
        simulator.faults.webhook_duplicate_share = webhook_duplicates
        simulator.faults.webhook_loss_share = webhook_losses
        simulator.faults.webhook_wrong_key_share = webhook_wrong_keys
        simulator.faults.webhook_delay_s = webhook_delay_s
        simulator.faults.webhook_reorder = webhook_reorder
        simulator.webhooks.target(webhooks, version=webhook_version.value)
        if roster:
            _write_roster(simulator.world, roster)
        facts = {"base_url": simulator.base_url, "api_key": simulator.api_key, "roster": roster}
        show_facts(facts, as_json=as_json)
        sys.stdout.flush()
        note(f"The simulator serves {simulator.base_url} until Ctrl-C.")
        threading.Event().wait()


def _write_roster(world: World, path: Path) -> None:
    try:
        world.write_roster(path)
    except OSError as error:
        raise UsageError(
            f"The roster cannot be written to {str(path)!r}: {error.strerror}.",
            fix="Name a file in a folder that exists and may be written to.",
        ) from error
