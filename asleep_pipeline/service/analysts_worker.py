"""The process that runs analysts' queries: it has their tables, and nothing else to lose.

Medians and the like hold their values outside of DuckDB's memory limit, so the limit that counts is that
of a process. This one is given tables as Arrow streams, answers queries one after the other, and has
neither files nor secrets. Messages are JSON after their length in eight bytes.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import IO, Any, Final

import duckdb
import msgspec
import pyarrow as pa  # type: ignore[import-untyped]

from asleep_pipeline.service.analysts_sql import TYPES, QueryRefused, check_sql
from asleep_pipeline.sleep import MACROS

MOST_ROWS: Final = 10_000
MOST_BYTES: Final = 8 * 1024 * 1024
"""Of an answer."""
_MOST_COLUMNS: Final = 200
_BATCH: Final = 1_000
_AGAIN_S: Final = 0.1
_HEAD: Final = 8
_MEMORY: Final = 256 * 1024 * 1024
"""What a query may need beyond the tables, as far as DuckDB counts it."""
_MOST_BEYOND: Final = 768 * 1024 * 1024
"""Beyond the tables the process gets no more than so many bytes."""
_NICE: Final = 10
# External access last: nothing can be attached afterwards.
_LOCKED: Final = """
SET threads = 1;
SET temp_directory = '';
SET max_temp_directory_size = '0B';
SET python_enable_replacements = false;
SET autoinstall_known_extensions = false;
SET autoload_known_extensions = false;
SET allow_community_extensions = false;
SET enable_external_access = false;
"""


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """The first message: names of the tables, whose streams follow in this order."""

    names: list[str]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A query.

    Attributes:
        sql: One statement.
        values: Its parameters, when the service asks itself; None for what an analyst says.
        longest_s: After so long it is ended.
    """

    sql: str
    values: dict[str, str | int] | None
    longest_s: float


class ResultColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of an answer, and its type in DuckDB."""

    name: str
    type: str


class QueryResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a query finds.

    Attributes:
        columns: In their order; two may have the same name.
        rows: Values in the order of the columns; null also stands for what is no finite number.
        has_more: Whether there are more rows than are given.
    """

    columns: list[ResultColumn]
    rows: list[list[Any]]
    has_more: bool


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: a result, or why there is none."""

    result: QueryResult | None = None
    refused: str | None = None


def send(pipe: IO[bytes], message: msgspec.Struct) -> None:
    """Write a message."""
    body = msgspec.json.encode(message)
    pipe.write(len(body).to_bytes(_HEAD) + body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """Read a message; None when nobody is there any more."""
    head = pipe.read(_HEAD)
    body = pipe.read(int.from_bytes(head)) if len(head) == _HEAD else b""
    return body or None


def main() -> None:
    """Take tables, then answer until nobody asks."""
    asked, said = sys.stdin.buffer, sys.stdout.buffer
    first = receive(asked)
    if first is None:
        return
    names = msgspec.json.decode(first, type=Tables).names
    con = _database(asked, names)
    _limit_memory()
    send(said, Told())
    while (message := receive(asked)) is not None:
        send(said, _answer(con, msgspec.json.decode(message, type=Ask), names))


def _database(streams: IO[bytes], names: list[str]) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(":memory:")
    con.execute("ATTACH ':memory:' AS held (COMPRESS)")
    con.execute(_LOCKED)
    con.execute(MACROS)
    for name in names:
        with pa.ipc.open_stream(streams) as stream:
            con.register("arriving", stream)
            con.execute(f"CREATE TABLE held.{name} AS FROM arriving")
            con.unregister("arriving")
        con.execute(f"CREATE VIEW {name} AS FROM held.{name}")
        # Rows in memory are compressed with this, and not before.
        con.execute("CHECKPOINT held")
    (held,) = con.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchone() or (0,)
    con.execute(f"SET memory_limit = '{(int(held) + _MEMORY) // 1024}KiB'")
    con.execute("SET lock_configuration = true")
    return con


def _limit_memory() -> None:
    """Let the process have no more than it has now and a bit, where the system knows such limits."""
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 -- not everywhere

    os.nice(_NICE)
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 -- no file of ours
        data_pages = int(statm.read().split()[5])
    most = data_pages * resource.getpagesize() + _MOST_BEYOND
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _answer(con: duckdb.DuckDBPyConnection, ask: Ask, names: list[str]) -> Told:
    try:
        return Told(result=_result(con, ask, names))
    except QueryRefused as error:
        return Told(refused=str(error))
    except duckdb.InterruptException:
        return Told(refused=f"The query took longer than {ask.longest_s:g} s and was ended.")
    except (duckdb.OutOfMemoryException, MemoryError):
        return Told(refused="The query needs too much memory.")
    except duckdb.Error as error:
        # Only the query and what may be seen anyway can be in it.
        return Told(refused=str(error).splitlines()[0][:300])


def _result(con: duckdb.DuckDBPyConnection, ask: Ask, names: list[str]) -> QueryResult:
    with _ended_after(con, ask.longest_s):
        if ask.values is None:
            check_sql(con, ask.sql, names)
        return _read(con.execute(ask.sql, ask.values))


@contextmanager
def _ended_after(con: duckdb.DuckDBPyConnection, longest_s: float) -> Iterator[None]:
    """Interrupt what runs on a connection, again and again, since a query that begins forgets of it."""
    done = threading.Event()

    def watch() -> None:
        wait_s = longest_s
        while not done.wait(wait_s):
            con.interrupt()
            wait_s = _AGAIN_S

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()


def _read(found: duckdb.DuckDBPyConnection) -> QueryResult:
    columns = [
        ResultColumn(name=name, type=str(kind)) for name, kind, *_ in found.description or []
    ]
    _check_columns(columns)
    rows: list[list[Any]] = []
    size = 0
    while len(rows) <= MOST_ROWS and (batch := found.fetchmany(_BATCH)):
        told = [[_plain(value) for value in row] for row in batch]
        size += len(msgspec.json.encode(told))
        if size > MOST_BYTES:
            raise QueryRefused(f"The answer is larger than {MOST_BYTES} bytes; ask for less.")
        rows.extend(told)
    return QueryResult(columns=columns, rows=rows[:MOST_ROWS], has_more=len(rows) > MOST_ROWS)


def _check_columns(columns: list[ResultColumn]) -> None:
    if len(columns) > _MOST_COLUMNS:
        raise QueryRefused(f"An answer has at most {_MOST_COLUMNS} columns.")
    for column in columns:
        if column.type.partition("(")[0] not in {*TYPES, '"NULL"'}:
            raise QueryRefused(f"A column has the type {column.type!r}, which cannot be given.")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):
        main()
