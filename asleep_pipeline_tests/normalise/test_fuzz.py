"""Mutated answers on their whole way: over a socket into raw, and on into the published file.

Every answer that was kept is in `sessions` or in `quarantine`, nothing crashes, and nobody else
suffers. Longer by hand: `FUZZ_ROUNDS=200 pytest asleep_pipeline_tests/normalise/test_fuzz.py`;
a round that fails is named by its seed, and `FUZZ_SEED` starts there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import polars as pl
import pytest
import stamina
from polars.testing import assert_frame_equal
from pydantic import SecretStr

from asleep_pipeline.asleep import UnreadableAnswer
from asleep_pipeline.asleep.events import NotJsonError, read_event
from asleep_pipeline.extract.answers import raw_row
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.sessions import PullReport, Window, pull_sessions
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.lake.users import LakeUser, put_users
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.simulator.options import SimulatorOptions
from asleep_pipeline.simulator.simulation import Simulation
from asleep_pipeline.warehouse.publish import publish
from asleep_pipeline.webhooks.inbox import Head
from asleep_pipeline.webhooks.pushed import pushed_row
from asleep_pipeline_tests.hand_made import hand_made
from asleep_pipeline_tests.normalise.mutations import mutated

Json = dict[str, Any]

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "2"))
FIRST_SEED = int(os.environ.get("FUZZ_SEED", "1"))
USERS = 150
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SPAN = Window(date(2026, 4, 20), date(2026, 5, 1))
FOUND = 200
ONLY_LISTED = ("last_received_seq_num", "time_in_bed")


@dataclass(frozen=True)
class Case:
    """One user: a listing, and details by session id; the first of these is the one that went wrong."""

    user_id: str
    listing: bytes
    details: dict[str, bytes]
    is_listing_sound: bool


@dataclass
class Api:
    """A server that answers with the bytes of some cases."""

    base_url: str
    cases: dict[str, Case] = field(default_factory=dict)

    def answer(self, path: str, user_id: str) -> bytes:
        """The body for a request."""
        case = self.cases[user_id]
        name = path.partition("?")[0].rpartition("/")[2]
        return case.listing if name == "sessions" else case.details.get(name, b"{}")


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """The server, on a port of its own."""
    with _serving() as serving:
        yield serving


@contextmanager
def _serving() -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = serving.answer(self.path, self.headers["x-user-id"])
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = Api(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield serving
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def nights() -> list[Json]:
    """What the simulated API says of sessions, with all that it ever says."""
    world = Simulation(SimulatorOptions(people=4, now=NOW)).world
    return [
        said
        for person in world.people
        for said in world.sessions(person.user_id, SPAN.start, SPAN.end - timedelta(days=1))
    ]


def a_case(nights: list[Json], rng: Random, name: str) -> Case:
    """A user with two sessions; either the list or the first detail is mutated."""
    two = [night for night in nights if night["session"]["state"] == "COMPLETE"]
    bad, good = rng.sample(two, 2)
    is_listing_sound = rng.random() > 1 / 4
    listing = {"timezone": "UTC", "sleep_session_list": [list_row(bad), list_row(good)]}
    ids = [said["session"]["id"] for said in (bad, good)]
    details = {ids[1]: wire(detail(good)), ids[0]: mutated(envelope(detail(bad)), rng)}
    said = wire(listing) if is_listing_sound else mutated(envelope(listing), rng)
    return Case(name, said, dict(reversed(details.items())), is_listing_sound)


def list_row(night: Json) -> Json:
    """The session as list-sessions tells it."""
    session = night["session"]
    names = ("state", "created_timezone", "unexpected_end_time")
    return {name: session[name] for name in names} | {
        "session_id": session["id"],
        "session_start_time": session["start_time"],
        "session_end_time": session["end_time"],
        **{name: night[name] for name in ONLY_LISTED},
    }


def detail(night: Json) -> Json:
    """The session as get-session tells it."""
    return {name: value for name, value in night.items() if name not in {"user_id", *ONLY_LISTED}}


def envelope(result: Json) -> Json:
    """A success."""
    return {"detail": "OK", "result": result}


def wire(result: Json) -> bytes:
    """A success as bytes."""
    return json.dumps(envelope(result)).encode()


def pull(lake: Lake, api: Api, folder: Path) -> PullReport:
    """Ask about everybody."""
    clients = Clients(
        keys={"default": SecretStr("key")},
        base_url=api.base_url,
        max_connections=8,
        requests_per_second=100_000,
        budget_file=folder / "budget.sqlite",
    )
    with stamina.set_testing(True, attempts=1):
        return pull_sessions(lake, clients, SPAN, shard=0, now=NOW, recompute_days=7)


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))
def test_no_answer_crashes_is_lost_or_harms_another(
    api: Api, nights: list[Json], tmp_path: Path, seed: int
) -> None:
    """Sessions, webhooks and averages with anything wrong in them are read, set aside or refused."""
    rng = Random(seed)
    cases = [a_case(nights, rng, f"user-{number}") for number in range(USERS)]
    api.cases = {case.user_id: case for case in cases}
    with hand_made(tmp_path) as made:
        put_users(made.lake, pl.DataFrame({"user_id": list(api.cases)}), now=NOW)
        report = pull(made.lake, api, tmp_path)
        refused = send_webhooks(made.lake, nights, rng) + send_averages(made.lake, rng)
        normalise_sessions(made.lake, shard=0, organisations={}, default_zone="UTC")
        normalise_averages(made.lake, shard=0)
        assert_kept_or_counted(made.lake, cases, report)
        assert_nothing_is_lost(made.lake)
        assert_others_are_well(made.lake, cases)
        assert refused < USERS
        assert_made_again(made.lake)
        publish(made.lake, made.path)


def send_webhooks(lake: Lake, nights: list[Json], rng: Random) -> int:
    """Take mutated events as the receiver and the drain do; the number of those that are refused."""
    rows, refused = [], 0
    for number in range(USERS // 2):
        user = LakeUser(f"pushed-{number}", "default", None)
        data = detail(rng.choice(nights)) | {"user_id": user.user_id}
        said = {"event": "SESSION_COMPLETE", "version": "V3", "data": data}
        body = mutated(said, rng)
        try:
            event = read_event(body)
            head = Head(
                number, event.name, "default", user.user_id, event.session_id, NOW, len(body), 0
            )
            rows.append(pushed_row(head, body, user, shards=1))
        except (NotJsonError, UnreadableAnswer):
            refused += 1
    commit(lake, rows)
    return refused


def send_averages(lake: Lake, rng: Random) -> int:
    """Keep mutated averages."""
    means = {"start_time": "23:10:00", "sleep_time": "00:05:30", "time_in_sleep": 22_000.5}
    said = {
        "period": {"timezone": "UTC", "start_date": "2026-04-01", "end_date": "2026-04-30"},
        "peculiarities": [],
        "average_stats": means | {"sleep_efficiency": 0.9, "waso_count": 2.5},
        "slept_sessions": [{"id": "20260410230000_aaaaa", "start_time": "2026-04-10T23:00:00Z"}],
        "never_slept_sessions": [{"id": "20260411230000_bbbbb"}],
    }
    rows = [
        raw_row(
            LakeUser(f"averaged-{number}", "default", None),
            "average_stats",
            shards=1,
            partition_date=date(2026, 4, 1),
            body=mutated(envelope(said), rng),
            fetched_at=NOW,
            window_start=date(2026, 4, 1),
            window_end=date(2026, 4, 30),
        )
        for number in range(USERS // 2)
    ]
    commit(lake, rows)
    return 0


def commit(lake: Lake, rows: list[Json]) -> None:
    """Put rows into raw."""
    with lake.write("mutated answers") as con:
        insert(con, RAW, pl.DataFrame(rows, schema=RAW.schema))


def assert_kept_or_counted(lake: Lake, cases: list[Case], report: PullReport) -> None:
    """An answer that did not get into raw was counted as one that could not be had."""
    assert report.crowd.done == len(cases)
    pages = lake.frame("SELECT DISTINCT user_id FROM raw WHERE endpoint = 'list_sessions'").height
    assert pages + report.crowd.failed + len(report.crowd.gone) == len(cases)
    details = lake.frame("SELECT * FROM raw WHERE endpoint = 'get_session'").height
    assert details == report.details + report.details_vanished


def assert_nothing_is_lost(lake: Lake) -> None:
    """Each answer is the one that its row rests on, or stands in quarantine with rule and value."""
    lost = lake.frame(
        """
        SELECT endpoint, user_id, session_id, body_sha256 FROM raw AS r
        WHERE endpoint IN ('get_session', 'session_complete', 'average_stats') AND status = 200
          AND NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE q.body_sha256 = r.body_sha256
              AND q.user_id = r.user_id AND q.endpoint = r.endpoint
              AND length(q.rule) > 0 AND q.value IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM sessions AS s WHERE s.detail_sha256 = r.body_sha256
              AND s.user_id = r.user_id AND s.session_id = r.session_id AND s.has_detail)
          AND NOT EXISTS (SELECT 1 FROM average_stats AS a
              WHERE a.user_id = r.user_id AND r.endpoint = 'average_stats')
        """
    )
    assert lost.is_empty()
    told = set(lake.frame("SELECT user_id, session_id FROM sessions").iter_rows())
    aside = lake.frame(
        "SELECT user_id, session_id, value FROM quarantine WHERE endpoint = 'list_sessions'"
    )
    told |= set(aside.select("user_id", "session_id").iter_rows())
    for user_id, body in lake.frame(
        "SELECT user_id, body FROM raw WHERE endpoint = 'list_sessions' AND body IS NOT NULL"
    ).iter_rows():
        assert (user_id, None) in told or {(user_id, name) for name in listed(body)} <= told


def listed(body: bytes) -> list[str]:
    """The sessions that a list names, read by another parser than the pipeline's."""
    rows = json.loads(body)["result"]["sleep_session_list"]
    return [row["session_id"] if "session_id" in row else row["id"] for row in rows]


def assert_others_are_well(lake: Lake, cases: list[Case]) -> None:
    """The sound session of a user whose list is sound has its numbers."""
    has_detail = lake.frame("SELECT user_id, session_id FROM sessions WHERE has_detail").rows()
    sound = {(c.user_id, list(c.details)[1]) for c in cases if c.is_listing_sound}
    assert sound <= set(has_detail)


def assert_made_again(lake: Lake) -> None:
    """A rebuild of everything says the same."""
    tables = ("sessions", "average_stats", "quarantine")
    before = [lake.frame(f"SELECT * FROM {name}") for name in tables]
    rebuild(lake, organisations={}, default_zone="UTC")
    for name, frame in zip(tables, before, strict=True):
        assert_frame_equal(lake.frame(f"SELECT * FROM {name}"), frame, check_row_order=False)
