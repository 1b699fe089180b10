"""One running simulator a test, and a plain HTTP client for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from asleep_pipeline.simulator import Person, RunningSimulator, SimulatorOptions, running

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Api:
    """Asks a simulator as one user, in one zone."""

    def __init__(self, sim: RunningSimulator) -> None:
        self.sim = sim
        self.client = httpx.Client(base_url=sim.base_url, headers={"x-api-key": sim.api_key})

    def get(self, path: str, user_id: str = "", zone: str = "UTC", **query: Any) -> httpx.Response:
        """Send a GET with the headers of the contract."""
        headers = {"x-user-id": user_id, "timezone": zone}
        return self.client.get(path, headers=headers, params=query)

    def rows(self, user_id: str, zone: str = "UTC", **query: Any) -> list[dict[str, Any]]:
        """Return one page of list-sessions."""
        answer = self.get("/data/v1/sessions", user_id, zone, **({"limit": 100} | query))
        rows: list[dict[str, Any]] = answer.json()["result"]["sleep_session_list"]
        return rows

    def detail(self, user_id: str, session_id: str, zone: str = "UTC") -> dict[str, Any]:
        """Return the result of get-session."""
        answer = self.get(f"/data/v3/sessions/{session_id}", user_id, zone)
        result: dict[str, Any] = answer.json()["result"]
        return result


@pytest.fixture(scope="session")
def shared_sim() -> Iterator[RunningSimulator]:
    """Eight people with all plans."""
    with running(SimulatorOptions(people=8, now=NOON)) as running_simulator:
        yield running_simulator


@pytest.fixture
def sim(shared_sim: RunningSimulator) -> RunningSimulator:
    """A fresh simulator: nothing done, no faults, standing still at noon of 1 May 2026 UTC."""
    httpx.post(f"{shared_sim.base_url}/_simulator/reset").raise_for_status()
    shared_sim.clock.set(NOON)
    return shared_sim


@pytest.fixture
def api(sim: RunningSimulator) -> Iterator[Api]:
    """A client of `sim`."""
    api = Api(sim)
    with api.client:
        yield api


@pytest.fixture
def person(sim: RunningSimulator) -> Person:
    """Somebody with the fullest plan."""
    return sim.world.people[0]


@pytest.fixture
def april() -> tuple[date, date]:
    """A month of which everything is complete."""
    return date(2026, 4, 1), date(2026, 4, 30)


@pytest.fixture(scope="session")
def sleep_data() -> Path:
    """The folder of real recordings and oracles beside the project."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "sleep-data"
    if not folder.is_dir():
        pytest.skip("the recordings in ../shared/sleep-data are not here")
    return folder
