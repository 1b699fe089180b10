"""A whole backfill in a process of its own, to be killed or recorded: run it with `python -m`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from pydantic import SecretStr

from asleep_pipeline.extract import answers
from asleep_pipeline.extract.averages import pull_averages
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.sessions import Window, pull_sessions
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.maintenance import maintain
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.log import configure_logging
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.warehouse.publish import publish
from asleep_pipeline.zones import table as zone_table
from asleep_pipeline.zones.fallbacks import read_fallbacks

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
WINDOW = Window(date(2025, 1, 25), date(2025, 2, 23))
SHARDS = 2
CONNECTIONS = 4
STARTED = "started"


@dataclass(frozen=True, slots=True)
class Errand:
    """What one backfill process is to do.

    Attributes:
        base_url: The simulator.
        api_key: Its key.
        roster: Parquet file with user_id, org_id and timezone.
        zone_rules: Parquet file of `zone_rules()`, which takes longer to make than all the rest.
        data_dir: Where the lake and the published file belong.
        chunk_answers: Answers of one commit.
        days_later: How much later than it is the maintenance takes it to be.
    """

    base_url: str
    api_key: str
    roster: str
    zone_rules: str
    data_dir: str
    chunk_answers: int
    days_later: int = 0

    def command(self, module: str, *more: str) -> list[str]:
        """The command line of a process that runs a module of this folder."""
        name = f"asleep_pipeline_tests.durability.{module}"
        return [sys.executable, "-m", name, json.dumps(asdict(self)), *more]


def run(errand: Errand) -> None:
    """Make the lake if need be, pull, normalise and publish everything."""
    answers.CHUNK_ANSWERS = errand.chunk_answers
    setattr(zone_table, "zone_rules", lambda: pl.read_parquet(errand.zone_rules))  # noqa: B010 - a short cut of tests
    data_dir = Path(errand.data_dir)
    lake = Lake.create(data_dir / "lake", shards=SHARDS)
    zone_table.keep_zone_rules(lake)
    put_users(lake, pl.read_parquet(errand.roster), now=NOW)
    for shard in range(SHARDS):
        _sessions(errand, lake, shard)
    publish(lake, data_dir / "asleep.duckdb")
    for shard in range(SHARDS):
        _averages(errand, lake, shard)
    maintain(lake, now=datetime.now(UTC) + timedelta(days=errand.days_later))
    publish(lake, data_dir / "asleep.duckdb")


def _sessions(errand: Errand, lake: Lake, shard: int) -> None:
    report = pull_sessions(lake, _clients(errand), WINDOW, shard=shard, now=NOW, recompute_days=7)
    assert not report.is_partial
    normalise_sessions(lake, shard=shard, organisations={}, default_zone="UTC")


def _averages(errand: Errand, lake: Lake, shard: int) -> None:
    with lake.read() as con:
        fallbacks = read_fallbacks(con, {}, "UTC")
    pull_averages(
        lake,
        _clients(errand),
        date(2025, 1, 1),
        shard=shard,
        fallbacks=fallbacks,
        now=NOW,
        recompute_days=7,
    )
    normalise_averages(lake, shard=shard)


def _clients(errand: Errand) -> Clients:
    # The request budget is no part of the data, so it lies elsewhere.
    return Clients(
        keys={"default": SecretStr(errand.api_key)},
        base_url=errand.base_url,
        max_connections=CONNECTIONS,
        requests_per_second=None,
        budget_file=Path(errand.roster).with_name("budget.sqlite"),
    )


if __name__ == "__main__":
    # Whoever kills this process counts from here on, not from the start of the interpreter.
    sys.stdout.write(f"{STARTED}\n")
    sys.stdout.flush()
    configure_logging()
    run(Errand(**json.loads(sys.argv[1])))
