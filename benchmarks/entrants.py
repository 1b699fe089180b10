"""Who does the job, and how each is measured at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.costs import Cost, measure
from benchmarks.job import Job
from benchmarks.vendor import API_KEY, Vendor

DAYS: Final = 90
PACKAGES: Final = ("duckdb", "polars", "httpx", "aiohttp", "msgspec", "pyarrow", "dagster")


@dataclass(frozen=True, slots=True)
class Entrant:
    """One way to do the job.

    Attributes:
        name: As it is shown.
        module: Of this folder.
        kept: What holds the sessions, in SQL; `{out}` is the folder.
        more: Further arguments.
    """

    name: str
    module: str
    kept: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What an entrant took.

    Attributes:
        cost: Of its processes.
        requests: That the vendor received.
        sessions: That it ended with.
        sleep_s: The sum of their `time_in_sleep`.
    """

    cost: Cost
    requests: int
    sessions: int
    sleep_s: int


SCRIPT: Final = Entrant("httpx + polars script", "rival", "read_parquet('{out}/sessions.parquet')")
TABLES: Final = Entrant(
    "asleep-pipeline, without Dagster and marts", "ours", "published.sessions", ("tables",)
)
OURS: Final = Entrant("asleep-pipeline, without Dagster", "ours", "published.sessions")
CLI: Final = Entrant("asleep-pipeline, the program", "ours_cli", "published.sessions")
DLT: Final = Entrant("dlt to DuckDB", "rival_dlt", "published.nights.details", ("duckdb",))
DLT_FILES: Final = Entrant(
    "dlt to Parquet",
    "rival_dlt",
    "read_parquet('{out}/files/nights/details/*.parquet')",
    ("filesystem",),
)


def rivals() -> tuple[Entrant, ...]:
    """The others; without dlt when it is not installed (`make bench` installs it)."""
    return (SCRIPT, DLT, DLT_FILES) if find_spec("dlt") else (SCRIPT,)


def packages() -> tuple[str, ...]:
    """Packages whose versions matter."""
    return (*PACKAGES, "dlt") if find_spec("dlt") else PACKAGES


def job_of(vendor: Vendor, now: datetime, root: Path) -> Job:
    """The job of 90 days until yesterday; the roster lies in the folder.

    Args:
        vendor: Whom to ask.
        now: Its clock, UTC.
        root: An empty folder.
    """
    vendor.write_roster(root / "roster.csv")
    today = now.astimezone(UTC).date()
    first, last = today - timedelta(days=DAYS), today - timedelta(days=1)
    return Job(vendor.base_url, API_KEY, root / "roster.csv", first, last, root)


def race(vendor: Vendor, job: Job, entrant: Entrant) -> Result:
    """Let one do the job in a folder of its own, `entrant.name` below `job.out`.

    Raises:
        RuntimeError: It failed.
    """
    own = replace(job, out=job.out / entrant.name)
    own.out.mkdir()
    vendor.take_requests()
    cost = measure([*own.command(entrant.module), *entrant.more], own.out)
    return Result(cost, vendor.take_requests(), *_kept(own.out, entrant))


def check_equal(results: Sequence[Result]) -> None:
    """Make sure that all ended with the same.

    Raises:
        RuntimeError: They did not.
    """
    ends = {(result.sessions, result.sleep_s) for result in results}
    if len(ends) != 1:
        raise RuntimeError(f"Not everybody got the same sessions and sleep: {sorted(ends)}")


def _kept(out: Path, entrant: Entrant) -> tuple[int, int]:
    """Sessions, and the sum of their sleep."""
    with duckdb.connect() as con:
        if entrant.kept.startswith("published"):
            con.execute(f"ATTACH '{out}/asleep.duckdb' AS published (READ_ONLY)")
        kept = entrant.kept.format(out=out)
        rows = con.execute(f"SELECT count(*), sum(time_in_sleep)::BIGINT FROM {kept}").fetchall()
    return rows[0]
