"""The same job by this package, without Dagster: lake, sessions, published warehouse.

`python -m benchmarks.ours BASE_URL API_KEY ROSTER START END DATA_DIR`
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import SecretStr

from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.sessions import Window, pull_sessions
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import DEFAULT_ORGANISATION, put_users
from asleep_pipeline.log import configure_logging
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.roster import read_roster, roster_frame
from asleep_pipeline.warehouse import publish
from asleep_pipeline.zones.table import keep_zone_rules


def load(url: str, api_key: str, roster: Path, window: Window, root: Path) -> Lake:
    """Pull and read all sessions of a window into a new lake below the folder."""
    now = datetime.now(UTC)
    lake = Lake.create(root / "lake", shards=4)
    keep_zone_rules(lake)
    put_users(lake, roster_frame(read_roster(roster)), now=now)
    clients = Clients(
        keys={DEFAULT_ORGANISATION: SecretStr(api_key)},
        base_url=url,
        max_connections=8,
        requests_per_second=None,
        budget_file=root / "budget.sqlite",
    )
    for shard in range(lake.shards):
        pull_sessions(lake, clients, window, shard=shard, now=now, recompute_days=7)
        normalise_sessions(lake, shard=shard, organisations={}, default_zone="UTC")
    return lake


if __name__ == "__main__":
    url, api_key, roster, first, last, out = sys.argv[1:]
    configure_logging()
    window = Window(date.fromisoformat(first), date.fromisoformat(last))
    lake = load(url, api_key, Path(roster), window, Path(out))
    publish(lake, Path(out) / "asleep.duckdb")
