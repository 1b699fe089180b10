"""Days of the schedules without end in one process, while faults come and go: run it with `python -m`.

A tick is a day: what was pushed is drained, everything is synced and published, and averages, refresh
and maintenance come when they are due, all by the real Dagster jobs. At the end the faults are
switched off and one more day passes: the content must be the truth, and neither memory nor open
files may have grown since the warm-up. DuckDB's cache of the lake's files does not count: it keeps
what fits below the limit of its memory, files that are gone included.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

from asleep_pipeline.log import configure_logging
from asleep_pipeline.simulator import Faults
from asleep_pipeline_tests.faults import weather
from asleep_pipeline_tests.faults.company import (
    Company,
    Process,
    company,
    open_files,
    resident_bytes,
)

START = datetime(2023, 6, 1, 12, tzinfo=UTC)
"""Early enough for years of ticks until today, where Dagster's partitions end."""
FIRST = (START - timedelta(days=90)).date()
"""So early that the look-back window holds as much at the first tick as at the last."""
PEOPLE = 4
WARM_UP = 0.3
"""Share of the ticks after which nothing may grow any more."""
MOST_GROWTH = 0.15
"""Share by which memory may differ from one third to the next."""
MOST_NEW_FILES = 4
INSPECTED_EVERY = 25
"""Ticks between two comparisons with the truth."""
MIB = 2**20
_LINE = "{:>5} {:10} {:>8} {:>6} {:>8}  {}"


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process took after a tick; memory without the cache of files."""

    rss_bytes: int
    files: int


@dataclass(slots=True)
class Soak:
    """One soak.

    Attributes:
        quiet: Held by who wants no faults.
        samples: One a tick.
        outcomes: How the ticks ended: well, partly, or with an error of this kind.
    """

    company: Company
    process: Process
    draws: Random
    quiet: threading.Lock = field(default_factory=threading.Lock)
    samples: list[Sample] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def tick(self) -> None:
        """Let a day pass."""
        self._change_the_past()
        self.company.sim.clock.advance(timedelta(days=1))
        began = time.monotonic()
        answer = self.process.do("tick", self.company.now)
        told = answer.get("told") or {}
        outcome = answer.get("error") or ("partial" if told["is_partial"] else "complete")
        self.outcomes[outcome] += 1
        pid = self.process.pid
        rss_bytes = (
            resident_bytes(pid) - self.process.do("cached", self.company.now)["told"]["bytes"]
        )
        self.samples.append(Sample(rss_bytes, open_files(pid)))
        self._tell(outcome, time.monotonic() - began)

    def inspect(self) -> None:
        """Compare everything with the truth after a quiet day."""
        with self.quiet:
            weather.put(self.company.sim.faults)
            self.tick()
            self.company.assert_recovered()

    def _change_the_past(self) -> None:
        """Delete a session of the last days, now and then."""
        sim, today = self.company.sim, self.company.now.date()
        person = self.draws.choice(sim.world.people)
        said = sim.world.sessions(person.user_id, today - timedelta(days=9), today)
        if said and self.draws.random() < 0.2:
            sim.faults.deleted_sessions.add(self.draws.choice(said)["session"]["id"])

    def _tell(self, outcome: str, took_s: float) -> None:
        newest = self.samples[-1]
        day, rss = self.company.now.date().isoformat(), f"{newest.rss_bytes / MIB:.0f}"
        say(len(self.samples), day, rss, newest.files, f"{took_s:.1f}", outcome)

    def problems(self) -> Iterator[str]:
        """What grew."""
        settled = self.samples[int(len(self.samples) * WARM_UP) :]
        third = max(1, len(settled) // 3)
        before, after = settled[:third], settled[-third:]
        rss = [median(s.rss_bytes for s in part) for part in (before, after)]
        files = [median(s.files for s in part) for part in (before, after)]
        rss_mib = " -> ".join(f"{value / MIB:.0f}" for value in rss)
        print(f"memory {rss_mib} MiB, files {files[0]} -> {files[1]}")  # noqa: T201 - its report
        if rss[1] > rss[0] * (1 + MOST_GROWTH):
            yield "memory grows"
        if files[1] > files[0] + MOST_NEW_FILES:
            yield "open files grow"


@contextmanager
def changing(faults: Faults, draws: Random, quiet: threading.Lock) -> Iterator[None]:
    """Let faults come and go every few seconds during the block."""
    is_over = threading.Event()

    def change() -> None:
        while not is_over.wait(draws.uniform(0.5, 4)):
            with quiet:
                is_fair = draws.random() < 0.4
                weather.put(faults, **({} if is_fair else weather.mixed(draws)[1]))

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        weather.put(faults)


def soak(folder: Path, *, minutes: float, seed: int) -> list[str]:
    """Tick for so long; what is wrong at the end."""
    ends_at = time.monotonic() + minutes * 60
    with (
        company(folder, seed=seed, people=PEOPLE, first=FIRST, now=START, shards=2) as made,
        made.process() as process,
    ):
        run = Soak(made, process, Random(seed))
        told = process.do("receive", made.now)["told"]
        made.sim.webhooks.target(told["url"])
        made.sim.faults.recomputed_share = 0.1
        say("tick", "day", "MiB", "files", "seconds", "outcome")
        with changing(made.sim.faults, Random(seed + 1), run.quiet):
            while time.monotonic() < ends_at and made.now < datetime.now(UTC) - timedelta(days=2):
                run.tick()
                if len(run.samples) % INSPECTED_EVERY == 0:
                    run.inspect()
        run.inspect()
        made.sim.webhooks.target(None)
        print(dict(run.outcomes))  # noqa: T201 - its report
        assert "error" not in process.do("maintain later", made.now)
        return [*run.problems(), *(f"left behind: {name}" for name in made.strays())]


def say(*values: object) -> None:
    """Print a line of the table."""
    print(_LINE.format(*values), flush=True)  # noqa: T201 - its report


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and tell how it went; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args(arguments)
    configure_logging()
    with TemporaryDirectory(prefix="asleep-soak-") as folder:
        problems = soak(Path(folder), minutes=wanted.minutes, seed=wanted.seed)
    print("; ".join(problems) or "nothing grew, and the content is the truth")  # noqa: T201
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
