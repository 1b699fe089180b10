"""The same job by this package, without Dagster: lake, sessions, published warehouse.

`python -m benchmarks.ours BASE_URL API_KEY ROSTER START END DATA_DIR`
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
from pydantic import SecretStr

from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.sessions import Window, pull_sessions
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.log import configure_logging
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.warehouse import publish
from asleep_pipeline.zones.table import keep_zone_rules

if __name__ == "__main__":
    url, api_key, roster, first, last, out = sys.argv[1:]
    configure_logging()
    root, now = Path(out), datetime.now(UTC)
    lake = Lake.create(root / "lake", shards=4)
    keep_zone_rules(lake)
    put_users(lake, pl.read_csv(roster, columns=["user_id", "org_id", "timezone"]), now=now)
    clients = Clients(
        keys={"default": SecretStr(api_key)},
        base_url=url,
        max_connections=8,
        requests_per_second=None,
        budget_file=root / "budget.sqlite",
    )
    window = Window(date.fromisoformat(first), date.fromisoformat(last))
    for shard in range(lake.shards):
        pull_sessions(lake, clients, window, shard=shard, now=now, recompute_days=7)
        normalise_sessions(lake, shard=shard, organisations={}, default_zone="UTC")
    publish(lake, root / "asleep.duckdb")
