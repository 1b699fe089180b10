"""An organisation's connection holds its own rows, whatever is asked."""

from __future__ import annotations

import duckdb
import pytest

from asleep_pipeline.service.tenants import Warehouse
from asleep_pipeline.warehouse import publish
from asleep_pipeline_tests.service.conftest import Two


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
