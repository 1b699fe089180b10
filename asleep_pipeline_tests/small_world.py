"""A small company for tests: a simulated API, a data folder, and the truth to compare with.

The pipeline's clock and the instants it stamps on answers follow the simulator's clock, so that a
test can let days pass.
"""

from __future__ import annotations

from atexit import register
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import polars as pl
import stamina

from asleep_pipeline.asleep import client
from asleep_pipeline.extract import reread
from asleep_pipeline.extract import sessions as pull
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.sessions import PullReport, Window, pull_sessions
from asleep_pipeline.lake import Lake, ducklake
from asleep_pipeline.lake.tables import SESSIONS, STAT_COLUMNS
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.normalise.sessions import NormaliseReport, normalise_sessions
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.runs import Pipeline
from asleep_pipeline.privacy.master_keys import create_master_keys
from asleep_pipeline.settings import load_settings
from asleep_pipeline.simulator import RunningSimulator, SimulatorOptions, running

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
"""Where the simulator's clock stands at the start."""

TODAY = NOON.date()
FIRST = TODAY - timedelta(days=20)
"""No simulated session starts before this date."""

Key = tuple[str, str]
"""user_id, session_id"""

_WHEN_READ = ("listed_at", "fetched_at")
_MOMENTS = ("sleep_time", "wake_time")
_STAGES = ("sleep_stages", "breath_stages", "snoring_stages")


@dataclass(frozen=True, slots=True)
class SmallWorld:
    """One simulator, and one deployment of the pipeline that pulls from it."""

    sim: RunningSimulator
    platform: Platform
    lake: Lake

    @property
    def today(self) -> date:
        """The date of the simulator's clock."""
        return self.sim.clock.now().date()

    def clients(self) -> Clients:
        """The clients of one run, with counters at 0."""
        return self.platform.clients(self.lake)

    def pull(self, start: date, end: date, *, shard: int = 0, refetch: bool = False) -> PullReport:
        """Pull a window of one shard into raw."""
        return pull_sessions(
            self.lake,
            self.clients(),
            Window(start, end),
            shard=shard,
            now=self.platform.clock(),
            recompute_days=self.platform.settings.recompute_days,
            refetch=refetch,
        )

    def normalise(self, *, shard: int = 0) -> NormaliseReport:
        """Read what is new in raw."""
        return normalise_sessions(self.lake, shard=shard, organisations={}, default_zone="UTC")

    def load(self, start: date, end: date, *, shard: int = 0) -> NormaliseReport:
        """Pull and read one window of one shard, without Dagster."""
        self.pull(start, end, shard=shard)
        return self.normalise(shard=shard)

    def pipeline(self) -> Pipeline:
        """The Dagster jobs."""
        return Pipeline(self.platform)

    def with_settings(self, **settings: Any) -> SmallWorld:
        """The same data folder with other settings."""
        known = self.platform.settings.model_dump(exclude_unset=True)
        platform = replace(self.platform, settings=load_settings(**(known | settings)))
        return replace(self, platform=platform)

    def truth(self, start: date, end: date) -> dict[Key, dict[str, Any]]:
        """What the sessions table must say of every session that starts on these dates."""
        return {
            (person.user_id, said["session"]["id"]): _as_row(said)
            for person in self.sim.world.people
            for said in self.sim.world.sessions(person.user_id, start, end)
        }

    def stored(self) -> dict[Key, dict[str, Any]]:
        """What the sessions table says."""
        rows = self.lake.frame("SELECT * FROM sessions").to_dicts()
        found = {(row["user_id"], row["session_id"]): row for row in rows}
        assert len(found) == len(rows), "a session stands in the table once"
        return found

    def assert_true(self, start: date, end: date) -> None:
        """The sessions table holds the sessions that start on these dates, all of them, as they are."""
        truth, stored = self.truth(start, end), self.stored()
        assert stored.keys() == truth.keys()
        for key, said in truth.items():
            assert {name: stored[key][name] for name in said} == said

    def content(self) -> pl.DataFrame:
        """The sessions table without the instants at which it was read."""
        return self.lake.frame("SELECT * FROM sessions").drop(_WHEN_READ).sort(SESSIONS.key)


