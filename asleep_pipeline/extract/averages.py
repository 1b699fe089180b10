"""The API's own averages: one request a user and calendar month, in the zone of the user."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date, datetime, timedelta

from asleep_pipeline.asleep import AsleepClient
from asleep_pipeline.extract.answers import Chunks, raw_row
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.crowd import Crowd, ask_all
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.users import LakeUser, pullable_users
from asleep_pipeline.zones.fallbacks import ZoneFallbacks


def month_end(month: date) -> date:
    """The last day of the month."""
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def pull_averages(
    lake: Lake,
    clients: Clients,
    month: date,
    *,
    shard: int,
    fallbacks: ZoneFallbacks,
    now: datetime,
    recompute_days: int,
    refetch: bool = False,
    first_kept: Callable[[str], date | None] = lambda _: None,
    on_progress: Callable[[Crowd], None] = lambda _: None,
) -> Crowd:
    """Ask for the averages of one month of every user of the shard, and keep the answers in `raw`.

    An answer that was read after the month had ended and its last night could not be recomputed
    any more is final, and not asked for again.

    Args:
        lake: Where the answers go.
        clients: A client for every organisation.
        month: First day of the month.
        shard: Whose users.
        fallbacks: Zones of users whose roster names none.
        now: The present, UTC.
        recompute_days: Age up to which a COMPLETE session may still be recomputed.
        refetch: Ask again for what is final.
        first_kept: The first date that is kept of an organisation; a month before it is not asked for.
        on_progress: Called after each user.

    Raises:
        StopError: The key, the plan or the quota forbids any request.
        CircuitOpen: The service fails for everyone.
        LakeError: An answer could not be kept.
    """
    final = set() if refetch else _final(lake, month, shard, recompute_days)
    with lake.read() as con:
        everyone = pullable_users(con, shard=shard)
    zones = {u.user_id: fallbacks.zone_of(None, u.user_id, u.org_id)[0] for u in everyone}
    users = [
        user
        for user in everyone
        if (user.user_id, zones[user.user_id]) not in final
        and month_end(month) >= (first_kept(user.org_id) or month)
    ]
    crowd = Crowd(len(users))
    chunks = Chunks(lake, f"averages of {month:%Y-%m}, shard {shard}")
    # The API may refuse days that have not come yet.
    last = min(month_end(month), now.date())

    async def ask(user: LakeUser, asleep: AsleepClient) -> None:
        zone = zones[user.user_id]
        answer = await asleep.average_stats(user.user_id, month, last, timezone=zone)
        chunks.add(
            raw_row(
                user,
                "average_stats",
                shards=lake.shards,
                partition_date=month,
                body=answer.body,
                fetched_at=answer.fetched_at,
                timezone=zone,
                window_start=month,
                window_end=last,
            )
        )

    try:
        ask_all(clients, users, ask, crowd, on_progress)
    finally:
        chunks.flush()
    return crowd


def _final(lake: Lake, month: date, shard: int, recompute_days: int) -> set[tuple[str, str]]:
    """User and zone of the answers that cannot change any more."""
    settled = month_end(month) + timedelta(days=recompute_days + 1)
    with lake.read() as con:
        rows = con.execute(
            """
            SELECT DISTINCT user_id, timezone FROM lake.raw
            WHERE endpoint = 'average_stats' AND shard = $shard AND partition_date = $month
              AND fetched_at > $settled
            """,
            {"shard": shard, "month": month, "settled": settled},
        ).fetchall()
    return set(rows)
