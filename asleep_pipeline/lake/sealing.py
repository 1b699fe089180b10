"""What of the lake is sealed, and how its rows are sealed and opened: in bulk, within DuckDB's queries.

Keys, states, dates and flags stay clear, because the pipeline finds and judges rows by them. What tells of a
night goes as one JSON text into the column `sealed` of its row; a raw answer's body is sealed in its place;
hashes are sealed so that equal ones stay equal. Rows whose key is gone are erased: no reader gets them.
Without encryption a connection has none of this, and every query is what it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types

from asleep_pipeline.errors import AsleepPipelineError
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.lake.engine import load_ciphers
from asleep_pipeline.lake.tables import AVERAGE_STATS, QUARANTINE, RAW, SESSIONS
from asleep_pipeline.privacy.keys import Keys
from asleep_pipeline.privacy.sealed import (
    FORMATS,
    MARK,
    UserKey,
    is_sealed_by,
    seal,
    seal_hash,
    unseal,
    unseal_hash,
)

_ON: Final = "asleep_is_sealing"
_PAIR: Final = ("user_id", "value")
_FAILED: Final = "executing the UDF"
SEALED: Final = "sealed"
"""The column that holds what is sealed of a row."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a table's rows are sealed.

    Attributes:
        table: Which.
        about: Columns that a sealed value is bound to, beside table and user.
        clear: Columns that stay as they are.
        hashes: Columns of hashes.
        bodies: Columns of which each value is sealed in its place.
    """

    table: Table
    about: tuple[str, ...]
    clear: tuple[str, ...]
    hashes: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()

    @property
    def content(self) -> tuple[str, ...]:
        """All other columns, which go into `sealed` together."""
        others = {*self.clear, *self.hashes, *self.bodies, SEALED}
        return tuple(name for name in self.table.column_names if name not in others)

    @property
    def about_sql(self) -> str:
        """The words that a sealed value is bound to."""
        return f"json_array('{self.table.name}', {', '.join(self.about)})::VARCHAR"


PLANS: Final = {
    plan.table.name: plan
    for plan in (
        Plan(
            RAW,
            about=("endpoint", "session_id"),
            clear=tuple(
                name
                for name in RAW.column_names
                if name not in {"body", "body_sha256", "list_hash"}
            ),
            hashes=("body_sha256", "list_hash"),
            bodies=("body",),
        ),
        Plan(
            SESSIONS,
            about=("session_id",),
            # The id of a session begins with its start.
            clear=(
                *("session_id", "user_id", "org_id", "shard", "state", "started_at", "start_date"),
                *("has_stat", "has_detail", "is_quarantined"),
                *("listed_at", "fetched_at", "pushed_at"),
            ),
            hashes=("list_hash", "detail_sha256"),
        ),
        Plan(
            AVERAGE_STATS,
            about=("month", "timezone"),
            clear=("user_id", "org_id", "shard", "month", "timezone", "window_end", "fetched_at"),
        ),
        Plan(
            QUARANTINE,
            about=("endpoint", "session_id", "rule"),
            clear=(
                *("shard", "partition_date", "endpoint", "user_id", "session_id", "rule"),
                "quarantined_at",
            ),
            hashes=("body_sha256",),
        ),
    )
}
"""How each sealed table is sealed, by name."""


def equip(con: duckdb.DuckDBPyConnection, keys: Keys) -> None:
    """Give a DuckDB, once, the functions that seal and open; what it swaps out is encrypted."""
    load_ciphers(con)
    for name, function, types, result in (
        ("seal_value", _seal_values, ["VARCHAR", "VARCHAR", "BLOB"], "BLOB"),
        ("open_value", _open_values, ["VARCHAR", "VARCHAR", "BLOB"], "BLOB"),
        ("is_open", _are_open, ["VARCHAR", "BLOB"], "BOOLEAN"),
        ("seal_hash", _seal_hashes, ["VARCHAR", "VARCHAR"], "VARCHAR"),
        ("open_hash", _open_hashes, ["VARCHAR", "VARCHAR"], "VARCHAR"),
    ):
        con.create_function(  # type: ignore[call-overload]  # its types know no strings
            name,
            _with(keys, function, has_about=len(types) > len(_PAIR)),
            types,
            result,
            type="arrow",
            null_handling="special",
        )


def switch_on(con: duckdb.DuckDBPyConnection) -> None:
    """Let what goes through this connection be sealed; its DuckDB is equipped."""
    con.execute(f"SET VARIABLE {_ON} = true")


def is_on(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether what goes through this connection is sealed."""
    return con.execute(f"SELECT getvariable('{_ON}') IS NOT NULL").fetchall()[0][0] is True


