"""Whether anything of a person is left in a folder: every file, byte by byte and by what it holds.

Each file is read once as it is, which finds what lies in pages and blocks that nothing points to. What is
compressed or split over pages is looked at a second time through its own reader: Parquet, DuckDB, SQLite,
gzip and zstd. A few MiB are in memory at a time, and the time grows with the bytes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from asleep_pipeline.privacy.apart import apart, asked
from asleep_pipeline.privacy.keys import keys_of
from asleep_pipeline.privacy.traces import Traces
from asleep_pipeline.warehouse.files import attach_readable

_PIECE: Final = 4 * 1024 * 1024
_ROWS: Final = 2_000
_MAGIC: Final = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something is left.

    Attributes:
        file: Path of the file below the folder, without what names the person.
        part: What of it: name, bytes, or a table or column; "unreadable" when it cannot be told.
    """

    file: str
    part: str


def scan(folder: Path, traces: Traces, *, except_for: Sequence[Path] = ()) -> list[Finding]:
    """Where traces of a person are left in the files of a folder.

    Args:
        folder: The data folder, with all folders in it.
        traces: What to look for.
        except_for: Files and folders that are not looked at.

    Raises:
        ErasureError: It could not be searched.
    """
    found = apart("scan", traces, [folder, *except_for], data_dir=folder)
    return [Finding(**each) for each in found]


def findings(folder: Path, traces: Traces, except_for: Iterable[Path]) -> Iterator[Finding]:
    """`scan` in this process."""
    left_out = set(except_for)
    for path in _files(folder, left_out):
        name = str(path.relative_to(folder))
        shown = traces.without(name.encode(), b"...").decode()
        for part in _parts(path, name, traces):
            yield Finding(shown, part)


def _files(folder: Path, left_out: Collection[Path]) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = Path(entry.path)
            if path in left_out:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(path, left_out)
            elif entry.is_file(follow_symlinks=False):
                yield path


def _parts(path: Path, name: str, traces: Traces) -> Iterator[str]:
    """What of a file bears traces."""
    if traces.are_in(name.encode()):
        yield "name"
    try:
        if is_in_bytes(path, traces):
            yield "bytes"
        yield from _inside(path, traces)
    except FileNotFoundError:
        # Somebody has removed it meanwhile, and so has it been done.
        return
    except (OSError, duckdb.Error, sqlite3.Error, pa.ArrowException):
        yield "unreadable"


def is_in_bytes(path: Path, traces: Traces) -> bool:
    """Whether traces stand in the bytes of a file as they are."""
    with path.open("rb") as file:
        return _is_in_stream(file, traces)


def _is_in_stream(file: BinaryIO | Any, traces: Traces) -> bool:
    overlap = traces.longest - 1
    before = b""
    while piece := file.read(_PIECE):
        data = before + piece
        if traces.are_in(data):
            return True
        before = data[-overlap:] if overlap else b""
    return False


def _inside(path: Path, traces: Traces) -> Iterator[str]:
    with path.open("rb") as file:
        magic = file.read(_MAGIC)
    for begins, at, look in _READERS:
        if magic[at:].startswith(begins):
            yield from look(path, traces)


def _in_parquet(path: Path, traces: Traces) -> Iterator[str]:
    found: set[str] = set()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS, use_threads=False):
            found |= _columns(batch, traces)
    yield from sorted(found)


def _in_duckdb(path: Path, traces: Traces) -> Iterator[str]:
    keys = next(filter(None, map(keys_of, path.parents)), None)
    with duckdb.connect(config={"threads": 1}) as con:
        attach_readable(con, path, "searched", keys)
        con.execute("USE searched")
        tables = con.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() "
            "JOIN duckdb_tables() USING (database_name, schema_name, table_name) "
            "WHERE data_type LIKE '%VARCHAR%' OR data_type LIKE '%BLOB%' OR data_type LIKE '%JSON%' "
            "GROUP BY table_name ORDER BY table_name"
        ).fetchall()
        for table, columns in tables:
            named = ", ".join(f'"{column}"' for column in columns)
            reader = con.execute(f'SELECT {named} FROM "{table}"').to_arrow_reader(_ROWS)
            found: set[str] = set()
            for batch in reader:
                found |= _columns(batch, traces)
            yield from (f"{table}.{column}" for column in sorted(found))


def _columns(batch: Any, traces: Traces) -> set[str]:
    """The columns of an Arrow batch in which traces stand."""
    return {
        name
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if any(traces.are_among(values) for values in _texts(column))
    }


def _texts(column: Any) -> Iterator[Any]:
    """The texts and bytes that a column is made of, whatever it is nested in."""
    kind = column.type
    if any(is_text(kind) for is_text in _TEXTS):
        yield column
    elif pa.types.is_dictionary(kind):
        yield from _texts(column.dictionary)
    elif pa.types.is_map(kind):
        yield from _texts(column.keys)
        yield from _texts(column.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _texts(column.flatten())
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _texts(column.field(number))


def _in_sqlite(path: Path, traces: Traces) -> Iterator[str]:
    """What is longer than a page is split in the file."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as con:
        con.text_factory = bytes
        tables = con.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        for (table,) in tables.fetchall():
            name = table.decode()
            if any(
                traces.are_in(piece) for piece in _pieces(con.execute(f'SELECT * FROM "{name}"'))
            ):
                yield name


def _pieces(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """The values of rows, some MiB of them at a time."""
    piece, size = [], 0
    for row in rows:
        values = [value for value in row if isinstance(value, bytes)]
        piece += values
        size += sum(map(len, values))
        if size >= _PIECE:
            yield b"\n".join(piece)
            piece, size = [], 0
    yield b"\n".join(piece)


def _in_compressed(codec: str) -> Callable[[Path, Traces], Iterator[str]]:
    def look(path: Path, traces: Traces) -> Iterator[str]:
        with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, codec) as stream:
            if _is_in_stream(stream, traces):
                yield codec

    return look


_TEXTS: Final = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
_READERS: Final = (
    (b"PAR1", 0, _in_parquet),
    (b"DUCK", 8, _in_duckdb),
    (b"SQLite format 3\0", 0, _in_sqlite),
    (b"\x1f\x8b", 0, _in_compressed("gzip")),
    (b"\x28\xb5\x2f\xfd", 0, _in_compressed("zstd")),
)
"""How a file begins, at which byte, and what looks into it."""

if __name__ == "__main__":
    _traces, (_folder, *_left_out) = asked()
    print(json.dumps([asdict(f) for f in findings(_folder, _traces, _left_out)]))  # noqa: T201 -- its answer
