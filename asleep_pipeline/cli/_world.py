"""The demo's made-up people: one world for `demo` and `ui`, never mixed with real users."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from asleep_pipeline.cli.users import known_users, put
from asleep_pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from asleep_pipeline.settings import Settings
    from asleep_pipeline.simulator import RunningSimulator

_ELSEWHERE = "Name another folder by --data-dir or ASLEEP_DATA_DIR, or delete this one."


@contextmanager
def demo_world(settings: Settings) -> Iterator[tuple[Settings, RunningSimulator]]:
    """Run the simulator, with its people as the lake's roster.

    Yields:
        The settings that point to it, and the simulator.

    Raises:
        ConfigurationError: The lake holds users of another world.
    """
    from pydantic import SecretStr

    from asleep_pipeline.simulator import SimulatorOptions, running

    with running(SimulatorOptions()) as simulator:
        ours = settings.model_copy(
            update={
                "api_key": SecretStr(simulator.api_key),
                "previous_api_key": None,
                # The simulator signs nothing.
                "webhook_signing_secret": None,
                "base_url": simulator.base_url,
                "organisations": {},
                "requests_per_second": None,
            }
        )
        _put_people(ours, simulator)
        yield ours, simulator


@contextmanager
def pushing(settings: Settings, simulator: RunningSimulator) -> Iterator[str]:
    """Run a receiver, to which the simulator posts its webhooks as they fall due.

    Yields:
        The receiver's URL.

    Raises:
        InboxError: Another receiver serves this data folder.
    """
    from asleep_pipeline.webhooks.receiver import EVENTS_PATH
    from asleep_pipeline.webhooks.serving import running

    with running(settings) as receiver:
        url = f"{receiver.base_url}{EVENTS_PATH}"
        simulator.webhooks.target(url)
        try:
            yield url
        finally:
            simulator.webhooks.target(None)


def is_demo(settings: Settings) -> bool:
    """Whether the data folder holds the demo's people."""
    return _roster_file(settings).exists()


def refuse_demo(settings: Settings) -> None:
    """Keep the demo's people and real ones apart.

    Raises:
        ConfigurationError: The folder is the demo's and the API is not the simulator's.
    """
    if is_demo(settings) and not settings.base_url.startswith("http://"):
        raise ConfigurationError(
            f"{settings.data_dir} holds the made-up people of the demo.", fix=_ELSEWHERE
        )


def _put_people(settings: Settings, simulator: RunningSimulator) -> None:
    from asleep_pipeline.roster import read_roster

    known, people = known_users(settings), {p.user_id for p in simulator.world.people}
    if known - people:
        raise ConfigurationError(
            f"{settings.data_dir} holds {len(known - people)} users who are not the demo's.",
            fix=_ELSEWHERE,
        )
    if not known:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        simulator.world.write_roster(_roster_file(settings))
        put(settings, read_roster(_roster_file(settings)))


def _roster_file(settings: Settings) -> Path:
    return settings.data_dir / "demo-roster.csv"
