"""What a table and a column are: names, types, units, keys and meanings, from which all else derives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

UTC_TIMESTAMP: Final = pl.Datetime("us", "UTC")

_POLARS: Final[dict[str, pl.DataType]] = {
    "VARCHAR": pl.String(),
    "JSON": pl.String(),
    "BLOB": pl.Binary(),
    "BOOLEAN": pl.Boolean(),
    "SMALLINT": pl.Int16(),
    "INTEGER": pl.Int32(),
    "BIGINT": pl.Int64(),
    "DOUBLE": pl.Float64(),
    "DATE": pl.Date(),
    "TIME": pl.Time(),
    "TIMESTAMP": pl.Datetime("us"),
    "TIMESTAMPTZ": UTC_TIMESTAMP,
    "TINYINT[]": pl.List(pl.Int8()),
    "VARCHAR[]": pl.List(pl.String()),
    "TIMESTAMPTZ[]": pl.List(UTC_TIMESTAMP),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: DuckDB type, unit and meaning.

    An internal one is not published; one that is filled in stands in no frame that is inserted.
    """

    name: str
    type: str
    description: str
    unit: str = ""
    required: bool = False
    internal: bool = False
    filled_in: bool = False

    @property
    def comment(self) -> str:
        """The description with the unit, as it stands in the database and in the docs."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its key, its physical partitioning and its columns."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partitioned_by: str = ""
    sorted_by: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names, in table order."""
        return tuple(column.name for column in self.columns)

    @property
    def published(self) -> tuple[Column, ...]:
        """The columns that analysts get."""
        return tuple(column for column in self.columns if not column.internal)

    @property
    def schema(self) -> pl.Schema:
        """The polars schema of a frame that may be inserted as it is."""
        return pl.Schema({c.name: _POLARS[c.type] for c in self.columns if not c.filled_in})

    @property
    def stored_columns(self) -> list[tuple[str, str]]:
        """(name, type) as DuckLake stores them: JSON is text there."""
        return [(c.name, "VARCHAR" if c.type == "JSON" else c.type) for c in self.columns]


def text(name: str, description: str, *, required: bool = False, internal: bool = False) -> Column:
    """Text."""
    return Column(name, "VARCHAR", description, required=required, internal=internal)


def instant(name: str, description: str, *, required: bool = False) -> Column:
    """An instant in UTC."""
    return Column(name, "TIMESTAMPTZ", description, "UTC instant", required=required)


def wall_time(name: str, description: str) -> Column:
    """What a clock at the place showed."""
    return Column(name, "TIMESTAMP", description, "local wall time")


def seconds(name: str, description: str) -> Column:
    """A duration in whole seconds."""
    return Column(name, "INTEGER", description, "s")


def fraction(name: str, description: str) -> Column:
    """A share from 0 to 1."""
    return Column(name, "DOUBLE", description, "fraction 0-1")


def count(name: str, description: str, *, required: bool = False) -> Column:
    """How many."""
    return Column(name, "INTEGER", description, "count", required=required)


def flag(name: str, description: str, *, required: bool = False) -> Column:
    """True or false."""
    return Column(name, "BOOLEAN", description, required=required)
