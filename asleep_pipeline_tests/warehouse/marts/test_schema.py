"""Every mart and view in the published file is what `tables.py` says, down to units in names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asleep_pipeline.lake.columns import Column, Table
from asleep_pipeline.warehouse.marts.tables import MARTS, PARAMETERS
from asleep_pipeline.warehouse.views.tables import VIEWS
from asleep_pipeline_tests.hand_made import HandMade, hand_made

TABLES = (*MARTS, PARAMETERS, *VIEWS)

SUFFIX_OF = {
    "s": "_s",
    "min": "_min",
    "min from local midnight of the night date": "_min",
    "fraction 0-1": "_fraction",
    "1/h": "_per_h",
    "events/h": "_per_h",
    "UTC instant": "_at",
    "UTC instants": "_at",
    "local wall time": "_local",
    "cm": "_cm",
    "kg": "_kg",
    "kg/m2": "_kg_m2",
    "d": "_days",
}
OF_THE_TYPE = {"TIMESTAMPTZ": "_at", "TIMESTAMP": "_local"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """A file without any user."""
    with hand_made(tmp_path_factory.mktemp("schema")) as empty:
        empty.publish()
        yield empty


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_are_as_described(made: HandMade, table: Table) -> None:
    """Names in order, types, comments; views as well as tables."""
    rows = made.rows(
        """
        SELECT column_name, data_type, comment, is_nullable FROM duckdb_columns()
        WHERE table_name = $1 ORDER BY column_index
        """,
        table.name,
    )
    is_view = table in VIEWS
    assert [tuple(row.values()) for row in rows] == [
        (column.name, stored(column.type), column.comment, is_view or not column.required)
        for column in table.columns
    ]


def stored(of_type: str) -> str:
    """A type as the database spells it."""
    return of_type.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_and_views_say_what_they_are(made: HandMade, table: Table) -> None:
    """In the file itself, and each is there."""
    kind = "view" if table in VIEWS else "table"
    row = made.row(f"SELECT comment FROM duckdb_{kind}s() WHERE {kind}_name = $1", table.name)
    assert row["comment"] == table.description


@pytest.mark.parametrize("table", [t for t in TABLES if t.key], ids=lambda table: table.name)
def test_keys_are_columns(table: Table) -> None:
    """And what tables are sorted by."""
    assert set(table.key) | set(table.sorted_by) <= set(table.column_names)


NAMED_AS_SETTINGS = {"efficiency_weight", "consistency_weight", "duration_weight"}
DATES_AND_DAYS = {"start_date_local", "free_days"}


def test_units_stand_in_names() -> None:
    """A column of seconds ends with _s, one of instants with _at, and the other way round."""
    columns = {column.name: column for table in TABLES for column in table.columns}
    wrong = {name: column.comment for name, column in columns.items() if not ends_with_unit(column)}
    assert wrong.keys() == NAMED_AS_SETTINGS | DATES_AND_DAYS


def ends_with_unit(column: Column) -> bool:
    """Whether a name ends with the column's unit, and with no other."""
    wanted = SUFFIX_OF.get(column.unit) or OF_THE_TYPE.get(column.type)
    if wanted:
        return column.name.endswith(wanted)
    return not column.name.endswith(tuple(SUFFIX_OF.values()))