@contextmanager
def explained() -> Iterator[None]:
    """Raise what went wrong within sealing or opening as the error that it was.

    Raises:
        ConfigurationError: A key cannot be had.
        LakeError: A value was changed.
    """
    try:
        yield
    except duckdb.InvalidInputException as error:
        problem = _problems.pop() if _FAILED in str(error) and _problems else None
        if problem is None:
            raise
        raise problem from None


def put(con: duckdb.DuckDBPyConnection, table: Table, columns: Sequence[str], source: str) -> None:
    """Append rows to a table of the lake, sealed where the connection seals.

    Args:
        con: A connection of `Lake.write`.
        table: Where to.
        columns: That the source has, of the table's.
        source: Of the rows, in SQL.
    """
    names, values = list(columns), list(columns)
    if table.name in PLANS and is_on(con):
        names, values = _sealed_columns(PLANS[table.name], columns)
    con.execute(
        f"INSERT INTO lake.{table.name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {source}"
    )


def opened(con: duckdb.DuckDBPyConnection, table: Table, source: str | None = None) -> str:
    """Rows of a table of the lake as they were before they were sealed, in SQL, to be read from.

    Args:
        con: Where the query will run.
        table: Which.
        source: Which rows: the table with what follows it after FROM; every row when None. What is
            chosen here is not even opened.
    """
    rows = source or f"lake.{table.name}"
    more = ", rowid, snapshot_id" if table is RAW else ""
    if table.name not in PLANS or not is_on(con):
        return f"(SELECT *{more} FROM {rows})"
    plan = PLANS[table.name]
    if plan.content:
        return _opened_content(plan, rows)
    return _opened_bodies(plan, rows, more)


def readable(con: duckdb.DuckDBPyConnection, table: Table) -> str:
    """A condition on rows of a table of the lake that are not erased."""
    is_sealed = table.name in PLANS and PLANS[table.name].content and is_on(con)
    return f"({SEALED} IS NULL OR is_open(user_id, {SEALED}))" if is_sealed else "true"


IS_CLEAR: Final = {
    plan.table.name: f"{SEALED} IS NULL" if plan.content else f"{plan.hashes[0]} < '{MARK}'"
    for plan in PLANS.values()
}
"""Conditions on rows that are not sealed, by table."""


def sealing_assignments(table: Table) -> str:
    """What an UPDATE sets to seal rows of a table that are not sealed."""
    plan = PLANS[table.name]
    columns, values = _sealed_columns(plan, (*plan.hashes, *plan.bodies, *plan.content))
    emptied = [f"{name} = NULL" for name in plan.content]
    sealed = [f"{column} = {value}" for column, value in zip(columns, values, strict=True)]
    return ", ".join((*sealed, *emptied))


def _sealed_columns(plan: Plan, columns: Sequence[str]) -> tuple[list[str], list[str]]:
    given = [name for name in columns if name not in plan.content]
    values = [_sealed_column(plan, name) for name in given]
    if content := [name for name in columns if name in plan.content]:
        struct = ", ".join(f"'{name}': {name}" for name in content)
        given.append(SEALED)
        values.append(
            f"seal_value(user_id, {plan.about_sql}, encode(to_json({{{struct}}})::VARCHAR))"
        )
    return given, values


def _sealed_column(plan: Plan, name: str) -> str:
    if name in plan.hashes:
        return f"seal_hash(user_id, {name})"
    return f"seal_value(user_id, {plan.about_sql}, {name})" if name in plan.bodies else name


