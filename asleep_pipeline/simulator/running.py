"""Starting and stopping the simulator, on 127.0.0.1 only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, cast

import uvicorn

from asleep_pipeline.errors import UsageError
from asleep_pipeline.simulator.app import build_app
from asleep_pipeline.simulator.clock import Clock
from asleep_pipeline.simulator.faults import Faults
from asleep_pipeline.simulator.options import SimulatorOptions
from asleep_pipeline.simulator.protocol import OpenProtocol
from asleep_pipeline.simulator.simulation import RequestCounter, Simulation
from asleep_pipeline.simulator.webhooks import Webhooks
from asleep_pipeline.simulator.world import World

_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """A simulator that answers requests.

    Attributes:
        base_url: Where it answers, without a final slash.
        api_key: The key that it accepts.
        clock: Settable.
        faults: Mutable; a change holds from the next request on.
        requests: Requests received by endpoint name.
        world: The truth behind the answers.
        webhooks: Sends events to the `target` that is named.
    """

    base_url: str
    api_key: str
    clock: Clock
    faults: Faults
    requests: RequestCounter
    world: World
    webhooks: Webhooks


@contextmanager
def running(options: SimulatorOptions, *, port: int = 0) -> Iterator[RunningSimulator]:
    """Run a simulator in a thread of its own; it is ready when entered.

    Args:
        options: What the world is made from.
        port: Port on 127.0.0.1; any free one when 0.

    Raises:
        UsageError: the port is taken.
    """
    simulation = Simulation(options)
    server = _Server(_config(simulation))
    listener = _listen(port)
    thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
    thread.start()
    server.ready.wait()
    try:
        with simulation.webhooks.following():
            yield RunningSimulator(
                base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
                api_key=options.api_key,
                clock=simulation.clock,
                faults=simulation.faults,
                requests=simulation.requests,
                world=simulation.world,
                webhooks=simulation.webhooks,
            )
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def serve(options: SimulatorOptions, host: str = "127.0.0.1", port: int = 8900) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UsageError: the host is not this computer, or the port is taken.
    """
    if host not in _LOOPBACK:
        raise UsageError(
            f"The simulator cannot listen on {host!r}.", fix="It serves 127.0.0.1 only."
        )
    with _listen(port) as listener:
        _Server(_config(Simulation(options))).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(
            f"Port {port} cannot be used: {error.strerror}.", fix="Choose another with --port."
        ) from error


class _Server(uvicorn.Server):
    """Tells when it is ready, and ends quietly: being asked to stop is no failure."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        self.should_exit = True


def _config(simulation: Simulation) -> uvicorn.Config:
    return uvicorn.Config(
        cast("Any", build_app(simulation)),  # uvicorn and litestar type ASGI apart
        http=OpenProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
