"""Figures of groups tell of groups, and of nobody in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from asleep_pipeline.reports.model import OrganisationFigures
from asleep_pipeline.service.app import build_service
from asleep_pipeline.sleep.parameters import OwnParameters, Parameters
from asleep_pipeline_tests.service.conftest import Client, as_admin, serving
from asleep_pipeline_tests.service.crowd import COHORTS, MONDAY, Crowd, crowd

WEEKS = {"from": str(MONDAY), "to": "2026-03-31"}
QUANTILES = [
    name for name in OrganisationFigures.__struct_fields__ if "_p10" in name or "_p90" in name
]
MEDIANS = [
    name
    for name in OrganisationFigures.__struct_fields__
    if "median" in name and "jetlag" not in name
]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Organisations of 52, 6 and 4 people."""
    with crowd(tmp_path_factory.mktemp("crowd")) as made:
        yield made


@pytest.fixture(scope="module")
def api(many: Crowd) -> Iterator[Client]:
    """The API over them."""
    with serving(build_service(many.settings)) as made:
        yield made


def ask(api: Client, many: Crowd, org_id: str, path: str, **asked: str) -> Any:
    """An answer of the API."""
    answer = api.get(f"/v1/{path}", params=asked or WEEKS, headers=as_admin(many, org_id))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("period", ["week", "month"])
def test_what_is_told_is_what_the_mart_says(api: Client, many: Crowd, period: str) -> None:
    """All of an organisation in which everybody can hide."""
    months = {"from": "2026-03-01", "to": "2026-03-31"}
    told = ask(
        api, many, "large", f"organisation/{period}s", **(months if period == "month" else WEEKS)
    )
    sql = f"FROM mart_org_{period} WHERE org_id = 'large' ORDER BY {period}"
    rows = many.made.rows(sql)
    assert [one["date"] for one in told["periods"]] == [str(row[period]) for row in rows]
    for one, row in zip(told["periods"], rows, strict=True):
        assert one["is_suppressed"] == row["is_suppressed"]
        figures = one["figures"] or {}
        assert figures == {name: pytest.approx(row[name]) for name in figures}
    assert told["periods"][0]["figures"]["tst_p10_s"] > 0


def test_extremes_of_a_small_group_are_not_told(api: Client, many: Crowd) -> None:
    """Of six people neither the median nor a percentile, which one or two of them make."""
    week = ask(api, many, "small", "organisation/weeks")["periods"][0]
    assert week["figures"]["users"] == 6
    assert week["figures"]["tst_mean_s"] > 0
    assert {week["figures"][name] for name in (*QUANTILES, *MEDIANS)} == {None}
    assert week["figures"]["short_sleeper_fraction"] is None


def test_a_group_below_the_minimum_has_no_figure(api: Client, many: Crowd) -> None:
    """Not even how many they are."""
    for one in ask(api, many, "tiny", "organisation/weeks")["periods"]:
        assert one == {"date": one["date"], "is_suppressed": True, "figures": None}


def test_of_a_cohort_the_own_part_is_told(api: Client, many: Crowd) -> None:
    """By the same SELECT as the mart, whose figures are those of all organisations."""
    week = ask(api, many, "large", "cohorts/many/weeks")["periods"][0]
    row = many.made.row("FROM mart_cohort_week WHERE cohort = 'many' AND week = $1", MONDAY)
    own = many.made.row(
        "SELECT count(*) AS users, avg(tst_mean_s) AS tst FROM mart_user_week "
        "WHERE org_id = 'large' AND user_id < 'large-40' AND week = $1",
        MONDAY,
    )
    assert (week["figures"]["users"], row["users"]) == (40, 46)
    assert week["figures"]["tst_mean_s"] == pytest.approx(own["tst"])
    assert week["figures"]["tst_mean_s"] != pytest.approx(row["tst_mean_s"])
    # 40 people: five on either side of the median, but not below the 10th percentile.
    assert week["figures"]["tst_median_s"] is not None
    assert week["figures"]["tst_p10_s"] is None


@pytest.mark.parametrize("cohort", ["nearly all", "many but one", "few"])
def test_no_two_groups_differ_by_a_few(api: Client, many: Crowd, cohort: str) -> None:
    """One subtracted from the other would tell of these: the smaller one is not told."""
    for one in ask(api, many, "large", f"cohorts/{cohort}/weeks")["periods"]:
        assert one == {"date": one["date"], "is_suppressed": True, "figures": None}


def test_a_cohort_that_is_the_whole_organisation_tells_nothing_new(
    api: Client, many: Crowd
) -> None:
    """So it may be told."""
    week = ask(api, many, "small", "cohorts/many/weeks")["periods"][0]
    assert week == ask(api, many, "small", "organisation/weeks")["periods"][0]


def test_cohorts_are_those_with_own_people(api: Client, many: Crowd) -> None:
    """Page by page; how many these are is told of enough of them."""
    names, asked = {}, {"limit": "1"}
    while True:
        page = ask(api, many, "large", "cohorts", **asked)
        (one,) = page["items"]
        names[one["cohort"]] = one["users"]
        if not page["next_cursor"]:
            break
        asked["cursor"] = page["next_cursor"]
    assert names == {"few": None, "many": 40, "many but one": 39, "nearly all": 50}
    assert names.keys() < COHORTS.keys()


def test_a_cohort_without_own_people_is_unknown(api: Client, many: Crowd) -> None:
    """As one that nobody has defined."""
    answers = [
        api.get(f"/v1/cohorts/{name}/weeks", params=WEEKS, headers=as_admin(many, "large"))
        for name in ("others only", "nothing", "many' OR true --")
    ]
    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize(
    "path", ["organisation/weeks", "organisation/months", "cohorts/many/weeks"]
)
def test_ranges_have_a_limit(api: Client, many: Crowd, path: str) -> None:
    """And are needed."""
    headers = as_admin(many, "large")
    long = {"from": "2015-01-01", "to": "2026-01-01"}
    assert api.get(f"/v1/{path}", params=long, headers=headers).status_code == 422
    assert api.get(f"/v1/{path}", headers=headers).status_code in {400, 422}


def test_an_organisation_may_have_a_minimum_of_its_own(api: Client, many: Crowd) -> None:
    """For its figures, its cohorts, and its de-identified rows."""
    header, sql = as_admin(many, "small"), {"sql": "SELECT count(*) FROM nights"}
    many.made.publish(Parameters(own={"small": OwnParameters(min_group_size=7)}))
    try:
        week = ask(api, many, "small", "organisation/weeks")["periods"][0]
        assert week["is_suppressed"]
        assert ask(api, many, "small", "cohorts/many/weeks")["periods"][0]["is_suppressed"]
        assert ask(api, many, "small", "cohorts", limit="9")["items"][0]["users"] is None
        assert api.post("/v1/query", json=sql, headers=header).json()["rows"] == [[0]]
        assert ask(api, many, "large", "cohorts/many/weeks")["periods"][0]["figures"]
    finally:
        many.made.publish()
    assert api.post("/v1/query", json=sql, headers=header).json()["rows"] == [[102]]
