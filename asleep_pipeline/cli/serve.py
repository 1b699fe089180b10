"""Commands that serve until they are stopped."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import sys
import threading
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asleep_pipeline.cli._output import AsJson, note, show_facts
from asleep_pipeline.cli._signals import until_stopped
from asleep_pipeline.cli._values import read_day, read_instant
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    from asleep_pipeline.simulator import World


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
    as_json: AsJson = False,
) -> None:
    """Serve the Asleep API on this machine, with made-up people; needs no key.

    More faults are switched on while it runs: PUT {"plan_expired": true} to /_simulator/faults;
    a GET there lists them all.
    """
    from asleep_pipeline.simulator import SimulatorOptions, running

    options = SimulatorOptions(
        people=people, seed=seed, now=now, first_date=first_date, recordings=recordings
    )
    with until_stopped(), running(options, port=port) as simulator:
        simulator.faults.latency_s = latency_ms / 1000
        simulator.faults.requests_per_second = rate_limit
        simulator.faults.server_error_share = fail_share
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
