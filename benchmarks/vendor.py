"""The simulator in a process of its own, which gives the same answers to everybody who asks.

`python -m benchmarks.vendor PEOPLE NOW STYLE`, where the style of the JSON is `compact` or `pretty`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

import httpx
from litestar.types import ASGIApp, Receive, Scope, Send

from asleep_pipeline.simulator import SimulatorOptions, running
from asleep_pipeline.simulator.app import build_app
from asleep_pipeline.simulator.gate import CONTROL

API_KEY: Final = "simulator"


@dataclass(frozen=True, slots=True)
class Vendor:
    """Where it answers."""

    base_url: str

    def write_roster(self, file: Path) -> None:
        """Write its users as CSV."""
        file.write_bytes(httpx.get(f"{self.base_url}/_simulator/roster").content)

    def take_requests(self) -> int:
        """Requests since this was asked last."""
        answer = httpx.get(f"{self.base_url}/_simulator/requests").json()
        httpx.post(f"{self.base_url}/_simulator/reset")
        return sum(answer.values())


class Pretty:
    """Indents the bodies of an application that sends each in one piece, and only JSON.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        start: dict[str, Any] = {}

        async def indented(message: Any) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body = json.dumps(json.loads(message["body"]), indent=4).encode()
            headers = dict(start["headers"]) | {b"content-length": str(len(body)).encode()}
            await send(cast("Any", start | {"headers": list(headers.items())}))
            await send(message | {"body": body})

        is_control = scope["path"].startswith(CONTROL)
        await self._app(scope, receive, send if is_control else indented)


@contextmanager
def vendor(people: int, now: datetime, style: str = "compact") -> Iterator[Vendor]:
    """Run it; the clock stands still at `now`."""
    command = [sys.executable, "-m", "benchmarks.vendor", str(people), now.isoformat(), style]
    # It ends with its input, so also when this process dies.
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        yield Vendor(process.stdout.readline().strip())


def serve(people: int, now: datetime, style: str) -> None:
    """Be the process, until its input ends."""
    if style == "pretty":
        module = sys.modules[running.__module__]
        setattr(module, "build_app", lambda simulation: Pretty(build_app(simulation)))  # noqa: B010
    with running(SimulatorOptions(people=people, now=now)) as simulator:
        print(simulator.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    serve(int(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), sys.argv[3])
