"""Reports over the API are those of the command line."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from asleep_pipeline.reports import Period, month_of, user_report, week_of
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline_tests.service.conftest import Client, Two, as_admin

WEEK, MONTH = date(2026, 4, 23), date(2026, 4, 1)


@pytest.fixture(scope="module")
def acme(two: Two) -> dict[str, str]:
    """The header of an admin of `acme`."""
    return as_admin(two, "acme")


@pytest.mark.parametrize(
    ("path", "period"),
    [("weekly/2026-04-23", week_of(WEEK)), ("monthly/2026-04", month_of(MONTH))],
)
def test_a_report_is_that_of_the_whole_file(
    client: Client, two: Two, acme: dict[str, str], path: str, period: Period
) -> None:
    """It needs no row of another organisation; only the newest night of anybody is one's own."""
    user_id = two.acme[1]
    said = client.get(f"/v1/users/{user_id}/reports/{path}", headers=acme)
    with read_warehouse(two.settings.warehouse_path) as con:
        whole = msgspec.to_builtins(user_report(con, user_id, period))
    told = said.json()
    assert whole["nights_observed"] > 0
    assert told | {"basis": whole["basis"]} == whole
    assert told["basis"]["published_at"] == whole["basis"]["published_at"]


def test_a_page_runs_and_loads_nothing(client: Client, two: Two, acme: dict[str, str]) -> None:
    """Who prefers HTML gets the page, under a policy that allows styles alone."""
    path = f"/v1/users/{two.acme[1]}/reports/weekly/2026-04-23"
    said = client.get(path, headers=acme | {"accept": "text/html"})
    assert said.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in said.headers["content-security-policy"]
    assert "script-src" not in said.headers["content-security-policy"]
    assert said.text.startswith("<!doctype html>")
    assert "<script" not in said.text


def test_a_known_report_is_not_made_again(client: Client, two: Two, acme: dict[str, str]) -> None:
    """The tag tells page and JSON apart."""
    path = f"/v1/users/{two.acme[1]}/reports/monthly/2026-04"
    tag = client.get(path, headers=acme).headers["etag"]
    assert client.get(path, headers=acme | {"if-none-match": tag}).status_code == 304
    page = client.get(path, headers=acme | {"if-none-match": tag, "accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["etag"] != tag


@pytest.mark.parametrize(
    "path", ["weekly/today", "weekly/1900-01-01", "monthly/2026-13", "monthly/0000-01"]
)
def test_there_is_no_report_of_what_is_no_period(
    client: Client, two: Two, acme: dict[str, str], path: str
) -> None:
    """Neither of a word nor of a month that no calendar has."""
    answer = client.get(f"/v1/users/{two.acme[0]}/reports/{path}", headers=acme)
    assert answer.status_code in {404, 422}
