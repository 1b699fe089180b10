"""The figures of one session that is in no published file yet, as the marts would have them."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import duckdb
import polars as pl

from asleep_pipeline.sleep import MACROS
from asleep_pipeline.zones.rules import zone_rules

_SELECT: Final = (
    files("asleep_pipeline.warehouse.marts")
    .joinpath("fct_session.sql")
    .read_text(encoding="utf-8")
    .strip()
)


def figures_of(session: pl.DataFrame) -> dict[str, Any]:
    """The row of `fct_session` that a row of `sessions` becomes.

    What the sessions of a night decide together, such as which of them is the main sleep, is
    decided as if it were the only one.
    """
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(MACROS)
        tables = {
            "sessions": session,
            "tz_rules": zone_rules(),
            "scope": session.select("user_id", "session_id"),
        }
        for name, frame in tables.items():
            con.register(name, frame.to_arrow())
        row: dict[str, Any] = con.execute(_SELECT).pl().row(0, named=True)
    return row
