"""Refreshing the roster from get-user: metadata, and who is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from asleep_pipeline.asleep import AsleepClient, Metadata, User
from asleep_pipeline.extract.answers import Chunks, raw_row
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.crowd import Crowd, ask_all
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.users import LakeUser, mark_gone, pullable_users, update_users


def refresh_users(
    lake: Lake,
    clients: Clients,
    *,
    now: datetime,
    on_progress: Callable[[Crowd], None] = lambda _: None,
) -> Crowd:
    """Ask for every user who is not known to be gone; one request each.

    A user whose deletion is pending (`to_be_deleted`) counts as gone, as the contract advises.

    Raises:
        StopError: The key, the plan or the quota forbids any request.
        CircuitOpen: The service fails for everyone.
        LakeError: The answers could not be kept.
    """
    with lake.read() as con:
        users = pullable_users(con)
    crowd = Crowd(len(users))
    chunks = Chunks(lake, "refresh users")
    changes: list[dict[str, Any]] = []

    async def ask(user: LakeUser, asleep: AsleepClient) -> None:
        answer = await asleep.get_user(user.user_id)
        chunks.add(
            raw_row(
                user,
                "get_user",
                shards=lake.shards,
                partition_date=answer.fetched_at.astimezone(UTC).date(),
                body=answer.body,
                fetched_at=answer.fetched_at,
            )
        )
        changes.append({"user_id": user.user_id, "refreshed_at": now} | _columns(answer.result))
        if answer.result.to_be_deleted:
            crowd.gone.append(user)

    try:
        ask_all(clients, users, ask, crowd, on_progress)
    finally:
        chunks.flush()
        _keep(lake, changes)
        crowd.distrust_if_all_are_gone()
        mark_gone(lake, crowd.gone, now)
    return crowd


def _columns(user: User) -> dict[str, Any]:
    said = user.metadata or Metadata()
    return {
        "birth_year": said.birth_year,
        "gender": said.gender,
        "height_cm": said.height,
        "weight_kg": said.weight,
    }


def _keep(lake: Lake, changes: list[dict[str, Any]]) -> None:
    if changes:
        with lake.write(f"refresh {len(changes)} users") as con:
            update_users(con, changes)