def _opened_content(plan: Plan, rows: str) -> str:
    types = dict(plan.table.stored_columns)
    shape = json.dumps({name: _shape(types[name]) for name in plan.content})
    columns = {name: f"{SEALED}_content.{name}" for name in plan.content} | {
        name: f"open_hash(user_id, {name})" for name in plan.hashes
    }
    opened = ", ".join(
        f"CASE WHEN {SEALED} IS NULL THEN {name} ELSE {columns[name]} END AS {name}"
        if name in columns
        else name
        for name in plan.table.column_names
        if name != SEALED
    )
    return f"""(
        SELECT {opened} FROM (
            SELECT *, from_json(
                decode(open_value(user_id, {plan.about_sql}, {SEALED})), '{shape}'
            ) AS {SEALED}_content
            FROM (SELECT * FROM {rows})
            WHERE {SEALED} IS NULL OR is_open(user_id, {SEALED}))
    )"""


def _opened_bodies(plan: Plan, rows: str, more: str) -> str:
    first, *_, last = (
        rf"'\x{byte[0]:02X}'::BLOB" for byte in (*FORMATS, bytes([FORMATS[-1][0] + 1]))
    )
    opened = {name: f"open_hash(user_id, {name}) AS {name}" for name in plan.hashes} | {
        name: f"CASE WHEN {name} >= {first} AND {name} < {last} "
        f"THEN open_value(user_id, {plan.about_sql}, {name}) ELSE {name} END AS {name}"
        for name in plan.bodies
    }
    columns = ", ".join(opened.get(name, name) for name in plan.table.column_names)
    return f"""(
        SELECT * FROM (SELECT {columns}{more} FROM (SELECT *{more} FROM {rows}))
        WHERE {plan.hashes[0]} IS NOT NULL
    )"""


def _shape(type_: str) -> Any:
    return [_shape(type_[:-2])] if type_.endswith("[]") else type_


_problems: list[AsleepPipelineError] = []


def _with(
    keys: Keys, function: Callable[..., pa.Array], *, has_about: bool
) -> Callable[..., pa.Array]:
    """The function as DuckDB calls it, with a column a parameter."""

    def run(*given: Any) -> pa.Array:
        try:
            return function(keys, *(column.to_pylist() for column in given))
        except AsleepPipelineError as error:
            # DuckDB would leave nothing of it but its words.
            _problems[:] = [error]
            raise

    def run_with_about(users: Any, abouts: Any, values: Any) -> pa.Array:
        return run(users, abouts, values)

    def run_without(users: Any, values: Any) -> pa.Array:
        return run(users, values)

    # DuckDB counts the parameters.
    return run_with_about if has_about else run_without


def _keys(keys: Keys, users: list[str], values: list[Any], *, make: bool = False) -> dict[str, Any]:
    needed = {user for user, value in zip(users, values, strict=True) if value is not None}
    return keys.of(sorted(needed), make=make)


def _seal_values(keys: Keys, users: list[str], abouts: list[str], values: list[Any]) -> pa.Array:
    of: dict[str, UserKey] = _keys(keys, users, values, make=True)
    sealed = [
        None if value is None else seal(of[user], value, _about(user, about))
        for user, about, value in zip(users, abouts, values, strict=True)
    ]
    return pa.array(sealed, pa.binary())


def _open_values(keys: Keys, users: list[str], abouts: list[str], values: list[Any]) -> pa.Array:
    of = _keys(keys, users, values)
    opened = [
        None if value is None else unseal(of[user], value, _about(user, about))
        for user, about, value in zip(users, abouts, values, strict=True)
    ]
    return pa.array(opened, pa.binary())


def _are_open(keys: Keys, users: list[str], values: list[Any]) -> pa.Array:
    of = _keys(keys, users, values)
    return pa.array(
        [v is not None and is_sealed_by(of[u], v) for u, v in zip(users, values, strict=True)],
        pa.bool_(),
    )


def _seal_hashes(keys: Keys, users: list[str], values: list[Any]) -> pa.Array:
    of: dict[str, UserKey] = _keys(keys, users, values, make=True)
    sealed = [
        None if v is None else seal_hash(of[u], v) for u, v in zip(users, values, strict=True)
    ]
    return pa.array(sealed, pa.string())


def _open_hashes(keys: Keys, users: list[str], values: list[Any]) -> pa.Array:
    of = _keys(keys, users, values)
    opened = [
        None if v is None else unseal_hash(of[u], v) for u, v in zip(users, values, strict=True)
    ]
    return pa.array(opened, pa.string())


def _about(user: str, about: str) -> bytes:
    return f"{user}\n{about}".encode()
