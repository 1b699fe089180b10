"""The checks of `doctor`. Each says ok, warn or fail, what it saw, and what to do."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Literal

import duckdb

from asleep_pipeline.access.keys import key_for
from asleep_pipeline.asleep import AsleepClient, Gone, InvalidRequest
from asleep_pipeline.cli._run import PROGRAM, ExitCode
from asleep_pipeline.cli._state import published
from asleep_pipeline.cli._world import refuse_demo
from asleep_pipeline.errors import AsleepPipelineError
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.engine import connect
from asleep_pipeline.settings import Settings
from asleep_pipeline.zones.names import tzdata_version

_ANSWER_S = 10
_CLOCK_MAY_DIFFER = timedelta(minutes=2)
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 5 * 10**9, 5 * 10**8


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw.

    Attributes:
        check: What was checked.
        status: Whether it works; a warning stops nothing.
        seen: What there is.
        fix: What to do, unless it is ok.
        code: The exit code that a failure means.
    """

    check: str
    status: Literal["ok", "warn", "fail"]
    seen: str
    fix: str = ""
    code: int = ExitCode.FAILED


Findings = Iterator[Finding]


def check_versions(_settings: Settings) -> Findings:
    """Python, our release, and DuckDB with the extensions that the lake needs."""
    try:
        connect().close()
    except (AsleepPipelineError, duckdb.Error) as error:
        yield _failed("versions", error, fix="Install asleep-pipeline again.")
        return
    yield Finding(
        "versions",
        "ok",
        f"asleep-pipeline {version('asleep-pipeline')}, Python {platform.python_version()}, "
        f"DuckDB {duckdb.__version__} with DuckLake, Dagster {version('dagster')}, "
        f"tzdata {tzdata_version()}",
    )


def check_disk(settings: Settings) -> Findings:
    """Whether the data folder can be written to, and how much room there is."""
    folder = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    seen = f"{free / 10**9:.1f} GB free in {settings.data_dir}"
    if not os.access(folder, os.W_OK):
        fix = "Change its rights, or name another folder by ASLEEP_DATA_DIR."
        yield Finding("disk", "fail", f"{folder} cannot be written to", fix)
    elif free < _LITTLE_BYTES:
        status: Literal["fail", "warn"] = "fail" if free < _TOO_LITTLE_BYTES else "warn"
        yield Finding("disk", status, seen, "Make room, or name another folder by ASLEEP_DATA_DIR.")
    else:
        yield Finding("disk", "ok", seen)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Where the API points to is nowhere that anybody has chosen."""

    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect; it is an answer like any other."""


_DIRECTLY = urllib.request.build_opener(_Stay)


def check_api(settings: Settings) -> Findings:
    """Whether the API answers at all, whether its clock is ours, whether it takes the keys."""
    # No key goes along. The settings allow https, and http on this machine.
    request = urllib.request.Request(settings.base_url, method="HEAD")  # noqa: S310
    try:
        with _DIRECTLY.open(request, timeout=_ANSWER_S) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        # Nothing is promised of this address, so any answer is a good one.
        headers = error.headers
    except OSError as error:
        seen = f"no answer from {settings.base_url}: {getattr(error, 'reason', error)}"
        yield Finding("api", "fail", seen, "Check ASLEEP_BASE_URL, the network and the proxy.")
        return
    yield Finding("api", "ok", f"{settings.base_url} answers")
    yield from _check_clock(headers)
    yield from _check_keys(settings)


def _check_clock(headers: Message) -> Findings:
    if "Date" not in headers:
        return
    ahead = datetime.now(UTC) - parsedate_to_datetime(headers["Date"])
    seen = f"{abs(ahead).total_seconds():.0f} s {'ahead of' if ahead > timedelta() else 'behind'} the API's"
    if abs(ahead) > _CLOCK_MAY_DIFFER:
        yield Finding("clock", "warn", seen, "Set this machine's clock; what is new depends on it.")
    else:
        yield Finding("clock", "ok", seen)


def _check_keys(settings: Settings) -> Findings:
    """One cheap request with each organisation's key."""
    try:
        refuse_demo(settings)
        people = _someone_of_each(settings)
    except AsleepPipelineError as error:
        yield _failed("key", error)
        return
    for org_id, user_id in people.items():
        yield _check_key(settings, org_id, user_id)


