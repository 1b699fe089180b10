"""A company whose pipeline runs in processes of its own, and what must hold of its data in the end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from asleep_pipeline.lake import Lake
from asleep_pipeline.simulator import RunningSimulator
from asleep_pipeline.warehouse.verify import differences
from asleep_pipeline_tests.faults import weather
from asleep_pipeline_tests.faults.working import Errand
from asleep_pipeline_tests.small_world import FIRST, NOON, SmallWorld, small_world

LONGEST_S = 180


class Process:
    """One process of the pipeline; see `working`."""

    def __init__(self, errand: Errand, environment: Mapping[str, str]) -> None:
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen(
            errand.command(),
            stdin=pipe,
            stdout=pipe,
            text=True,
            env=os.environ | environment,
            # A file could be one that has no room.
            stderr=subprocess.DEVNULL,
        )
        self._answer()

    @property
    def pid(self) -> int:
        """Its id."""
        return self.popen.pid

    def order(self, do: str, now: datetime) -> None:
        """Tell it what to do, and go on."""
        assert self.popen.stdin
        self.popen.stdin.write(f"{json.dumps({'do': do, 'now': now.isoformat()})}\n")
        self.popen.stdin.flush()

    def do(self, do: str, now: datetime) -> dict[str, Any]:
        """Tell it what to do, and wait for what came of it."""
        self.order(do, now)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """What came of an order; fails when the process ended without one."""
        answer = self._answer()
        assert answer is not None, f"the process ended with {self.popen.wait()}"
        return answer

    def end(self, by: signal.Signals) -> None:
        """Send a signal, and wait until the process is gone."""
        self.popen.send_signal(by)
        self.popen.wait(LONGEST_S)

    def close(self) -> None:
        """Let it come to its end, which is no failure; one that was killed is gone already."""
        assert self.popen.stdin
        assert self.popen.stdout
        was_killed = self.popen.poll() is not None
        with suppress(BrokenPipeError):
            self.popen.stdin.close()
        assert self.popen.wait(LONGEST_S) == 0 or was_killed
        self.popen.stdout.close()

    def _answer(self) -> dict[str, Any] | None:
        assert self.popen.stdout
        ready, _, _ = select.select([self.popen.stdout], [], [], LONGEST_S)
        assert ready, "the process hangs"
        line = self.popen.stdout.readline()
        answer: dict[str, Any] | None = json.loads(line) if line else None
        return answer


@dataclass(frozen=True, slots=True)
class Company:
    """A simulated API, and the pipeline that pulls from it."""

    world: SmallWorld
    errand: Errand
    first: date

    @property
    def sim(self) -> RunningSimulator:
        """The simulator."""
        return self.world.sim

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return Path(self.errand.data_dir)

    @property
    def now(self) -> datetime:
        """The simulator's present."""
        return self.sim.clock.now()

    @contextmanager
    def process(self, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
        """A process of the pipeline, ready for orders."""
        process = Process(self.errand, environment or {})
        try:
            yield process
        except BaseException:
            process.end(signal.SIGKILL)
            raise
        finally:
            process.close()

    def lake(self) -> Lake:
        """The lake, to be read."""
        return Lake.open(self.data_dir / "lake")

    def assert_recovered(self, gone: Collection[str] = ()) -> None:
        """What `assert_true` says, and the published file is the lake."""
        self.assert_true(gone)
        path = self.data_dir / "asleep.duckdb"
        assert differences(self.lake(), path) == {}
        sql = "SELECT user_id, session_id FROM sessions ORDER BY ALL"
        with duckdb.connect(str(path), read_only=True) as con:
            assert con.execute(sql).fetchall() == sorted(self.world.stored())

    def assert_true(self, gone: Collection[str] = ()) -> None:
        """All sessions that a sync lists are the truth, each once.

        Of users who are `gone` nothing is compared.
        """
        since = self.world.today - timedelta(days=self.world.platform.settings.lookback_days)
        truth = self.world.truth(max(self.first, since), self.world.today)
        stored = {
            key: row
            for key, row in self.world.stored().items()
            if key[0] not in gone and row["start_date"] >= since
        }
        differing = sorted(stored.keys() ^ truth.keys())
        assert not differing, [(key, stored.get(key), truth.get(key)) for key in differing]
        for key, row in truth.items():
            assert {name: stored[key][name] for name in row} == row

    def wait_for_requests(self, number: int) -> None:
        """Wait until the simulator has had so many."""
        wait_until(lambda: self.sim.requests.total() >= number)

    def strays(self) -> list[str]:
        """Files of the lake that no catalog names, and unfinished ones beside the published file."""
        with self.lake().read() as con:
            known = {
                Path(path).name
                for (path,) in con.execute(
                    """
                    SELECT path FROM __ducklake_metadata_lake.ducklake_data_file
                    UNION ALL SELECT path FROM __ducklake_metadata_lake.ducklake_delete_file
                    UNION ALL SELECT path
                    FROM __ducklake_metadata_lake.ducklake_files_scheduled_for_deletion
                    """
                ).fetchall()
            }
        lake = {p.name for p in (self.data_dir / "lake").rglob("*.parquet")} - known
        return sorted(lake | {p.name for p in self.data_dir.rglob("*.unfinished")})


@contextmanager
def company(
    folder: Path,
    *,
    seed: int = 7,
    people: int = 4,
    shards: int = 1,
    first: date = FIRST,
    now: datetime = NOON,
) -> Iterator[Company]:
    """Start a simulator, and a deployment that has its roster and nothing else."""
    with small_world(
        folder / "data-00", now=now, shards=shards, seed=seed, people=people, first_date=first
    ) as world:
        errand = Errand(str(folder / "data-00"), world.sim.base_url, world.sim.api_key, shards)
        made = Company(world, errand, first)
        yield made
        weather.put(world.sim.faults)


def details_kept(made: Company) -> int:
    """How many answers of get-session are committed."""
    sql = "SELECT count(*) FROM lake.raw WHERE endpoint = 'get_session'"
    return int(made.lake().frame(sql).item())


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another process brings about."""
    ends_at = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < ends_at, "it never came about"
        time.sleep(0.005)


def open_files(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names are enough


def resident_bytes(pid: int) -> int:
    """How much memory a process takes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
