"""The surface that steers a simulator from another process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from datetime import date, datetime
from typing import Any

import httpx
import pytest

from asleep_pipeline.errors import UsageError
from asleep_pipeline.simulator import Clock, Person, SimulatorOptions, serve


def test_faults_can_be_put_and_read(api: Any, person: Person) -> None:
    """What is not named is off."""
    answer = api.client.put("/_simulator/faults", json={"plan_expired": True})
    assert answer.json() == api.client.get("/_simulator/faults").json()
    assert api.sim.faults.plan_expired
    assert api.get(f"/ai/v1/users/{person.user_id}").status_code == 403
    api.client.put("/_simulator/faults", json={})
    assert api.get(f"/ai/v1/users/{person.user_id}").status_code == 200


@pytest.mark.parametrize("body", [{"latency": 1}, {"reset_share": 2}, []])
def test_faults_that_do_not_exist_are_refused(api: Any, body: Any) -> None:
    """And change nothing."""
    before = api.client.get("/_simulator/faults").json()
    assert api.client.put("/_simulator/faults", json=body).status_code == 422
    assert api.client.get("/_simulator/faults").json() == before


def test_the_clock_can_be_set(api: Any) -> None:
    """To an instant with an offset; anything else is refused."""
    answer = api.client.put("/_simulator/clock", json={"now": "2026-02-01T09:00:00+09:00"})
    assert answer.json() == {"now": "2026-02-01T00:00:00Z"}
    assert api.client.get("/_simulator/clock").json() == {"now": "2026-02-01T00:00:00Z"}
    naive = api.client.put("/_simulator/clock", json={"now": "2026-02-01T09:00:00"})
    assert naive.status_code == 422


def test_truth_roster_and_counts_are_readable(api: Any, person: Person) -> None:
    """They equal what the Python interface says; control requests are not counted."""
    api.rows(person.user_id)
    query = {"start": "2026-04-01", "end": "2026-04-30"}
    truth = api.client.get(f"/_simulator/truth/{person.user_id}", params=query).json()
    roster = api.client.get("/_simulator/roster").text.splitlines()
    assert truth == api.sim.world.sessions(person.user_id, date(2026, 4, 1), date(2026, 4, 30))
    assert len(roster) == 9
    assert api.client.get("/_simulator/requests").json() == {"list_sessions": 1}


def test_a_reset_undoes_what_clients_did(api: Any, person: Person) -> None:
    """Deletions, faults and counts; the clock stays."""
    api.client.delete(f"/ai/v1/users/{person.user_id}")
    api.sim.faults.plan_expired = True
    assert api.client.post("/_simulator/reset").status_code == 204
    assert not api.sim.requests
    assert api.get(f"/ai/v1/users/{person.user_id}").status_code == 200


def test_a_clock_refuses_a_time_without_offset() -> None:
    """The message shows the value."""
    clock = Clock()
    with pytest.raises(UsageError, match="2026-01-01T00:00:00"):
        clock.set(datetime(2026, 1, 1))  # noqa: DTZ001 - the point


def test_only_this_computer_is_served() -> None:
    """Another address is refused."""
    with pytest.raises(UsageError, match="0\\.0\\.0\\.0"):
        serve(SimulatorOptions(), host="0.0.0.0")


def test_a_taken_port_is_named() -> None:
    """With the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=str(port)):
            serve(SimulatorOptions(people=1), port=port)


def test_a_world_needs_people() -> None:
    """At least one."""
    with pytest.raises(UsageError):
        SimulatorOptions(people=0)


def test_serving_ends_cleanly_on_sigterm() -> None:
    """Exit code 0 and nothing on stderr."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = (
        "from asleep_pipeline.simulator import SimulatorOptions, serve;"
        f"serve(SimulatorOptions(people=1), port={port})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True
    )
    with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
        assert client.get(f"http://127.0.0.1:{port}/_simulator/clock").status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == 0


def test_the_simulator_stands_alone() -> None:
    """It needs neither the orchestrator, nor a database, nor our client of the same contract."""
    code = (
        "import sys, asleep_pipeline.simulator;"
        "rooms = ('dagster', 'duckdb', 'asleep_pipeline.asleep', 'asleep_pipeline.lake');"
        "print([name for name in rooms if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_shares_are_drawn_from_a_seeded_stream(api: Any, person: Person) -> None:
    """The same faults put again fail the same requests."""
    faults = {"seed": 3, "server_error_share": 0.5}
    runs = []
    for _ in range(2):
        api.client.put("/_simulator/faults", json=faults)
        path = f"/ai/v1/users/{person.user_id}"
        runs.append([api.get(path).status_code for _ in range(20)])
    assert runs[0] == runs[1]
