"""`doctor`: whether everything that a load needs is there, and what to do where it is not."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import typer

from asleep_pipeline.cli._output import AsJson, show_rows
from asleep_pipeline.cli._run import ExitCode


def doctor(*, as_json: AsJson = False) -> None:
    """Check key, API, clock, disk, versions, roster, lake and warehouse; each with a fix.

    Ends with 3 when a setting or the key must change, with 1 when something else fails.
    """
    from asleep_pipeline.cli._checks import CHECKS
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    findings = [found for check in CHECKS for found in check(settings)]
    told = ("check", "status", "seen", "fix")
    show_rows([{name: getattr(f, name) for name in told} for f in findings], as_json=as_json)
    codes = [found.code for found in findings if found.status == "fail"]
    # Settings first: what fails besides often follows from them.
    raise typer.Exit(max(codes, default=ExitCode.OK))
