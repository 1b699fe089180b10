"""`fct_session` of series of stages, many in one query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from asleep_pipeline.lake.tables import SESSIONS
from asleep_pipeline.warehouse.marts.build import _SQL
from asleep_pipeline.warehouse.publish import _create
from asleep_pipeline_tests.hand_made import session

START = "2024-01-01T22:00:00"
"""In UTC."""

_CYCLE_ENDS = """
    SELECT * REPLACE (epoch(onset_at) AS onset_at, epoch(final_wake_at) AS final_wake_at),
        cycle_ends(rem_clusters(sleep_period(hypnogram(sleep_stages)))) AS cycle_ends
    FROM ({mart}) AS f JOIN (SELECT user_id, sleep_stages FROM sessions) USING (user_id)
    ORDER BY user_id
"""


@dataclass(frozen=True, slots=True)
class NightFacts:
    """Calculates in a database of its own."""

    con: duckdb.DuckDBPyConnection

    def __post_init__(self) -> None:
        self.con.execute("SET TimeZone = 'UTC'")
        _create(self.con)

    def of(self, batch: Iterable[Sequence[int]], *, levels: int = 4) -> list[dict[str, Any]]:
        """A row of `fct_session` for each series, with instants in seconds and its `cycle_ends`.

        Args:
            batch: Series of stages, each the session of a user of its own.
            levels: Stage levels of the users' plans.
        """
        plan: dict[str, Any] = {"has_stat": True, "time_in_light": 0 if levels == 4 else None}
        rows = [session(f"{n:06}", START, list(s), **plan) for n, s in enumerate(batch)]
        self.con.register(
            "incoming", pl.DataFrame(rows, schema=SESSIONS.schema).drop(_INTERNAL).to_arrow()
        )
        self.con.execute("DELETE FROM sessions")
        self.con.execute("INSERT INTO sessions BY NAME FROM incoming")
        self.con.execute(
            "CREATE OR REPLACE TEMP TABLE scope AS SELECT user_id, session_id FROM sessions"
        )
        return self.con.sql(_CYCLE_ENDS.format(mart=_SQL["fct_session"])).pl().to_dicts()


_INTERNAL = [c.name for c in SESSIONS.columns if c.internal and c.name in SESSIONS.schema]
