"""Commands that serve until they are stopped."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asleep_pipeline.cli._output import AsJson, note, show_facts
from asleep_pipeline.cli._values import read_day, read_instant
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    from asleep_pipeline.simulator import SimulatorOptions


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
    as_json: AsJson = False,
) -> None:
    """Serve the Asleep API on this machine, with made-up people; needs no key.

    Faults are switched on while it runs: PUT {"latency_s": 0.2} to /_simulator/faults;
    a GET there lists them all.
    """
    from asleep_pipeline.simulator import SimulatorOptions, serve

    options = SimulatorOptions(
        people=people, seed=seed, now=now, first_date=first_date, recordings=recordings
    )
    if roster:
        _write_roster(options, roster)
    note(f"The simulator serves http://127.0.0.1:{port} until Ctrl-C.")
    facts = {"base_url": f"http://127.0.0.1:{port}", "api_key": options.api_key, "roster": roster}
    show_facts(facts, as_json=as_json)
    serve(options, port=port)


def _write_roster(options: SimulatorOptions, path: Path) -> None:
    from asleep_pipeline.simulator import Clock, Faults, World

    try:
        World(options, Clock(options.now), Faults()).write_roster(path)
    except OSError as error:
        raise UsageError(
            f"The roster cannot be written to {str(path)!r}: {error.strerror}.",
            fix="Name a file in a folder that exists and may be written to.",
        ) from error
