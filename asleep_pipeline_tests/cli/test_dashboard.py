"""`dashboard`: the command around the app; the pages are looked at in `browser/test_dashboard.py`."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.cli.desk import Desk
from asleep_pipeline_tests.dashboard.served import served

TITLE = "<title>Sleep dashboard</title>"


@pytest.fixture
def anywhere(tmp_path: Path) -> Desk:
    """A desk where nothing has been loaded; the dashboard needs nothing else."""
    return Desk(tmp_path, {"ASLEEP_DATA_DIR": str(tmp_path / "data")})


def test_help_says_what_it_shows(anywhere: Desk) -> None:
    """Its help names what it shows, the port, and when a token is needed."""
    said = anywhere("dashboard", "--help")
    assert said.code == ExitCode.OK
    assert "data quality in the browser" in said.out
    assert "--port" in said.out
    assert "token" in said.out


def test_taken_port_is_refused(anywhere: Desk) -> None:
    """A port that is in use is named, with the option that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        said = anywhere("dashboard", "--port", port)
    assert said.code == ExitCode.USAGE
    assert f"Port {port} of 127.0.0.1 cannot be used" in said.err
    assert "--port" in said.err


def test_address_of_another_machine_is_refused(anywhere: Desk) -> None:
    """An address that is not one of this machine is named, with the option that chooses it."""
    said = anywhere("dashboard", "--host", "192.0.2.1")
    assert said.code == ExitCode.USAGE
    assert "192.0.2.1" in said.err
    assert "--host" in said.err


def test_missing_extra_says_what_to_install(anywhere: Desk) -> None:
    """Without marimo the command says how to get it."""
    with patch("asleep_pipeline.cli.dashboard.find_spec", return_value=None):
        said = anywhere("dashboard")
    assert said.code == ExitCode.CONFIGURATION
    assert "pip install 'asleep-pipeline[dashboard]'" in said.err


def test_the_command_line_imports_none_of_it() -> None:
    """Help stays quick: what the dashboard needs is imported when it runs."""
    heavy = "{'altair', 'jinja2', 'marimo', 'polars', 'uvicorn'}"
    code = f"import sys, asleep_pipeline.cli; print({heavy} & sys.modules.keys())"
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_this_machine_until_it_is_stopped(tmp_path: Path, sign: signal.Signals) -> None:
    """On this machine no token is asked for; either signal ends it without an error."""
    with served(tmp_path) as dashboard:
        page = httpx.get(dashboard.url, timeout=60)
        stranger = httpx.get(dashboard.url, headers={"host": "evil.example"}, timeout=60)
        code, err = dashboard.stop(sign)
    assert TITLE in page.text
    assert stranger.status_code == httpx.codes.FORBIDDEN
    assert (code, err) == (ExitCode.OK, "Ctrl-C ends it.\n")


def test_other_machines_need_the_token(tmp_path: Path) -> None:
    """On an address that others can reach, nobody gets anything without the token."""
    with served(tmp_path, "--host", "0.0.0.0") as dashboard:
        shown = httpx.URL(dashboard.url)
        url, token = f"http://127.0.0.1:{shown.port}/", shown.params["access_token"]
        refused = [
            httpx.get(url, params=params, timeout=60) for params in ({}, {"access_token": "guess"})
        ]
        with httpx.Client(follow_redirects=True, timeout=60) as client:
            answered = client.get(url, params={"access_token": token})
    assert TITLE in answered.text
    assert [answer.is_redirect for answer in refused] == [True, True]
    assert all("/auth/login" in answer.headers["location"] for answer in refused)
