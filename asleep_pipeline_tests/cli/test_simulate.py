"""The command `simulate`: a world that is served, and a roster that can be imported."""

from __future__ import annotations

import contextlib
import inspect
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import stamina

from asleep_pipeline.asleep.events import read_event
from asleep_pipeline.cli import app
from asleep_pipeline.cli._run import ExitCode, run
from asleep_pipeline.cli.serve import simulate
from asleep_pipeline.roster import read_roster
from asleep_pipeline.simulator import SimulatorOptions
from asleep_pipeline_tests.simulator.receiver import receiving

PROGRAM = [sys.executable, "-c", "from asleep_pipeline.cli import main; main()"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def simulating(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command, and end it as a service manager would."""
    command = [*PROGRAM, "simulate", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


@stamina.retry(on=httpx.ConnectError, timeout=60)
def first_answer(url: str) -> httpx.Response:
    return httpx.get(url)


def test_simulate_serves_the_people_of_its_roster(tmp_path: Path) -> None:
    """A user of the written roster is known to the API that is announced; SIGTERM ends it well."""
    port, path = free_port(), tmp_path / "roster.csv"
    with simulating("--people", "3", "--port", str(port), "--roster", str(path)) as process:
        url = f"http://127.0.0.1:{port}"
        first_answer(f"{url}/_simulator/requests")
        user = read_roster(path)[0].user_id
        answer = httpx.get(f"{url}/ai/v1/users/{user}", headers={"x-api-key": "simulator"})
        assert process.stdout
        said = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
    assert said == {"base_url": url, "api_key": "simulator", "roster": str(path)}
    assert answer.json()["result"]["user_id"] == user
    assert len(read_roster(path)) == 3
    assert process.returncode == ExitCode.OK


def test_taken_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is in use is named, with the option that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert run(app, ["simulate", "--people", "1", "--port", port]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert port in err
    assert "--port" in err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--people", "0"], "0"),
        (["--now", "noon"], "'noon'"),
        (["--first-date", "2026-02-30"], "'2026-02-30'"),
        (["--recordings", "nowhere.parquet"], "nowhere.parquet"),
        (["--webhooks", "http://example.org/"], "example.org"),
        (["--people", "1", "--roster", "/nowhere/roster.csv"], "/nowhere/roster.csv"),
    ],
)
def test_bad_option_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    """A value that cannot be used is named, and nothing is served."""
    assert run(app, ["simulate", *arguments]) == ExitCode.USAGE
    assert named in capsys.readouterr().err


def test_faults_are_on_from_the_first_request() -> None:
    """Latency, a rate limit and failures can be asked for on the command line."""
    options = ["--latency-ms", "5", "--rate-limit", "100", "--fail-share", "0.25"]
    with simulating("--people", "1", "--port", str(free_port()), *options) as process:
        assert process.stdout
        said = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        faults = httpx.get(f"{said['base_url']}/_simulator/faults").json()
    assert faults["latency_s"] == pytest.approx(0.005)
    assert (faults["requests_per_second"], faults["server_error_share"]) == (100, 0.25)


def test_webhooks_follow_the_clock_of_another_process() -> None:
    """Moved by an hour, the simulator posts what fell due, in the envelope and with the faults asked for."""
    options = ["--people", "8", "--port", str(free_port()), "--now", "2026-05-01T12:00Z"]
    with receiving() as receiver:
        hooks = ["--webhooks", receiver.url, "--webhook-version", "V2", "--webhook-duplicates", "1"]
        with simulating(*options, *hooks) as process:
            assert process.stdout
            said = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
            control = f"{said['base_url']}/_simulator"
            httpx.put(f"{control}/clock", json={"now": "2026-05-01T14:00:00Z"}, timeout=60)
            faults = httpx.get(f"{control}/faults").json()
    bodies = [got.body for got in receiver.got]
    assert {read_event(body).version for body in bodies} == {"V2"}
    assert len(bodies) > len(set(bodies))
    assert faults["webhook_duplicate_share"] == 1


def test_faults_of_webhooks_can_be_asked_for() -> None:
    """Each by an option."""
    shares = ["--webhook-losses", "0.2", "--webhook-wrong-keys", "0.1"]
    options = [*shares, "--webhook-delay-s", "60", "--webhook-reorder"]
    with simulating("--people", "1", "--port", str(free_port()), *options) as process:
        assert process.stdout
        said = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        faults = httpx.get(f"{said['base_url']}/_simulator/faults").json()
    names = ("loss_share", "wrong_key_share", "delay_s", "reorder")
    assert [faults[f"webhook_{name}"] for name in names] == [0.2, 0.1, 60, True]


def test_default_world_is_that_of_the_demo() -> None:
    """`simulate` without options serves the people that `demo` and `ui` load."""
    given = {name: p.default for name, p in inspect.signature(simulate).parameters.items()}
    shared = ("people", "seed", "now", "first_date", "recordings")
    assert SimulatorOptions(**{name: given[name] for name in shared}) == SimulatorOptions()
