"""The roster as a table of the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb
import polars as pl

from asleep_pipeline.lake.columns import UTC_TIMESTAMP
from asleep_pipeline.lake.ducklake import Lake, delete_keys, insert
from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.lake.tables import USERS

DEFAULT_ORGANISATION = "default"


@dataclass(frozen=True, slots=True)
class LakeUser:
    """Whom to ask about, with which organisation's key, in which home zone."""

    user_id: str
    org_id: str
    timezone: str | None


def put_users(lake: Lake, roster: pl.DataFrame, *, now: datetime) -> tuple[int, int]:
    """Add the roster's users, and bring those who are known already up to date.

    Args:
        lake: The lake.
        roster: One row a user: user_id and any other roster columns of `users`. What it does not
            say of a known user stays as it is; a user it names is not gone any more. Users who
            were erased are left out.
        now: First-seen instant of new users, UTC.

    Returns:
        How many are new, and how many were known.
    """
    with lake.write(f"roster: {roster.height} users") as con:
        roster = lake.without_erased(roster)
        known = con.execute("SELECT * FROM lake.users").pl()
        rows = _merged(roster, known, shards=lake.shards, now=now)
        delete_keys(con, USERS, rows.select("user_id"))
        insert(con, USERS, rows)
    old = rows.join(known, on="user_id", how="semi").height
    return rows.height - old, old


def pullable_users(
    con: duckdb.DuckDBPyConnection,
    *,
    shard: int | None = None,
    user_ids: tuple[str, ...] = (),
    unfinished_since: date | None = None,
) -> list[LakeUser]:
    """Users who are not gone, in the order of their ids.

    Args:
        con: A connection to the lake.
        shard: Only this shard.
        user_ids: Only these; everyone when empty.
        unfinished_since: Only users with a session that started on or after this date (UTC) and
            is still OPEN or CLOSED; everyone when None.
    """
    rows = con.execute(
        """
        SELECT user_id, org_id, timezone FROM lake.users
        WHERE deleted_at IS NULL AND ($shard IS NULL OR shard = $shard)
          AND (len($users) = 0 OR user_id IN (SELECT unnest($users)))
          AND ($since IS NULL OR user_id IN (
              SELECT s.user_id FROM lake.sessions AS s
              WHERE s.state <> 'COMPLETE' AND s.start_date >= $since))
        ORDER BY user_id
        """,
        {"shard": shard, "users": list(user_ids), "since": unfinished_since},
    ).fetchall()
    return [LakeUser(*row) for row in rows]


def update_users(con: duckdb.DuckDBPyConnection, changes: list[dict[str, Any]]) -> None:
    """Overwrite columns of users; a column that a change does not name, or names NULL, stays.

    Args:
        con: A connection of `Lake.write`.
        changes: One mapping a user: user_id and the new values by column.
    """
    if not changes:
        return
    frame = pl.DataFrame([{"user_id": None} | c for c in changes], infer_schema_length=None)
    named = [c for c in frame.columns if c != "user_id"]
    known = con.execute("SELECT * FROM lake.users").pl()
    new = known.join(frame, on="user_id", suffix="_new").with_columns(
        pl.coalesce(pl.col(f"{c}_new").cast(USERS.schema[c]), c).alias(c) for c in named
    )
    delete_keys(con, USERS, new.select("user_id"))
    insert(con, USERS, new.select(USERS.column_names))


def set_columns(con: duckdb.DuckDBPyConnection, user_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one user, also to NULL; nothing happens when the roster has no such user.

    Args:
        con: A connection of `Lake.write`.
        user_id: Whose.
        values: The new values by column.
    """
    known = con.execute("SELECT * FROM lake.users WHERE user_id = $1", [user_id]).pl()
    changed = known.with_columns(
        pl.lit(value, dtype=USERS.schema[name]).alias(name) for name, value in values.items()
    )
    delete_keys(con, USERS, known.select("user_id"))
    insert(con, USERS, changed)


def mark_gone(lake: Lake, users: Sequence[LakeUser], now: datetime) -> None:
    """Remember that the API does not know these users any more; they are not asked about again."""
    if users:
        with lake.write(f"{len(users)} users are gone") as con:
            update_users(con, [{"user_id": user.user_id, "deleted_at": now} for user in users])


def _merged(
    roster: pl.DataFrame, known: pl.DataFrame, *, shards: int, now: datetime
) -> pl.DataFrame:
    named = [c for c in roster.columns if c != "user_id"]
    shard = [shard_of(user_id, shards) for user_id in roster["user_id"]]
    rows = roster.join(
        known.drop("shard", "deleted_at"),
        on="user_id",
        how="left",
        maintain_order="left",
        suffix="_known",
    )
    rows = rows.with_columns(
        pl.coalesce(pl.col(c).cast(USERS.schema[c]), f"{c}_known") for c in named
    ).with_columns(
        pl.Series("shard", shard, dtype=pl.Int32),
        pl.lit(None).alias("deleted_at"),
        pl.col("org_id").fill_null(DEFAULT_ORGANISATION),
        pl.col("first_seen_at").fill_null(pl.lit(now, dtype=UTC_TIMESTAMP)),
    )
    return rows.select(pl.col(name).cast(dtype) for name, dtype in USERS.schema.items())
