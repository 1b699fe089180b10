"""One client of `benchmarks.serving`: asks one thing after the other, and says how long each took.

It imports little, so that fifty of them fit beside a server.
"""

from __future__ import annotations

import json
import random
import sys
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[str, int, float, float]
"""Route, status, when it was asked (seconds of the machine's monotonic clock), seconds it took."""


def visit(
    base_url: str, token: str, plan: dict[str, list[str]], until: float, seed: int
) -> list[Answer]:
    """Ask for the routes of a plan by turns, until an instant of the monotonic clock.

    Args:
        base_url: Of the server.
        token: Of an organisation.
        plan: Paths by route, of which one is asked for at random.
        until: When to stop.
        seed: Of the choice.
    """
    parts = urlsplit(base_url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    headers = {"authorization": f"Bearer {token}"}
    dice, answers, routes = random.Random(seed), list[Answer](), list(plan)
    while (asked := time.monotonic()) < until:
        route = routes[len(answers) % len(routes)]
        connection.request("GET", dice.choice(plan[route]), headers=headers)
        answer = connection.getresponse()
        answer.read()
        answers.append((route, answer.status, asked, time.monotonic() - asked))
    return answers


def main() -> None:
    """Read what to do from stdin, and write what was answered to stdout."""
    task: dict[str, Any] = json.load(sys.stdin)
    json.dump(visit(**task), sys.stdout)


if __name__ == "__main__":
    main()
