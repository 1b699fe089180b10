"""A vendor with very many users that answers fast, for measuring who asks.

`python -m benchmarks.multitude USERS DAYS LAST ROSTER` serves until its input ends.

The nights of some simulated people are laid end to end, 90 days at a time, and given to namesakes of
these people. What the simulator says of a night is moved by moving its dates; a namesake's sessions
bear the number of the namesake in their ids, and are otherwise the same. Only lists and details are
answered, in UTC, and neither key nor limits are looked at.
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
import string
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import msgspec
import uvloop

from asleep_pipeline.simulator import Clock, Faults, Person, SimulatorOptions, World

PEOPLE: Final = 28
BLOCK_DAYS: Final = 90
SESSIONS_PER_USER_AND_BLOCK: Final = 90
_SUFFIX: Final = b"@@@@@"
_SUFFIX_SIZE: Final = len(_SUFFIX)
_DIGITS: Final = string.digits + string.ascii_lowercase
_NAMESAKE_SIZE: Final = 4
_MOMENT: Final = re.compile(rb"\d{4}-\d\d-\d\d(?=T)")
_SESSION_ID: Final = re.compile(rb'(?<=")(\d{8})(\d{6})(?:_[0-9a-z]{5})?(?=")')
_USER: Final = re.compile(rb"\r\nx-user-id: *([^\r]+)", re.IGNORECASE)
_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
_MISSING: Final = (
    b'HTTP/1.1 404 Not Found\r\ncontent-length: 27\r\n\r\n{"detail":"nothing of that"}'
)


@dataclass(slots=True)
class History:
    """What is said of one simulated person and all namesakes; ids end in a placeholder.

    Attributes:
        dates: Start date of each session, ascending.
        rows: Its row of a list.
        details: Answer by the 14 digits of the session's id.
    """

    dates: list[str] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    details: dict[bytes, bytes] = field(default_factory=dict)

    def page(self, query: dict[str, list[str]]) -> bytes:
        """One page of a list."""
        start = bisect_left(self.dates, query["date_gte"][0])
        end = bisect_right(self.dates, query["date_lte"][0])
        first = start + int(query.get("offset", ["0"])[0])
        rows = self.rows[first : min(end, first + int(query["limit"][0]))]
        said = b'{"detail":"OK","result":{"timezone":"UTC","sleep_session_list":['
        return said + b",".join(rows) + b"]}}"


def histories(people: list[Person], world: World, last: date, days: int) -> list[History]:
    """What is said of each person on so many days, a multiple of 90, until the last."""
    return [_history(person, world, last, days) for person in people]


def _history(person: Person, world: World, last: date, days: int) -> History:
    first = last - timedelta(days=BLOCK_DAYS - 1)
    slots = world.visible(person, UTC, first, last)
    history = History()
    for back in range(days - BLOCK_DAYS, -1, -BLOCK_DAYS):
        for slot in slots:
            start = slot.start - timedelta(days=back)
            history.dates.append(f"{start:%Y-%m-%d}")
            history.rows.append(_moved(msgspec.json.encode(world.row(slot, UTC)), back))
            detail = _moved(world.detail(slot, UTC, "UTC"), back)
            history.details[f"{start:%Y%m%d%H%M%S}".encode()] = detail
    return history


def _moved(answer: bytes, days: int) -> bytes:
    """The answer with all its dates so many days earlier."""

    def earlier(found: re.Match[bytes]) -> bytes:
        return _earlier(found[0].decode(), days, "%Y-%m-%d")

    def earlier_id(found: re.Match[bytes]) -> bytes:
        return _earlier(found[1].decode(), days, "%Y%m%d") + found[2] + b"_" + _SUFFIX

    return _SESSION_ID.sub(earlier_id, _MOMENT.sub(earlier, answer))


def _earlier(day: str, days: int, form: str) -> bytes:
    return (date.fromisoformat(day) - timedelta(days=days)).strftime(form).encode()


class Multitude:
    """All users.

    Args:
        users: How many.
        days: How many each has, a multiple of 90.
        last: The last of them.
    """

    def __init__(self, users: int, days: int, last: date) -> None:
        now = datetime.combine(last + timedelta(days=3), time(), UTC)
        options = SimulatorOptions(people=min(PEOPLE, users), now=now)
        world = World(options, Clock(now), Faults())
        self._roster = io.StringIO()
        world.print_roster(self._roster)
        self._said = histories(world.people, world, last, days)
        self.users = users
        ids = (self.user_id(world.people[n % len(self._said)].user_id, n) for n in range(users))
        self._number = {user_id.encode(): n for n, user_id in enumerate(ids)}

    @staticmethod
    def user_id(simulated: str, number: int) -> str:
        """The id of a namesake."""
        return f"{simulated[:-_NAMESAKE_SIZE]}{number:0{_NAMESAKE_SIZE}}"

    @property
    def sessions(self) -> int:
        """How many there are."""
        return sum(len(self._said[n % len(self._said)].rows) for n in range(self.users))

    def write_roster(self, file: Path) -> None:
        """Write all users as CSV."""
        names, *rows = csv.reader(io.StringIO(self._roster.getvalue()))
        place = names.index("user_id")
        with file.open("w", encoding="utf-8", newline="") as target:
            out = csv.writer(target, lineterminator="\n")
            out.writerow(names)
            for n in range(self.users):
                row = list(rows[n % len(rows)])
                row[place] = self.user_id(row[place], n)
                out.writerow(row)

    def answer(self, request: bytes) -> bytes:
        """The whole answer to a whole request."""
        user, target = _USER.search(request), request.split(b" ", 2)[1]
        number = self._number.get(user[1]) if user else None
        if number is None:
            return _MISSING
        said = self._said[number % len(self._said)]
        path, _, query = target.partition(b"?")
        if path == b"/data/v1/sessions":
            body: bytes | None = said.page(parse_qs(query.decode()))
        else:
            body = said.details.get(path.rpartition(b"/")[2][:14])
        if body is None:
            return _MISSING
        body = body.replace(_SUFFIX, _suffix(number))
        return b"%b%d\r\n\r\n%b" % (_OK, len(body), body)


def _suffix(number: int) -> bytes:
    """Five letters and digits for each namesake."""
    text = ""
    for _ in range(_SUFFIX_SIZE):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text.encode()


class Connection(asyncio.Protocol):
    """Answers one request after the other.

    Args:
        multitude: What to answer.
    """

    def __init__(self, multitude: Multitude) -> None:
        self._multitude = multitude
        self._request = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember where to answer."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._request += data
        while b"\r\n\r\n" in self._request:
            request, _, self._request = self._request.partition(b"\r\n\r\n")
            self._transport.write(self._multitude.answer(request))


@contextmanager
def multitude(users: int, days: int, last: date, roster: Path) -> Iterator[tuple[str, int]]:
    """Run it in a process of its own: where it answers, and how many sessions there are."""
    told = (str(users), str(days), last.isoformat(), str(roster))
    command = [sys.executable, "-m", "benchmarks.multitude", *told]
    # It ends with its input, so also when this process dies.
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        url, sessions = process.stdout.readline().split()
        yield url, int(sessions)


async def serve(served: Multitude) -> None:
    """Be the process, until its input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(served), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]} {served.sessions}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    told = Multitude(int(sys.argv[1]), int(sys.argv[2]), date.fromisoformat(sys.argv[3]))
    told.write_roster(Path(sys.argv[4]))
    uvloop.run(serve(told))
