"""Deleting what organisations do not want to be kept any longer, in every place where it stands.

Nights go from the lake and so from everything that is made of it: the published file is built from
scratch, since deleted rows would stay in its bytes, and reports are written anew without those who are
over. What is deleted does not come back: pulls and webhooks leave out what is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Final

import polars as pl

from asleep_pipeline.access.organisations import parameters, zones
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.expiry import count_expired, delete_expired
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.privacy.audit import AuditLog
from asleep_pipeline.privacy.keeping import UNDER_WAY, Policy
from asleep_pipeline.reports.period import Period, read_period
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.webhooks.retention import count_over, delete_over

_HAS_NIGHTS: Final = pl.col("status") != "no_nights"
ACTOR: Final = "retention"
"""Who it was, in the audit."""


@dataclass(frozen=True, slots=True)
class Expired:
    """How much was over: rows by table, webhooks, folders of reports, and entries of the audit."""

    sessions: int
    quarantine: int
    average_stats: int
    raw: int
    webhooks: int
    reports: int
    audit: int


def expired(settings: Settings, lake: Lake, *, now: datetime) -> Expired:
    """What `expire` would delete; changes nothing.

    Raises:
        AccessError: The audit log cannot be read.
        InboxError: The inbox cannot be read.
        LakeError: The lake cannot be read.
    """
    policy = Policy.of(settings, now=now)
    rows = count_expired(lake, *_firsts(policy))
    webhooks = count_over(settings.inbox_path, _webhooks(lake, policy, now))
    reports = len(list(_reports(settings, policy)))
    audit = _log(settings).count_before(_audit(policy, now))
    return Expired(**rows, webhooks=webhooks, reports=reports, audit=audit)


def expire(settings: Settings, lake: Lake, *, now: datetime) -> Expired:
    """Delete what is over for each organisation; may be repeated at any time.

    Args:
        settings: With the organisations' retention.
        lake: The lake.
        now: The present, UTC.

    Raises:
        AccessError: The audit log cannot be written.
        InboxError: The inbox cannot be written.
        LakeError: The lake refused a commit.
        WarehouseError: The file cannot be published, or a report cannot be written.
    """
    policy = Policy.of(settings, now=now)
    _read_what_came(settings, lake, policy)
    rows = delete_expired(lake, *_firsts(policy))
    if rows["sessions"] or rows["average_stats"]:
        publish(lake, settings.warehouse_path, parameters=parameters(settings), from_scratch=True)
    reports = list(_reports(settings, policy))
    for each in reports:
        _renew(settings, *each)
    webhooks = delete_over(settings.inbox_path, _webhooks(lake, policy, now))
    audit = _log(settings).expire(_audit(policy, now), now=now, actor=ACTOR)
    return Expired(**rows, webhooks=webhooks, reports=len(reports), audit=audit)


def _firsts(policy: Policy) -> tuple[list[tuple[str, date]], list[tuple[str, date]]]:
    answers = [(org_id, day - UNDER_WAY) for org_id, day in policy.first_answers()]
    return list(policy.first_nights()), answers


def _read_what_came(settings: Settings, lake: Lake, policy: Policy) -> None:
    """An answer that is to be deleted is read first: what it tells may be kept for longer."""
    if not policy.by_org:
        return
    for shard in range(lake.shards):
        normalise_sessions(
            lake, shard=shard, organisations=zones(settings), default_zone=settings.timezone
        )


def _webhooks(lake: Lake, policy: Policy, now: datetime) -> dict[datetime, list[str]]:
    """Users whose webhooks go, by the instant before which they came."""
    found: dict[datetime, list[str]] = {}
    for org_id, kept in policy.by_org.items():
        days = min(filter(None, (kept.inbox, kept.sessions)), default=None)
        if days is not None:
            users = lake.frame("SELECT user_id FROM lake.users WHERE org_id = $1", [org_id])
            found.setdefault(now - timedelta(days=days), []).extend(users["user_id"])
    return found


def _audit(policy: Policy, now: datetime) -> dict[str | None, datetime]:
    kept = {org_id: retention.audit for org_id, retention in policy.by_org.items()}
    return {org_id: now - timedelta(days=days) for org_id, days in kept.items() if days}


def _reports(settings: Settings, policy: Policy) -> Iterator[tuple[Path, Period, bool]]:
    """Folders that tell of nights that are over, their period, and whether anybody else is in them."""
    for file in sorted(settings.reports_dir.glob("*/*/users.parquet")):
        period = read_period(file.parent.name)
        over = {org_id for org_id, first in policy.first_nights() if period.end_date < first}
        told = set(pl.scan_parquet(file).filter(_HAS_NIGHTS).select("org_id").collect()["org_id"])
        if told & over:
            yield file.parent, period, bool(told - over)


def _renew(settings: Settings, folder: Path, period: Period, is_needed: bool) -> None:
    """Write a folder of reports anew, from what is left; remove it when nobody is left."""
    if not is_needed:
        rmtree(folder)
        return
    from asleep_pipeline.reports.folder import write_reports  # noqa: PLC0415 -- brings Altair

    with read_warehouse(settings.warehouse_path) as con:
        write_reports(con, period, folder, user_pages=(folder / "users").is_dir())


def _log(settings: Settings) -> AuditLog:
    return AuditLog(settings.audit_path, settings.secret_path)
