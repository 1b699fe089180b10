"""An organisation's connection holds its own rows, whatever is asked."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

import duckdb
import pytest

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.service.tenants import Warehouse
from asleep_pipeline.sleep.parameters import OwnParameters, Parameters
from asleep_pipeline.warehouse import publish
from asleep_pipeline_tests.service.conftest import Two
from asleep_pipeline_tests.webhooks.nights_live import wait_for


def tables_of(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What is to be seen on a connection."""
    found = con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    return sorted({name for (name,) in found})


@pytest.fixture(scope="module")
def warehouse(two: Two) -> Warehouse:
    """The published file of two organisations."""
    return Warehouse(two.settings.warehouse_path)


def test_every_table_holds_the_own_users_only(two: Two, warehouse: Warehouse) -> None:
    """A query that does not mention the organisation gets nothing of another one."""
    with warehouse.of("acme") as con:
        for table in tables_of(con):
            columns = [row[0] for row in con.execute(f"DESCRIBE {table}").fetchall()]
            if "user_id" in columns:
                users = con.execute(f"SELECT DISTINCT user_id FROM {table}").fetchall()
                assert {user for (user,) in users} <= set(two.acme), table
            if "org_id" in columns:
                orgs = con.execute(f"SELECT DISTINCT org_id FROM {table}").fetchall()
                assert set(orgs) <= {("acme",)}, table
        nights = con.execute("SELECT count(DISTINCT user_id) FROM fct_night").fetchone()
        assert nights == (3,)


def test_what_tells_of_several_organisations_is_not_there(warehouse: Warehouse) -> None:
    """A cohort may hold users of all of them, so its figures are nobody's."""
    with warehouse.of("acme") as con, pytest.raises(duckdb.CatalogException):
        con.execute("FROM mart_cohort_week")


@pytest.mark.parametrize("org_id", ["nobody", "", "acme' OR true --", "organisation_0"])
def test_an_organisation_without_users_sees_nothing(warehouse: Warehouse, org_id: str) -> None:
    """Names are values, whatever they hold."""
    with warehouse.of(org_id) as con:
        assert con.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


def test_what_is_published_meanwhile_is_read_by_the_next(two: Two) -> None:
    """A connection goes on with its file, and the next one has the new file."""
    warehouse = Warehouse(two.settings.warehouse_path)
    with warehouse.of("acme") as old:
        before = old.execute("SELECT max(published_at) FROM load_info").fetchone()
        publish(two.world.lake, two.settings.warehouse_path, from_scratch=True)
        with warehouse.of("acme") as new:
            assert new.execute("SELECT max(published_at) FROM load_info").fetchone() != before
        assert old.execute("SELECT max(published_at) FROM load_info").fetchone() == before


def published_at(warehouse: Warehouse) -> object:
    """Which file a request reads."""
    with warehouse.of("acme") as con:
        return con.execute("SELECT max(published_at) FROM load_info").fetchone()


def test_the_next_file_is_opened_while_requests_go_on(two: Two) -> None:
    """No request waits for the opening; soon all of them read the new file."""
    warehouse = Warehouse(two.settings.warehouse_path)
    with warehouse.kept_ready():
        before = published_at(warehouse)
        publish(two.world.lake, two.settings.warehouse_path)
        wait_for(lambda: published_at(warehouse) != before)


def test_what_must_be_seen_at_once_is(two: Two) -> None:
    """Who has erased somebody lets every later request read what is left."""
    warehouse = Warehouse(two.settings.warehouse_path)
    with warehouse.kept_ready():
        before = published_at(warehouse)
        publish(two.world.lake, two.settings.warehouse_path)
        warehouse.catch_up()
        assert published_at(warehouse) != before


def test_a_file_that_is_gone_is_read_no_more(two: Two, tmp_path: Path) -> None:
    """A request after the end of a file is told so; one after another is published reads that."""
    path = Path(copyfile(two.settings.warehouse_path, tmp_path / "asleep.duckdb"))
    warehouse = Warehouse(path)
    with warehouse.kept_ready():
        assert published_at(warehouse)
        path.unlink()
        warehouse.catch_up()
        with pytest.raises(WarehouseError, match="There is no warehouse"):
            published_at(warehouse)
        copyfile(two.settings.warehouse_path, path)
        assert published_at(warehouse)


def test_rows_of_people_are_not_written_aside(warehouse: Warehouse) -> None:
    """A query that needs more memory than it may have fails, and leaves nothing on the disk."""
    with warehouse.of("acme") as con, pytest.raises(duckdb.OutOfMemoryException):
        con.execute("SELECT list(i || '') FROM range(100_000_000) AS many(i)")


def test_the_parameters_are_those_of_the_organisation(two: Two, tmp_path: Path) -> None:
    """A figure that asks how large a group must be asks for the caller's own organisation."""
    own = {"acme": OwnParameters(min_group_size=9, free_days=(5,))}
    path = tmp_path / "asleep.duckdb"
    publish(two.world.lake, path, parameters=Parameters(own=own))
    warehouse, sql = Warehouse(path), "SELECT min_group_size, free_days FROM mart_parameters"
    found = {}
    for org_id in ("acme", "duo", "nobody"):
        with warehouse.of(org_id) as con:
            found[org_id] = con.execute(sql).fetchall()
    assert found == {"acme": [(9, [5])], "duo": [(5, [6, 7])], "nobody": [(5, [6, 7])]}