def _as_row(said: dict[str, Any]) -> dict[str, Any]:
    session = said["session"]
    started_at, ended_at = (_moment(session[name]) for name in ("start_time", "end_time"))
    zone = ZoneInfo(session["created_timezone"])
    assert started_at is not None
    return {
        "state": session["state"],
        "started_at": started_at,
        "ended_at": ended_at,
        "unexpected_ended_at": _moment(session["unexpected_end_time"]),
        "created_timezone": session["created_timezone"],
        "started_at_local": _wall_time(started_at, zone),
        "ended_at_local": _wall_time(ended_at, zone),
        "start_date": started_at.date(),
        "night_date": ended_at and ended_at.astimezone(zone).date(),
        "last_received_seq_num": said["last_received_seq_num"],
        "listed_time_in_bed_s": said["time_in_bed"],
    } | _detail_as_row(said)


def _detail_as_row(said: dict[str, Any]) -> dict[str, Any]:
    """The detail's columns: only a COMPLETE session has been asked for its detail."""
    is_read = said["session"]["state"] == "COMPLETE"
    stat = (said["stat"] or {}) if is_read else {}
    cycles = stat.get("sleep_cycle_time")
    return (
        {column.name: stat.get(column.name) for column in STAT_COLUMNS}
        | {name: _moment(stat.get(name)) for name in _MOMENTS}
        | {"sleep_cycle_time": cycles and [_moment(text) for text in cycles]}
        | {name: said["session"][name] if is_read else None for name in _STAGES}
        | {
            "peculiarities": said["peculiarities"] if is_read else None,
            "missing_data_ratio": said["missing_data_ratio"] if is_read else None,
            "has_detail": is_read,
            "has_stat": bool(stat),
            "is_quarantined": False,
            "readings": [] if is_read else None,
            "extra": None,
        }
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _wall_time(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    return None if moment is None else moment.astimezone(zone).replace(tzinfo=None)


@contextmanager
def small_world(
    folder: Path, *, now: datetime = NOON, shards: int = 1, **options: Any
) -> Iterator[SmallWorld]:
    """Start a simulator, and a deployment in a folder that has its roster and nothing else.

    Args:
        folder: Becomes the data folder.
        now: Where the simulator's clock stands.
        shards: Shards of the lake.
        **options: Of the simulator: people, seed, recordings.
    """
    first: dict[str, Any] = {"people": 3, "seed": 7, "first_date": FIRST}
    with ExitStack() as stack:
        sim = stack.enter_context(running(SimulatorOptions(**(first | options), now=now)))
        stack.enter_context(_simulated_clock(sim))
        # No waits between attempts; refusals of the rate are outlived by asking again.
        stack.enter_context(stamina.set_testing(True, attempts=500))
        settings = load_settings(
            data_dir=folder, api_key=sim.api_key, base_url=sim.base_url, shards=shards
        )
        # Making a lake and its zone rules costs a second; a lake may be copied.
        copytree(empty_lake(shards), settings.lake_dir)
        platform = Platform(settings, clock=sim.clock.now)
        world = SmallWorld(sim, platform, platform.lake())
        stack.callback(close, world.lake)
        put_users(world.lake, _roster(sim), now=now)
        yield world


@contextmanager
def encrypted(world: SmallWorld) -> Iterator[SmallWorld]:
    """The same deployment from when encryption is switched on; the master keys lie beside its folder."""
    settings = world.platform.settings
    file = settings.data_dir.parent / "master"
    if not file.exists():
        create_master_keys(file)
    made = world.with_settings(encryption_key_file=file)
    lake = Lake.open(world.lake.root)
    yield replace(made, lake=lake)
    close(lake)
    world.with_settings(encryption_key_file=None)


@cache
def empty_lake(shards: int) -> Path:
    """The folder of a lake without users, made once a process; to be copied."""
    folder = Path(mkdtemp(prefix="asleep-pipeline-"))
    register(rmtree, folder)
    lake = Platform(load_settings(data_dir=folder, shards=shards)).lake()
    close(lake)
    return lake.root


def _roster(sim: RunningSimulator) -> pl.DataFrame:
    people = sim.world.people
    return pl.DataFrame(
        {name: [getattr(p, name) for p in people] for name in ("user_id", "org_id", "timezone")}
    )


@contextmanager
def _simulated_clock(sim: RunningSimulator) -> Iterator[None]:
    """Answers are stamped with the simulator's time, each later than the one before."""
    ticks = count()
    clock = SimpleNamespace(now=lambda _zone: sim.clock.now() + timedelta(microseconds=next(ticks)))
    with ExitStack() as stack:
        for module in (client, pull, reread):
            stack.enter_context(patch.object(module, "datetime", clock))
        yield


def close(lake: Lake) -> None:
    """Let go of the lake's files, which a process keeps open for as long as it lives."""
    ducklake._attached(lake).close()
    ducklake._attached.cache_clear()
