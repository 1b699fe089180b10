"""The roster of one organisation, as it is this moment: who was created or changed is seen at once.

What the API tells of users is read from the lake, since the published file is behind it. As in
`tenants`, rows of another organisation cannot be met: each question here names its organisation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, Final, ParamSpec, TypeVar

import polars as pl
from litestar.connection import ASGIConnection

from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.users import put_users, set_columns
from asleep_pipeline.settings import Settings
from asleep_pipeline.zones.table import keep_zone_rules

P = ParamSpec("P")
T = TypeVar("T")

ROSTER: Final = "roster"
"""Where the application keeps the roster."""

Row = dict[str, Any]
"""Columns of the lake's `users`."""

_OF: Final = "SELECT * EXCLUDE (shard) FROM lake.users WHERE org_id = $org_id AND user_id"


class Roster:
    """The roster in a deployment's lake, for use by many threads.

    Every method raises `LakeError` when the lake cannot be read or written; those that write wait
    while another process does.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Of its own, since writers wait for each other: they must not hold up those who read.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lake-writer")

    @cached_property
    def lake(self) -> Lake:
        """The lake, made when it is missing."""
        lake = Lake.create(self._settings.lake_dir, shards=self._settings.shards)
        keep_zone_rules(lake)
        return lake

    def find(self, org_id: str, user_id: str) -> Row | None:
        """One user of an organisation."""
        rows = self.lake.frame(f"{_OF} = $user_id", {"org_id": org_id, "user_id": user_id})
        return next(iter(rows.to_dicts()), None)

    def page(self, org_id: str, *, after: str, limit: int) -> list[Row]:
        """Users of an organisation in the order of their ids, those that follow an id."""
        sql = f"{_OF} > $after ORDER BY user_id LIMIT $limit"
        return self.lake.frame(sql, {"org_id": org_id, "after": after, "limit": limit}).to_dicts()

    async def writing(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what writes to the lake in a thread, one after the other."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, partial(work, *args, **kwargs))

    def close(self) -> None:
        """Wait for what is being written."""
        self._writer.shutdown()

    def add(self, org_id: str, user_id: str, values: Mapping[str, Any]) -> None:
        """Add a user, whom the next pull takes."""
        known = {name: value for name, value in values.items() if value is not None}
        row = pl.DataFrame([{"user_id": user_id, "org_id": org_id} | known])
        put_users(self.lake, row, now=datetime.now(UTC))

    def change(self, org_id: str, user_id: str, values: Mapping[str, Any]) -> None:
        """Set columns of a user, also to NULL; whom the roster lacks is added."""
        if self.find(org_id, user_id) is None:
            self.add(org_id, user_id, {})
        with self.lake.write("roster: one user changed") as con:
            set_columns(con, user_id, values)


def roster_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Roster:
    """The application's roster."""
    roster: Roster = connection.app.state[ROSTER]
    return roster
