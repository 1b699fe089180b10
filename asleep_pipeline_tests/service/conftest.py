"""Two organisations with published nights, and the API over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.service.app import build_service
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse import publish
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY, SmallWorld, encrypted, small_world

Client = TestClient[Litestar]


class Deployed(Protocol):
    """What has settings."""

    @property
    def settings(self) -> Settings:
        """Of the deployment."""
        ...


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


def two_organisations(folder: Path, *, is_encrypted: bool = False) -> Iterator[Two]:
    """Simulate, pull and publish; a data folder in which a test may change things."""
    with ExitStack() as stack:
        made = stack.enter_context(small_world(folder, people=6))
        if is_encrypted:
            made = stack.enter_context(encrypted(made))
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
    with serving(build_service(two.settings)) as made:
        yield made


def serving(service: Litestar) -> Client:
    """A client of an application; what fails inside is an answer."""
    return TestClient(service, raise_server_exceptions=False)


def as_admin(two: Deployed, org_id: str) -> dict[str, str]:
    """The header by which an admin of an organisation asks."""
    return as_role(two, org_id, Role.ADMIN)


def as_role(two: Deployed, org_id: str, role: Role, user_id: str | None = None) -> dict[str, str]:
    """The header by which somebody of an organisation asks; a member is one of the users."""
    tokens = Tokens(two.settings.access_path)
    _, secret = tokens.create(org_id, "test", now=NOON, role=role, user_id=user_id)
    return {"authorization": f"Bearer {secret}"}
