"""A pull in a process of its own, again and again until its input ends: `python -m ... SETTINGS`."""

from __future__ import annotations

import json
import select
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from asleep_pipeline.extract import sessions
from asleep_pipeline.extract.sessions import Window, pull_sessions
from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline.log import configure_logging
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.settings import load_settings

ROUND = "round"


def main(said: dict[str, str]) -> None:
    """Pull everybody whom the roster named at the beginning, as a pull does that lasts for hours."""
    key = {"api_key": said["api_key"]}
    settings = load_settings(
        data_dir=Path(said["data_dir"]), base_url=said["base_url"], shards=2,
        organisations={"acme": key, "duo": key},
    )  # fmt: skip
    platform = Platform(settings)
    lake = platform.lake()
    with lake.read() as con:
        rows = con.execute("SELECT user_id, org_id, timezone FROM lake.users").fetchall()
    everybody = [LakeUser(*row) for row in rows]

    def as_at_the_beginning(_: Any, *, shard: int, **_more: Any) -> list[LakeUser]:
        return [user for user in everybody if shard_of(user.user_id, 2) == shard]

    setattr(sessions, "pullable_users", as_at_the_beginning)  # noqa: B010 -- a seam of this test
    window = Window(date.fromisoformat(said["first"]), date.fromisoformat(said["last"]))
    while not select.select([sys.stdin], [], [], 0)[0]:
        for shard in range(2):
            pull_sessions(
                lake, platform.clients(lake), window, shard=shard, now=datetime.now(UTC),
                recompute_days=7, refetch=True,
            )  # fmt: skip
        sys.stdout.write(f"{ROUND}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    configure_logging()
    main(json.loads(sys.argv[1]))
