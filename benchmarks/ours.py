"""The job by this package, without Dagster: lake, sessions, averages, published warehouse.

`python -m benchmarks.ours BASE_URL API_KEY ROSTER FIRST LAST OUT [tables]`; with `tables`, what is
published is what others make as well: tables, and no marts.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from pydantic import SecretStr

from asleep_pipeline.cli import OBJECTS_PER_COLLECTION
from asleep_pipeline.extract.averages import pull_averages
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.sessions import Window, pull_sessions
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import DEFAULT_ORGANISATION, put_users
from asleep_pipeline.log import configure_logging
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.roster import read_roster, roster_frame
from asleep_pipeline.warehouse import publish
from asleep_pipeline.zones.fallbacks import read_fallbacks
from asleep_pipeline.zones.table import keep_zone_rules
from benchmarks.job import CONNECTIONS, Job, job_from

RECOMPUTE_DAYS = 7


def load(url: str, api_key: str, roster: Path, window: Window, root: Path) -> Lake:
    """Pull and read all sessions of a window into a new lake below the folder."""
    lake, clients = new_lake(roster, root), clients_of(url, api_key, root)
    pull_window(lake, clients, window)
    return lake


def new_lake(roster: Path, root: Path) -> Lake:
    """A lake with users and nothing else."""
    lake = Lake.create(root / "lake", shards=4)
    keep_zone_rules(lake)
    put_users(lake, roster_frame(read_roster(roster)), now=datetime.now(UTC))
    return lake


def clients_of(url: str, api_key: str, root: Path) -> Clients:
    """The clients of the one organisation."""
    return Clients(
        keys={DEFAULT_ORGANISATION: SecretStr(api_key)},
        base_url=url,
        max_connections=CONNECTIONS,
        requests_per_second=None,
        budget_file=root / "budget.sqlite",
    )


def pull_window(lake: Lake, clients: Clients, window: Window) -> None:
    """Pull and read the sessions of everyone; at most 90 days."""
    now = datetime.now(UTC)
    for shard in range(lake.shards):
        pull_sessions(lake, clients, window, shard=shard, now=now, recompute_days=RECOMPUTE_DAYS)
        normalise_sessions(lake, shard=shard, organisations={}, default_zone="UTC")


def pull_months(lake: Lake, clients: Clients, job: Job) -> None:
    """Pull and read the averages of everyone."""
    now = datetime.now(UTC)
    with lake.read() as con:
        fallbacks = read_fallbacks(con, {}, "UTC")
    for shard in range(lake.shards):
        for month, _ in job.months():
            pull_averages(
                lake,
                clients,
                month,
                shard=shard,
                fallbacks=fallbacks,
                now=now,
                recompute_days=RECOMPUTE_DAYS,
            )
        normalise_averages(lake, shard=shard)


def run(job: Job) -> None:
    """Do the job."""
    lake, clients = new_lake(job.roster, job.out), clients_of(job.base_url, job.api_key, job.out)
    pull_window(lake, clients, Window(job.first, job.last))
    pull_months(lake, clients, job)
    publish(lake, job.out / "asleep.duckdb")


def without_marts() -> AbstractContextManager[object]:
    """Publish tables only."""
    module = import_module("asleep_pipeline.warehouse.publish")
    return patch.object(module, "refresh_marts", return_value=Counter[str]())


if __name__ == "__main__":
    # As the program does.
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    configure_logging()
    *arguments, kind = sys.argv[1:]
    with without_marts() if kind == "tables" else nullcontext():
        run(job_from(arguments if kind == "tables" else [*arguments, kind]))
