"""How the published files are opened, encrypted or not.

With encryption they are encrypted as a whole by DuckDB, by a key that `privacy.keys` keeps. Only who writes
one needs an extension; it comes with the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.disk import discard, sync
from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.engine import connect, load_ciphers, quoted
from asleep_pipeline.privacy.keys import Keys, keys_of

LIVE: Final = "live.duckdb"
"""The file beside a published one that has the same keys: that of sessions in progress."""


@contextmanager
def connected(path: Path, keys: Keys | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that writes a file, made when missing, and can attach the lake.

    The file is the database of its name without ending, and the connection's default.

    Raises:
        duckdb.Error: It cannot be opened, or is encrypted by an earlier key.
    """
    con = connect(None if keys else path)
    try:
        if keys:
            load_ciphers(con)
            con.execute(f"SET temp_directory = {quoted(f'{path}.tmp')}")
            _attach(con, path, path.stem, keys.file_keys()[0])
            con.execute(f'USE "{path.stem}"')
        yield con
    finally:
        con.close()


def file_key(path: Path) -> str | None:
    """The key by which a file of the data folder is to be encrypted; None without encryption."""
    keys = keys_of(path.parent)
    return keys.file_keys()[0] if keys else None


@contextmanager
def written(path: Path, key: str | None, *, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose default is a new file; closed, or let go of, afterwards.

    Raises:
        duckdb.Error: It cannot be made.
    """
    if key is None:
        with duckdb.connect(str(path), config={"threads": threads}) as con:
            yield con
        return
    con = _cipher(threads).cursor()
    try:
        _attach(con, path, path.stem, key)
        con.execute(f'USE "{path.stem}"')
        yield con
    finally:
        con.execute("USE memory")
        con.execute(f'DETACH DATABASE IF EXISTS "{path.stem}"')
        con.close()


@contextmanager
def read_beside(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> Iterator[None]:
    """A published file as a further database of a connection that writes another.

    Raises:
        duckdb.Error: It cannot be opened.
    """
    attach_published(con, path, name)
    try:
        yield
    finally:
        con.execute(f"DETACH {name}")


def write_anew(path: Path, keys: Keys | None, *, memory: str) -> None:
    """Copy what a file holds, since DuckDB leaves deleted rows in it, and take what it has swapped.

    With keys, a new one takes the place of the present one, by which nothing else is to be written then.

    Args:
        path: A file that nobody has open.
        keys: Of its data folder; it is encrypted by the present one.
        memory: Limit of memory, as DuckDB writes it.

    Raises:
        duckdb.Error: It cannot be read or written.
        OSError: The copy cannot be put in its place.
    """
    aside = path.with_name("anew.duckdb")
    discard(aside)
    with duckdb.connect(config={"memory_limit": memory, "temp_directory": f"{aside}.tmp"}) as con:
        if keys:
            load_ciphers(con)
        _attach(con, path, "earlier", keys.file_keys()[0] if keys else None, "READ_ONLY")
        _attach(con, aside, "anew", keys.renew_file_key() if keys else None)
        con.execute("COPY FROM DATABASE earlier TO anew")
    discard(path)
    sync(aside)
    aside.replace(path)


def drop_earlier_keys(path: Path) -> None:
    """Forget the earlier keys of published files, if none of these needs one any more.

    Args:
        path: The published file; that of sessions in progress lies beside it.
    """
    keys = keys_of(path.parent)
    if keys and not any(needs_earlier_key(file) for file in (path, path.with_name(LIVE))):
        keys.drop_file_keys_before(keys.file_keys()[0])


def needs_earlier_key(path: Path) -> bool:
    """Whether a published file is encrypted by another key than the present one."""
    keys = keys_of(path.parent)
    _, *earlier = keys.file_keys() if keys else [""]
    return path.exists() and any(_opens(path, key) for key in earlier)


def _opens(path: Path, key: str) -> bool:
    with duckdb.connect() as con:
        try:
            _attach(con, path, path.stem, key, "READ_ONLY")
        except duckdb.Error:
            return False
    return True


@cache
def _cipher(threads: int) -> duckdb.DuckDBPyConnection:
    """Kept for good: a DuckDB that can encrypt takes a tenth of a second to make."""
    con = duckdb.connect(config={"threads": threads})
    load_ciphers(con)
    return con


def opened(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection to a published file.

    Raises:
        ConfigurationError: The keys cannot be had.
        duckdb.Error: It cannot be opened, or by none of the keys.
    """
    if keys_of(path.parent) is None:
        return duckdb.connect(str(path), read_only=True)
    con = duckdb.connect()
    try:
        attach_published(con, path, path.stem)
        con.execute(f'USE "{path.stem}"')
    except BaseException:
        con.close()
        raise
    return con


def unopened(path: Path, error: duckdb.Error) -> WarehouseError:
    """What to say of a published file that cannot be opened, and what to do."""
    reason = str(error).splitlines()[0]
    lacks_key = "encrypted" in reason and keys_of(path.parent) is None
    return WarehouseError(
        f"The warehouse {path} cannot be opened: {reason}",
        fix="Set encryption_key_file to its file of master keys."
        if lacks_key
        else "Publish it again: `asleep-pipeline rebuild`.",
    )


def attach_published(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach a published file for reading, by whichever of the keys it was written with.

    One that was published before encryption was switched on, or by an earlier key, opens until the next
    publication takes its place.

    Args:
        con: Any connection.
        path: The file, directly in the data folder.
        name: Of the database then.

    Raises:
        ConfigurationError: The keys cannot be had.
        duckdb.Error: It cannot be opened, or by none of the keys.
    """
    attach_readable(con, path, name, keys_of(path.parent))


def attach_readable(
    con: duckdb.DuckDBPyConnection, path: Path, name: str, keys: Keys | None
) -> None:
    """`attach_published` of a file that lies anywhere, by the keys of its data folder."""
    if keys:
        # It could not encrypt what it swaps out, so it fails for want of memory instead.
        con.execute("SET temp_directory = ''")
    problems: list[duckdb.Error] = []
    for key in (*(keys.file_keys() if keys else ()), None):
        try:
            _attach(con, path, name, key, "READ_ONLY")
        except duckdb.Error as error:
            problems.append(error)
        else:
            return
    raise problems[0]


def _attach(
    con: duckdb.DuckDBPyConnection, path: Path, name: str, key: str | None, *options: str
) -> None:
    """Attach a DuckDB file; the key never stands in the statement, which errors may quote."""
    given = ", ".join([*options, *(["ENCRYPTION_KEY $1"] if key else [])])
    attach = f'ATTACH {quoted(path)} AS "{name}"'
    con.execute(f"{attach} ({given})" if given else attach, [key] if key else [])
