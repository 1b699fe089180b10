"""Histories: however the answers are cut into batches, the tables come out the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline_tests.vendor_answers import Json, Mailbag, detail, list_item

SESSIONS = ("20260105230000_aaaaa", "20260115230000_bbbbb", "20260125230000_ccccc")
Window = tuple[date, date]
WINDOWS = (
    (date(2026, 1, 1), date(2026, 1, 31)),
    (date(2026, 1, 1), date(2026, 1, 20)),
    (date(2026, 1, 10), date(2026, 1, 31)),
)
FACES: dict[str, Json | None] = {
    "absent": None,
    "open": {"state": "OPEN", "session_end_time": None},
    "closed": {"state": "CLOSED"},
    "complete": {},
    "complete, renamed": {"created_timezone": "Europe/Oslo"},
    "broken": {"time_in_bed": -1},
}
"""How a session may stand in the list at some time."""

BODIES: dict[str, Json | None] = {
    "nothing": None,
    "numbers": {},
    "recomputed": {"stat": {"time_in_sleep": 20_000}},
    "broken": {"stat": {"sleep_index": -5}},
    "vanished": None,
}
"""What a detail says, if it is asked for."""

COMES_BY_ITSELF = ("nothing", "pushed", "pushed, late", "reread", "reread, vanished")
"""What may come of a session beside a pull."""

WHOSE_AND_WHEN = {"shard", "user_id", "listed_at", "fetched_at", "pushed_at", "quarantined_at"}
USERS, PULLS, HALF = 12, 6, 0.5
_numbers = count()


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    # An example takes a second; that of a failing seed cannot be made smaller.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=st.integers(min_value=0))
def test_batches_of_any_size_give_what_single_answers_give(shared_lake: Lake, seed: int) -> None:
    """One shard is read after every pull, the other now and then: sessions and quarantine agree."""
    rng = Random(seed)
    first = next(_numbers)
    often, seldom = (
        [mailbag(shared_lake, shard, f"{first}-{number}") for number in range(USERS)]
        for shard in (0, 1)
    )
    for _ in range(PULLS):
        pulls = [pull(rng) for _ in range(USERS)]
        rows = [
            row
            for bags in (often, seldom)
            for bag, said in zip(bags, pulls, strict=True)
            for row in answers(bag, said)
        ]
        # Many users share each commit, which costs more than what is in it.
        often[0].send(*rows)
        if rng.random() < HALF:
            seldom[0].read()
    seldom[0].read()
    for one, other in zip(often, seldom, strict=True):
        assert told(one) == told(other)


@dataclass(frozen=True)
class Pull:
    """A window, whether it is listed, and of each session its face, its body and what else comes."""

    window: Window
    is_listed: bool
    faces: list[tuple[str, str]]
    beside: list[tuple[str, str, timedelta]]


def pull(rng: Random) -> Pull:
    """Anything that can be kept between two readings."""
    return Pull(
        window=rng.choice(WINDOWS),
        is_listed=rng.random() < HALF,
        faces=[(rng.choice(sorted(FACES)), rng.choice(sorted(BODIES))) for _ in SESSIONS],
        beside=[
            (
                rng.choice(COMES_BY_ITSELF),
                rng.choice(sorted(set(BODIES) - {"nothing", "vanished"})),
                # Never at the very instant at which something else was said.
                timedelta(seconds=rng.randrange(1, 60) + HALF),
            )
            for _ in SESSIONS
        ],
    )


def mailbag(lake: Lake, shard: int, name: str) -> Mailbag:
    """The answers about one user."""
    return Mailbag(lake, shard, LakeUser(f"{name} in shard {shard}", "default", None))


def answers(bag: Mailbag, said: Pull) -> list[Json]:
    """What one pull would keep, a listing and details of what is COMPLETE in it, and webhooks."""
    rows = list(_pulled(bag, said)) if said.is_listed else []
    for session_id, (kind, body, waited) in zip(SESSIONS, said.beside, strict=True):
        item = list_item(session_id)
        result = detail(item, **(BODIES[body] or {}))
        if kind == "reread":
            rows.append(bag.reread(item, result))
        elif kind == "reread, vanished":
            rows.append(bag.reread_vanished(item))
        elif kind != "nothing":
            late = waited if kind == "pushed, late" else timedelta(0)
            rows.append(bag.pushed(item, result, waited=late))
    return rows


def _pulled(bag: Mailbag, pull: Pull) -> Iterator[Json]:
    items = {
        session_id: (list_item(session_id, **changes), said)
        for session_id, (face, said) in zip(SESSIONS, pull.faces, strict=True)
        if (changes := FACES[face]) is not None and _is_within(session_id, pull.window)
    }
    yield bag.listing(*(item for item, _ in items.values()), window=pull.window)
    for item, said in items.values():
        if item["state"] != "COMPLETE" or item["time_in_bed"] < 0:
            continue
        if said == "vanished":
            yield bag.vanished(item)
        elif (changes := BODIES[said]) is not None:
            yield bag.detail(item, detail(item, **changes))


def told(bag: Mailbag) -> tuple[list[Json], list[Json]]:
    """The user's sessions and quarantine, without whose they are and when they were read."""
    sessions = sorted(bag.sessions().values(), key=lambda row: row["session_id"])
    return _anonymous(sessions), _anonymous(bag.quarantine())


def _is_within(session_id: str, window: Window) -> bool:
    return window[0] <= date.fromisoformat(session_id[:8]) <= window[1]


def _anonymous(rows: list[Json]) -> list[Json]:
    return [{name: row[name] for name in row.keys() - WHOSE_AND_WHEN} for row in rows]
