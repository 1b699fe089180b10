"""Fifty clients read sessions and statistics by the HTTP API, while what they read is published anew.

`python -m benchmarks.serving [SESSIONS [SECONDS]]` (default: a million, 60 s). Every client is a process
of its own and asks one thing after the other. For so many seconds nothing else happens; then, for as
many, a load adds one more day and publishes, again and again. Figures are printed only when every answer
was a 200.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.lake import Lake
from asleep_pipeline.log import configure_logging
from asleep_pipeline.settings import load_settings
from asleep_pipeline.warehouse import publish
from benchmarks.marts import BLOCKS, TODAY, multiply, one_more_day, simulated
from benchmarks.tables import print_machine, print_table
from benchmarks.webhooks import cpu_s

CLIENTS: Final = 50
ORGANISATION: Final = "org-0"
_MONTH: Final = f"from={TODAY - timedelta(days=29)}&to={TODAY}"
_YEAR: Final = f"from={TODAY - timedelta(days=364)}&to={TODAY}"
OF_A_USER: Final = {
    "a user": "/v1/users/{}",
    "sessions of a month": f"/v1/users/{{}}/sessions?{_MONTH}",
    "averages of a month": f"/v1/users/{{}}/averages?{_MONTH}",
    "averages of a year": f"/v1/users/{{}}/averages?{_YEAR}",
    "score": "/v1/users/{}/score",
    "trend of a year": f"/v1/users/{{}}/trends?{_YEAR}&by=week",
}
SETTINGS: Final = {"ASLEEP_API_REQUESTS_PER_SECOND": "100000"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got.

    Attributes:
        route: What it asked for.
        status: Of HTTP.
        asked_s: When, by the machine's monotonic clock.
        took_s: How long it waited.
    """

    route: str
    status: int
    asked_s: float
    took_s: float


def made(root: Path, sessions: int) -> int:
    """A data folder with about so many sessions; says with how many exactly."""
    lake = simulated(root)
    of_one = int(lake.frame("SELECT count(*) FROM sessions").item())
    multiply(lake, max(round(sessions / of_one / BLOCKS), 1))
    return publish(lake, root / "asleep.duckdb").rows["sessions"]


def plans(root: Path) -> list[dict[str, list[str]]]:
    """What each client asks for: paths by route, of users of its own."""
    lake = Lake.open(root / "lake")
    sql = f"SELECT user_id FROM users WHERE org_id = '{ORGANISATION}' ORDER BY user_id"
    users = lake.frame(sql)["user_id"].to_list()
    return [
        {
            route: [path.format(user) for user in users[n::CLIENTS]]
            for route, path in OF_A_USER.items()
        }
        for n in range(CLIENTS)
    ]


@contextmanager
def server(root: Path) -> Iterator[tuple[str, int]]:
    """The API in a process of its own: where it answers, and the process's id."""
    command = [sys.executable, "-m", "asleep_pipeline.cli", "serve", "--port", "0"]
    environment = os.environ | SETTINGS | {"ASLEEP_DATA_DIR": str(root)}
    with (
        (root / "serve.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout
        try:
            yield process.stdout.readline().split()[-1], process.pid
        finally:
            process.terminate()


def visits(
    url: str, token: str, seconds: float, planned: list[dict[str, list[str]]]
) -> list[Answer]:
    """What all clients got in so many seconds."""
    command = [sys.executable, "-m", "benchmarks.visitor"]
    clients = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in planned
    ]
    task = {"base_url": url, "token": token, "until": time.monotonic() + seconds}
    for seed, (client, plan) in enumerate(zip(clients, planned, strict=True)):
        assert client.stdin
        client.stdin.write(json.dumps(task | {"plan": plan, "seed": seed}).encode())
        client.stdin.close()
    return [Answer(*said) for client in clients for said in _said(client)]


def _said(client: subprocess.Popen[bytes]) -> list[list[Any]]:
    assert client.stdout
    with client:
        said: list[list[Any]] = json.load(client.stdout)
    return said


@contextmanager
def publishing(root: Path) -> Iterator[list[float]]:
    """Publish in a process of its own meanwhile; how long each publication took, when it is over."""
    command = [sys.executable, "-m", "benchmarks.serving", "publish", str(root)]
    took: list[float] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        yield took
        said, _ = process.communicate()
        took += json.loads(said)


def publish_again_and_again(root: Path) -> None:
    """One more day, and publish; until stdin ends."""
    lake, took, last = Lake.open(root / "lake"), list[float](), TODAY
    os.set_blocking(sys.stdin.fileno(), False)
    while sys.stdin.buffer.read() is None:
        began = time.monotonic()
        one_more_day(lake, last)
        publish(lake, root / "asleep.duckdb")
        took.append(time.monotonic() - began)
        last += timedelta(days=1)
    print(json.dumps(took))


def check(answers: list[Answer]) -> None:
    """Refuse figures of what was no service."""
    wrong = sorted({answer.status for answer in answers} - {200})
    if wrong or not answers:
        raise SystemExit(f"answers that are not 200: {wrong}")


def rows(name: str, answers: list[Answer]) -> Iterator[tuple[object, ...]]:
    """A row for each route, and one for all of them."""
    seconds = max(a.asked_s for a in answers) - min(a.asked_s for a in answers)
    for route in (*OF_A_USER, "all"):
        took = [1_000 * a.took_s for a in answers if route in {a.route, "all"}]
        cuts = statistics.quantiles(took, n=100)
        yield (f"{route}, {name}", len(took) / seconds, cuts[49], cuts[94], cuts[98], max(took))


def main(sessions: int, seconds: float) -> None:
    """Print one table."""
    configure_logging()
    print_machine(("duckdb", "litestar", "uvicorn"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        there = made(root, sessions)
        settings = load_settings(data_dir=root)
        _, token = Tokens(settings.access_path).create(ORGANISATION, "bench", now=datetime.now(UTC))
        planned = plans(root)
        with server(root) as (url, pid):
            before_s = cpu_s(pid)
            quiet = visits(url, token, seconds, planned)
            spent_s = cpu_s(pid) - before_s
            with publishing(root) as took:
                busy = visits(url, token, seconds, planned)
    check(quiet + busy)
    print(f"{there:,} sessions, {CLIENTS} clients; {len(took)} publications, ", end="")
    print(
        f"{statistics.median(took):.1f} s each; {1_000 * spent_s / len(quiet):.1f} ms of CPU an answer"
    )
    names = ("answers a second, ms", "a second", "p50", "p95", "p99", "longest")
    print_table(names, [*rows("alone", quiet), *rows("while publishing", busy)])


if __name__ == "__main__":
    if sys.argv[1:2] == ["publish"]:
        publish_again_and_again(Path(sys.argv[2]))
    else:
        main(int((sys.argv[1:] or ["1000000"])[0]), float((sys.argv[2:] or ["60"])[0]))
