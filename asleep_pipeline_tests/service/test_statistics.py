"""Statistics of one user are those of the marts, and averages those of the API."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from typing import Any

import httpx
import pytest

from asleep_pipeline.extract.averages import pull_averages
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline.service.tenants import Warehouse
from asleep_pipeline.warehouse.averages import Averages, average_stats
from asleep_pipeline.zones.fallbacks import read_fallbacks
from asleep_pipeline_tests.service.conftest import Client, Two, as_admin
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY

ZONES = ("UTC", "Asia/Seoul", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe")
PERIODS = (
    (FIRST, TODAY),
    (FIRST - timedelta(days=70), TODAY),
    (date(2026, 4, 15), date(2026, 4, 15)),
    (date(2026, 4, 1), date(2026, 4, 30)),
    (TODAY + timedelta(days=1), TODAY + timedelta(days=9)),
)


@pytest.fixture(scope="module")
def acme(two: Two) -> dict[str, str]:
    """The header of an admin of `acme`."""
    return as_admin(two, "acme")


def said_by_api(two: Two, user_id: str, first: date, last: date, zone: str) -> dict[str, Any]:
    """The `result` of average-stats."""
    answer = httpx.get(
        f"{two.world.sim.base_url}/data/v1/users/{user_id}/average-stats",
        params={"start_date": str(first), "end_date": str(last)},
        headers={"x-api-key": two.world.sim.api_key, "timezone": zone},
    )
    result: dict[str, Any] = answer.raise_for_status().json()["result"]
    return result


def test_averages_are_those_of_the_api(client: Client, two: Two, acme: dict[str, str]) -> None:
    """Over whole, empty and one-day periods, in zones far apart, for everybody."""
    seen = set()
    for user_id, (first, last), zone in product(two.acme, PERIODS, ZONES):
        asked = {"from": str(first), "to": str(last), "timezone": zone}
        ours = client.get(f"/v1/users/{user_id}/averages", params=asked, headers=acme).json()
        theirs = said_by_api(two, user_id, first, last, zone)
        counts = {f"{name}_count": len(theirs.pop(f"{name}s")) for name in COUNTED}
        assert ours == theirs | counts
        seen.add(ours["slept_session_count"])
    assert {0} < seen


def test_averages_are_those_that_the_lake_holds(two: Two) -> None:
    """For every month and zone that was pulled."""
    months = (date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1))
    with two.world.lake.read() as con:
        fallbacks = read_fallbacks(con, {}, "UTC")
    for month in months:
        pull_averages(
            two.world.lake,
            two.world.clients(),
            month,
            shard=0,
            fallbacks=fallbacks,
            now=NOON,
            recompute_days=7,
        )
    normalise_averages(two.world.lake, shard=0)
    rows = two.world.lake.frame("SELECT * FROM average_stats").to_dicts()
    assert len({row["timezone"] for row in rows}) > 1
    warehouse = Warehouse(two.settings.warehouse_path)
    for row in rows:
        with warehouse.of(row["org_id"]) as con:
            span = (row["month"], row["window_end"], row["timezone"])
            ours = average_stats(con, row["user_id"], *span)
        assert ours.slept_session_count == row["slept_sessions"]
        for name in Averages.__struct_fields__:
            said = getattr(ours.average_stats, name, None)
            assert said == (row[name].isoformat() if name in CLOCKS and row[name] else row[name])


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"from": "2026-05-02", "to": "2026-05-01"}, "before"),
        ({"from": "2000-01-01", "to": "2026-05-01"}, "3660 days"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "1970-01-01"),
        ({"from": "2026-04-01", "to": "2026-05-01", "timezone": "Mars/Base"}, "zone"),
        ({"from": "2026-04-01", "to": "2026-05-01", "timezone": "asia/seoul"}, "zone"),
        ({"from": "2026-04-31", "to": "2026-05-01"}, "from: "),
    ],
)
def test_bad_periods_are_refused(
    client: Client, two: Two, acme: dict[str, str], asked: dict[str, str], word: str
) -> None:
    """With what is wrong."""
    answer = client.get(f"/v1/users/{two.acme[0]}/averages", params=asked, headers=acme)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


def test_the_score_is_that_of_the_newest_night(
    client: Client, two: Two, acme: dict[str, str]
) -> None:
    """Its parts weigh up to it."""
    said = client.get(f"/v1/users/{two.acme[0]}/score", headers=acme).json()
    newest = rows_of(
        two,
        "SELECT max(night_date), max_by(score, night_date) FROM fct_user_day "
        "WHERE user_id = $1 AND window_days = 14",
        two.acme[0],
    )
    assert (date.fromisoformat(said["night_date"]), said["score"]) == newest[0]
    weighed = sum(part["points"] * part["weight_fraction"] for part in said["parts"])
    assert weighed == pytest.approx(said["score"])


def test_insights_are_those_of_the_newest_night(
    client: Client, two: Two, acme: dict[str, str]
) -> None:
    """Or of every night of a range."""
    path = f"/v1/users/{two.acme[0]}/insights"
    newest = client.get(path, headers=acme).json()["insights"]
    every = client.get(path, params=whole(), headers=acme).json()["insights"]
    assert len({told["night_date"] for told in newest}) == 1
    assert newest == every[: len(newest)]
    sql = "SELECT count(*) FROM insight WHERE user_id = $1"
    assert [(len(every),)] == rows_of(two, sql, two.acme[0])
    assert client.get(path, params={"from": str(FIRST)}, headers=acme).status_code == 422


@pytest.mark.parametrize(
    ("by", "table"),
    [("day", "fct_user_day"), ("week", "mart_user_week"), ("month", "mart_user_month")],
)
def test_trends_are_the_marts(
    client: Client, two: Two, acme: dict[str, str], by: str, table: str
) -> None:
    """A point for each day, week or month that has a night, in their order."""
    path = f"/v1/users/{two.acme[0]}/trends"
    points = client.get(path, params=whole() | {"by": by}, headers=acme).json()["points"]
    when, only = ("night_date", "AND window_days = 7") if by == "day" else (by, "")
    sql = f"SELECT {when}, tst_mean_s, sri FROM {table} WHERE user_id = $1 {only} ORDER BY 1"
    said = [(date.fromisoformat(p["date"]), p["tst_mean_s"], p["sri"]) for p in points]
    assert said == rows_of(two, sql, two.acme[0])
    long = {"from": "1990-01-01", "to": "2026-05-01", "by": by}
    assert client.get(path, params=long, headers=acme).status_code == 422


@pytest.mark.parametrize(
    "what", ["averages", "score", "insights", "trends", "reports/monthly/2026-04"]
)
def test_others_users_are_unknown(
    client: Client, two: Two, acme: dict[str, str], what: str
) -> None:
    """Those of another organisation, and those whom nobody knows."""
    answers = [
        client.get(f"/v1/users/{user_id}/{what}", params=whole(), headers=acme)
        for user_id in (two.duo[0], "nobody")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].json() == answers[1].json()


def rows_of(two: Two, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What the organisation `acme` finds."""
    with Warehouse(two.settings.warehouse_path).of("acme") as con:
        return con.execute(sql, list(values)).fetchall()


def whole() -> dict[str, str]:
    """All nights, as a range."""
    return {"from": str(FIRST), "to": str(TODAY)}


COUNTED = ("slept_session", "never_slept_session")
CLOCKS = ("start_time", "end_time", "sleep_time", "wake_time")
