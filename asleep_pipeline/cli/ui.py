"""`ui`: Dagster's web server and daemon on the data folder."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asleep_pipeline.cli._output import AsJson, note, show_facts
from asleep_pipeline.cli._signals import until_stopped
from asleep_pipeline.errors import AsleepPipelineError, UsageError

if TYPE_CHECKING:
    from asleep_pipeline.settings import Settings

_START_S = 90
_STOP_S = 15


class UiError(AsleepPipelineError):
    """Dagster has ended, or does not answer."""


def ui(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port on 127.0.0.1.")] = 3000,
    as_json: AsJson = False,
) -> None:
    """Open the Dagster UI with its schedules and sensors; on the demo, when there is no key."""
    from asleep_pipeline.orchestration.instance import dagster_instance, end_dead_runs
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    _check_port(port)
    with dagster_instance(settings.dagster_home) as instance:
        end_dead_runs(instance)
    with until_stopped(), _api(settings) as environment, _dagster(port, environment) as process:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, url)
        show_facts({"url": url}, as_json=as_json)
        sys.stdout.flush()
        note("Ctrl-C ends it.")
        code = process.wait()
        raise UiError(f"Dagster has ended by itself, with code {code}.", fix="Its log says why.")


@contextmanager
def _api(settings: Settings) -> Iterator[dict[str, str]]:
    """Environment of the children: the simulator's address, when no key is set."""
    from asleep_pipeline.access.keys import has_any_key
    from asleep_pipeline.cli._world import demo_world, is_demo, pushing, refuse_demo
    from asleep_pipeline.cli.users import known_users

    if has_any_key(settings):
        refuse_demo(settings)
        yield {}
    elif known_users(settings) and not is_demo(settings):
        note("There is no API key, so no run can succeed: set ASLEEP_API_KEY and start again.")
        yield {}
    else:
        with demo_world(settings) as (ours, simulator), pushing(ours, simulator) as webhooks_url:
            note("There is no API key: the simulator answers instead, with the demo's people.")
            note(f"It posts its webhooks to {webhooks_url}.")
            yield {"ASLEEP_API_KEY": simulator.api_key, "ASLEEP_BASE_URL": simulator.base_url}


@contextmanager
def _dagster(port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Dagster in a process group of its own, all of which ends with the block."""
    workspace = Path("workspace.yaml")
    where = ["-w", str(workspace)] if workspace.exists() else ["-m", "asleep_pipeline.definitions"]
    # It advises another package of Dagster's, which needs a project layout of its own.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    command = [sys.executable, *quiet, "-m", "dagster", "dev", *where]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    # Its output is no answer of ours.
    process = subprocess.Popen(  # noqa: S603 -- our own interpreter and arguments
        command, env=os.environ | environment, stdout=sys.stderr, start_new_session=True
    )
    try:
        yield process
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask, then insist: what Dagster has started can outlive it."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            _wait_for_group(process)
        except ProcessLookupError:
            return


def _wait_for_group(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        process.poll()
        # Raises ProcessLookupError once nobody is left.
        os.killpg(process.pid, 0)
        time.sleep(0.1)


def _check_port(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise UsageError(
            f"Port {port} cannot be used: {error.strerror}.", fix="Choose another with --port."
        ) from error


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).close()  # noqa: S310 -- http
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise UiError(f"Dagster does not answer at {url}.", fix="Its log above says why.")
