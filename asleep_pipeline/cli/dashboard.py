"""`dashboard`: nights, groups and data quality in the browser, from the published file."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, show_facts
from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.cli._signals import until_stopped
from asleep_pipeline.errors import ConfigurationError, UsageError


def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 2718,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Look at people, organisations, cohorts and data quality in the browser."""
    _check_extra()
    with _listener(host, port) as listener, until_stopped():
        _serve(listener, host, as_json=as_json)
    sys.stdout.flush()
    # Every page that is open has a thread, which an orderly end would abort within a query.
    os._exit(ExitCode.OK)


def _serve(listener: socket.socket, host: str, *, as_json: bool) -> None:
    from asleep_pipeline.dashboard.server import serve
    from asleep_pipeline.settings import load_settings

    def tell(url: str) -> None:
        show_facts({"url": url}, as_json=as_json)
        sys.stdout.flush()
        note("Ctrl-C ends it.")

    # The pages read them for themselves; what is wrong with them is told here.
    note_deed(load_settings(), "read", "dashboard")
    serve(listener, host=host, on_url=tell)


def _check_extra() -> None:
    if find_spec("marimo") is None:
        raise ConfigurationError(
            "The dashboard needs marimo, which is not installed.",
            fix="Install it: pip install 'asleep-pipeline[dashboard]'.",
        )


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"Port {port} of {host} cannot be used: {error.strerror}.",
            fix="Choose another with --port, or another address with --host.",
        ) from error
