"""DuckDB with the extensions that were installed with the package: nothing is downloaded, ever."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import duckdb

from asleep_pipeline.errors import LakeError

# Two threads on the two halves of one core take twice the CPU time, twice the memory, and as long.
_THREADS = max(1, (os.cpu_count() or 1) // 2)
_EXTENSIONS = ("ducklake", "sqlite_scanner")
# What DuckDB brings itself can only decrypt.
_CIPHERS = "httpfs"


def connect(path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection, in UTC, that can attach the lake.

    Args:
        path: A DuckDB file to open for writing; in memory when None.

    Raises:
        LakeError: An extension package is missing or made for another DuckDB.
    """
    con = duckdb.connect(str(path) if path else ":memory:")
    con.execute("SET TimeZone = 'UTC'")
    con.execute(f"SET threads = {_THREADS}")
    # It would keep files that are read once, and those that are gone, for as long as the process lives.
    con.execute("SET enable_external_file_cache = false")
    for name in _EXTENSIONS:
        con.load_extension(str(_extension_file(name)))
    return con


def load_ciphers(con: duckdb.DuckDBPyConnection) -> None:
    """Let a DuckDB write encrypted files, and encrypt what it swaps out of memory.

    Any DuckDB can read them by their key.

    Raises:
        LakeError: The extension package is missing or made for another DuckDB.
    """
    con.load_extension(str(_extension_file(_CIPHERS)))
    con.execute("SET temp_file_encryption = true")


def quoted(text: object) -> str:
    """A text as a literal of SQL, where a parameter cannot stand."""
    return "'" + str(text).replace("'", "''") + "'"


def _extension_file(name: str) -> Path:
    package = f"duckdb_extension_{name}"
    spec = find_spec(package)
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}"
        file = folder / f"{name}.duckdb_extension"
        if file.exists():
            return file
    raise LakeError(
        f"DuckDB {duckdb.__version__} finds no extension {name} in the package {package}.",
        fix=f"Install {package.replace('_', '-')}=={duckdb.__version__} beside duckdb.",
    )
