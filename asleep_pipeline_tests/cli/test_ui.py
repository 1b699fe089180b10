"""`ui`: Dagster on the data folder, ended as a whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline_tests.cli.desk import Desk

PROGRAM = [sys.executable, "-m", "asleep_pipeline.cli"]
ASSETS = "{ assetNodes { assetKey { path } } }"


def group_exists(leader: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_ui_shows_the_assets_and_ends_with_all_its_processes(tmp_path: Path) -> None:
    """Without a key the simulator answers; SIGTERM ends web server, daemon and code server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = os.environ | {"ASLEEP_DATA_DIR": str(tmp_path / "data"), "ASLEEP_SHARDS": "1"}
    with subprocess.Popen(
        [*PROGRAM, "ui", "--port", str(port), "--json"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        said = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        answer = httpx.post(f"{said['url']}/graphql", json={"query": ASSETS}, timeout=60).json()
        (dagster,) = map(
            int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        )
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    names = {node["assetKey"]["path"][0] for node in answer["data"]["assetNodes"]}
    assert {"users", "raw_sessions", "sessions", "average_stats", "warehouse"} <= names
    assert process.returncode == ExitCode.OK
    assert "the simulator answers instead" in err
    assert not group_exists(dagster)


def test_taken_port_is_refused(loaded: Desk) -> None:
    """A port that is in use is named, with the option that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        said = loaded("ui", "--port", port)
    assert said.code == ExitCode.USAGE
    assert port in said.err
    assert "--port" in said.err
