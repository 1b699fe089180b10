"""The pipeline of one data folder in a process of its own, to be told what to do: `python -m`.

Reads orders from standard input, a JSON object a line, and answers each with one on standard output.
The present and the instants it stamps on answers follow the order's, which the simulator's clock
sets; the waits between attempts are real but a fiftieth as long.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from asleep_pipeline.asleep import client
from asleep_pipeline.asleep._retry import SCHEDULE
from asleep_pipeline.errors import AsleepPipelineError
from asleep_pipeline.extract import answers, reread
from asleep_pipeline.extract import sessions as pull
from asleep_pipeline.extract.averages import pull_averages
from asleep_pipeline.extract.sessions import Window, pull_sessions
from asleep_pipeline.extract.users import refresh_users
from asleep_pipeline.lake.ducklake import _attached
from asleep_pipeline.lake.maintenance import SNAPSHOTS_KEPT, maintain
from asleep_pipeline.log import configure_logging
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.settings import load_settings
from asleep_pipeline.warehouse import publish

CHUNK_ANSWERS = 25
"""Few, so that a process can be stopped between two commits."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What a process works on.

    Attributes:
        data_dir: Its data folder.
        base_url: The simulator.
        api_key: Its key.
        shards: Of the lake.
        began_ns: When the first process began: each answer is stamped later than those before.
    """

    data_dir: str
    base_url: str
    api_key: str
    shards: int
    began_ns: int = field(default_factory=time.time_ns)

    def command(self) -> list[str]:
        """The command line of a process that does it."""
        name = "asleep_pipeline_tests.faults.working"
        return [sys.executable, "-m", name, json.dumps(asdict(self))]


class Worker:
    """Does what it is told, one order after the other."""

    def __init__(self, errand: Errand) -> None:
        self._now = datetime.now(UTC)
        settings = load_settings(
            data_dir=Path(errand.data_dir),
            api_key=errand.api_key,
            base_url=errand.base_url,
            shards=errand.shards,
        )
        self._platform = Platform(settings, clock=lambda: self._now)
        self._began_ns = errand.began_ns
        self._last_us = 0
        self._open = ExitStack()
        self._wear_clock(client, pull, reread)

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what the order's `do` names at its `now`; what came of it, or the error's kind."""
        self._now = datetime.fromisoformat(order["now"])
        jobs: dict[str, Callable[[], object]] = {
            "pull": self.pull,
            "sync": self.sync,
            "maintain": self.maintain,
            "maintain later": self.maintain_later,
            "averages": self.averages,
            "refresh": self.refresh,
            "tick": self.tick,
            "receive": self.receive,
            "cached": self.cached,
        }
        try:
            told = jobs[order["do"]]()
        except AsleepPipelineError as error:
            return {"error": type(error).__name__, "problem": error.problem}
        except Exception:  # noqa: BLE001 - whatever it is, somebody should read it
            return {"error": "crash", "problem": traceback.format_exc()}
        return {"told": told if isinstance(told, dict) else None}

    def sync(self) -> dict[str, object]:
        """What the daily schedule brings about, without Dagster: pull, and publish."""
        told = self.pull()
        publish(self._platform.lake(), self._platform.settings.warehouse_path)
        return told

    def pull(self) -> dict[str, object]:
        """Pull and read what is new, a shard after the other."""
        platform, lake = self._platform, self._platform.lake()
        today = self._now.date()
        window = Window(today - timedelta(days=platform.settings.lookback_days), today)
        total = {"details": 0, "retries": 0, "refusals": 0}
        is_partial = False
        for shard in range(lake.shards):
            clients = platform.clients(lake)
            report = pull_sessions(
                lake,
                clients,
                window,
                shard=shard,
                now=self._now,
                recompute_days=platform.settings.recompute_days,
            )
            is_partial |= report.is_partial
            total["details"] += report.details
            total["retries"] += clients.retries.total()
            total["refusals"] += clients.refusals.total()
            normalise_sessions(lake, shard=shard, organisations={}, default_zone="UTC")
        return {"is_partial": is_partial, **total}

    def averages(self) -> None:
        """The averages of the month before this one."""
        platform, lake = self._platform, self._platform.lake()
        for shard in range(lake.shards):
            pull_averages(
                lake,
                platform.clients(lake),
                _month_before(self._now.date()),
                shard=shard,
                fallbacks=platform.fallbacks(lake),
                now=self._now,
                recompute_days=platform.settings.recompute_days,
            )
            normalise_averages(lake, shard=shard)

    def refresh(self) -> None:
        """Ask about everyone."""
        lake = self._platform.lake()
        refresh_users(lake, self._platform.clients(lake), now=self._now)

    def maintain(self) -> None:
        """Compact and clean up."""
        # The file system's times are those of the machine, whatever the order says.
        maintain(self._platform.lake(), now=datetime.now(UTC))

    def maintain_later(self) -> None:
        """The same as if everything lay there for longer than it may, with nobody reading."""
        maintain(self._platform.lake(), now=datetime.now(UTC) + 2 * SNAPSHOTS_KEPT)

    def tick(self) -> dict[str, object]:
        """A day of the schedules, by the real jobs: drain, sync, publish, and what is due."""
        pipeline, today = self._pipeline, self._now.date()
        outcomes = [pipeline.drain(), pipeline.sync()]
        if today.day == 9:
            outcomes.append(pipeline.averages(_month_before(today), _month_before(today)))
        if today.isoweekday() == 1:
            outcomes.append(pipeline.refresh_users())
        outcomes.append(pipeline.publish())
        if today.isoweekday() == 7:
            self.maintain()
        return {"is_partial": any(outcome.is_partial for outcome in outcomes)}

    def receive(self) -> dict[str, object]:
        """Take webhooks from now on, in a thread of this process; where."""
        # Half a second that most processes have no need of.
        from asleep_pipeline.webhooks import intake, live  # noqa: PLC0415
        from asleep_pipeline.webhooks.receiver import EVENTS_PATH  # noqa: PLC0415
        from asleep_pipeline.webhooks.serving import running  # noqa: PLC0415

        self._wear_clock(intake, live)
        receiver = self._open.enter_context(running(self._platform.settings))
        return {"url": f"{receiver.base_url}{EVENTS_PATH}"}

    def cached(self) -> dict[str, object]:
        """How much DuckDB keeps of the lake's files in memory."""
        con = _attached(self._platform.lake()).cursor()
        sql = (
            "SELECT sum(memory_usage_bytes) FROM duckdb_memory() WHERE tag = 'EXTERNAL_FILE_CACHE'"
        )
        ((cached,),) = con.execute(sql).fetchall()
        return {"bytes": int(cached)}

    def close(self) -> None:
        """Take no more webhooks."""
        self._open.close()

    @cached_property
    def _pipeline(self) -> Any:
        from asleep_pipeline.orchestration.runs import Pipeline  # noqa: PLC0415 - costs a second

        return Pipeline(self._platform)

    def _wear_clock(self, *modules: ModuleType) -> None:
        clock = SimpleNamespace(now=lambda _zone: self._stamp())
        for module in modules:
            setattr(module, "datetime", clock)  # noqa: B010 - a clock of tests

    def _stamp(self) -> datetime:
        passed_us = (time.time_ns() - self._began_ns) // 100_000
        self._last_us = max(passed_us, self._last_us + 1)
        return self._now + timedelta(microseconds=self._last_us)


def _month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def work(errand: Errand) -> None:
    """Obey until standard input ends."""
    answers.CHUNK_ANSWERS = CHUNK_ANSWERS
    SCHEDULE.update(wait_initial=0.01, wait_max=0.4, wait_jitter=0.02)
    with closing(Worker(errand)) as worker:
        _say({"ready": True})
        for line in sys.stdin:
            _say(worker.obey(json.loads(line)) | {"cpu_s": _cpu_s()})


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round(used.ru_utime + used.ru_stime, 2)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    configure_logging()
    work(Errand(**json.loads(sys.argv[1])))
