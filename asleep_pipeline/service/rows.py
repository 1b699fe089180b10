"""From rows of a connection to the structs of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import duckdb
import msgspec

_T = TypeVar("_T")


def read_rows(
    con: duckdb.DuckDBPyConnection, kind: type[_T], sql: str, values: Mapping[str, Any]
) -> list[_T]:
    """What a SELECT finds; its columns have the names of the struct's fields.

    Instants must be given as naive UTC or as text: fetching them as they are would need pytz.
    """
    found = con.execute(sql, dict(values))
    names = [column[0] for column in found.description or []]
    return [msgspec.convert(dict(zip(names, row, strict=True)), kind) for row in found.fetchall()]