def _someone_of_each(settings: Settings) -> dict[str, str]:
    """An organisation's user; of an empty roster, nobody of the default organisation."""
    rows: Sequence[tuple[str, str]] = ()
    if settings.catalog_path.exists():
        rows = (
            Lake.open(settings.lake_dir)
            .frame("SELECT org_id, min(user_id) FROM lake.users GROUP BY 1 ORDER BY 1")
            .rows()
        )
    return dict(rows) or {"default": "nobody"}


def _check_key(settings: Settings, org_id: str, user_id: str) -> Finding:
    name = f"key of {org_id}"

    async def ask() -> None:
        key = key_for(settings, org_id)
        async with AsleepClient(key, base_url=settings.base_url, organisation=org_id) as asleep:
            await asleep.get_user(user_id)

    try:
        asyncio.run(ask())
    except (Gone, InvalidRequest):
        # The user is refused, so the key is not.
        return Finding(name, "ok", "accepted by the API")
    except AsleepPipelineError as error:
        return _failed(name, error)
    return Finding(name, "ok", "accepted by the API")


def check_roster(settings: Settings) -> Findings:
    """Whether there is anybody to pull."""
    if not settings.catalog_path.exists():
        fix = f"Import one: {PROGRAM} users import FILE; or try {PROGRAM} demo."
        yield Finding("roster", "warn", "none yet", fix)
        return
    try:
        counts = Lake.open(settings.lake_dir).frame(
            "SELECT count(*), count(deleted_at) FROM lake.users"
        )
    except AsleepPipelineError as error:
        yield _failed("roster", error)
        return
    users, gone = counts.row(0)
    status: Literal["ok", "warn"] = "ok" if users > gone else "warn"
    fix = "" if users > gone else f"Import one: {PROGRAM} users import FILE."
    yield Finding("roster", status, f"{users} users, {gone} of them gone", fix)


def check_lake(settings: Settings) -> Findings:
    """Whether the lake opens, with the shards and the zone rules of today."""
    if not settings.catalog_path.exists():
        yield Finding("lake", "ok", "none yet; the first import makes it")
        return
    try:
        lake = Lake.open(settings.lake_dir, shards=settings.shards)
        made_with = lake.frame("SELECT tzdata_version FROM lake.lake_info").item()
    except AsleepPipelineError as error:
        yield _failed("lake", error)
        return
    yield Finding("lake", "ok", f"snapshot {lake.snapshot_id()}, {lake.shards} shards")
    if made_with == tzdata_version():
        yield Finding("zone rules", "ok", f"tzdata {made_with}")
    else:
        fix = f"Make local times anew: {PROGRAM} rebuild."
        seen = f"the lake has tzdata {made_with}, installed is {tzdata_version()}"
        yield Finding("zone rules", "warn", seen, fix)


def check_warehouse(settings: Settings) -> Findings:
    """Whether the published file opens and holds what the lake holds."""
    if not settings.catalog_path.exists():
        return
    try:
        file = published(Lake.open(settings.lake_dir), settings.warehouse_path)
    except AsleepPipelineError as error:
        yield _failed("warehouse", error)
        return
    if file is None:
        yield Finding("warehouse", "warn", "none yet", f"Load something: {PROGRAM} sync.")
        return
    seen = f"{file.rows['sessions']} sessions, published {file.published_at:%Y-%m-%d %H:%M} UTC"
    if file.is_behind:
        fix = f"Publish again: {PROGRAM} sync."
        yield Finding("warehouse", "warn", f"{seen}, behind the lake", fix)
    else:
        yield Finding("warehouse", "ok", seen)


def check_budget(settings: Settings) -> Findings:
    """Whether the file of the shared request budget can be read."""
    path = settings.budget_path
    if not path.exists():
        return
    try:
        con = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            con.execute("PRAGMA quick_check").fetchall()
        finally:
            con.close()
    except sqlite3.Error as error:
        fix = f"Delete {path}; the pace is then learned anew."
        yield Finding("request budget", "fail", f"{path.name} cannot be read: {error}", fix)
        return
    yield Finding("request budget", "ok", "shared by all processes of this machine")


def _failed(check: str, error: Exception, fix: str = "") -> Finding:
    if isinstance(error, AsleepPipelineError):
        return Finding(check, "fail", error.problem, error.fix, error.exit_code)
    return Finding(check, "fail", str(error).partition("\n")[0], fix)


CHECKS: tuple[Callable[[Settings], Findings], ...] = (
    check_versions,
    check_disk,
    check_api,
    check_roster,
    check_lake,
    check_warehouse,
    check_budget,
)
"""In the order in which they are told."""
