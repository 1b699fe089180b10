"""Two organisations with published nights, and the API over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.service.app import build_service
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse import publish
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY, SmallWorld, small_world

Client = TestClient[Litestar]


@dataclass(frozen=True, slots=True)
class Two:
    """Organisations `acme` and `duo`, three simulated people each, whose nights are published.

    Attributes:
        world: The simulator, and the deployment.
        acme: User ids of the one.
        duo: User ids of the other.
    """

    world: SmallWorld
    acme: tuple[str, ...]
    duo: tuple[str, ...]

    @property
    def settings(self) -> Settings:
        """Of the deployment; both organisations have the simulator's key."""
        return self.world.platform.settings

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last date of nights."""
        return FIRST, TODAY


def two_organisations(folder: Path) -> Iterator[Two]:
    """Simulate, pull and publish; a data folder in which a test may change things."""
    with small_world(folder, people=6) as made:
        key = {"api_key": made.sim.api_key}
        world = made.with_settings(organisations={"acme": key, "duo": key})
        ids = tuple(person.user_id for person in world.sim.world.people)
        orgs = ["acme", "duo"] * 3
        put_users(world.lake, pl.DataFrame({"user_id": ids, "org_id": orgs}), now=NOON)
        world.load(FIRST, TODAY)
        publish(world.lake, world.platform.settings.warehouse_path)
        yield Two(world, ids[::2], ids[1::2])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Shared by the tests of a module, which change nothing that others look at."""
    yield from two_organisations(tmp_path_factory.mktemp("two") / "data")


@pytest.fixture(scope="module")
def client(two: Two) -> Iterator[Client]:
    """The API over `two`."""
    with TestClient(build_service(two.settings), raise_server_exceptions=False) as made:
        yield made


def as_admin(two: Two, org_id: str) -> dict[str, str]:
    """The header by which an admin of an organisation asks."""
    _, secret = Tokens(two.settings.tokens_path).create(org_id, "test", now=NOON)
    return {"authorization": f"Bearer {secret}"}
