"""What single charts show, beyond that they render."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline import charts
from asleep_pipeline.charts.distributions import binned
from asleep_pipeline.charts.hatching import hatching
from asleep_pipeline_tests.charts.frames import FIRST, GROUPS, NIGHTS, RUNS, TREND


def rows_of(chart: charts.Chart, *columns: str) -> list[dict[str, Any]]:
    """The rows of a chart's frame that has these columns."""
    frames: dict[str, list[dict[str, Any]]] = json.loads(chart.to_json())["datasets"]
    return next(rows for rows in frames.values() if rows and set(columns) <= set(rows[0]))


def test_runs_that_touch_are_connected() -> None:
    """Steps lead from stage to stage, and not over a time of unknown stage."""
    lines = rows_of(charts.hypnogram(RUNS.filter(pl.col("stage") != "unknown")), "level_to")
    risers = [row for row in lines if row["from_min"] == row["to_min"]]
    assert [row["from_min"] for row in risers] == [23 * 60 + 50, 24 * 60 + 50, 27 * 60 + 50]


def test_clocks_may_be_put_back() -> None:
    """The night with an hour that comes twice is drawn."""
    times = ["2026-10-25 01:00", "2026-10-25 02:50", "2026-10-25 02:10", "2026-10-25 05:00"]
    runs = pl.DataFrame(
        {
            "started_local": times[:-1],
            "ended_local": times[1:],
            "stage": ["light", "unknown", "rem"],
        }
    ).with_columns(pl.col("started_local", "ended_local").str.to_datetime())
    svg = charts.to_svg(charts.hypnogram(runs), title="t", description="d")
    assert ">03:00</text>" in svg


@settings(derandomize=True, deadline=None)
@given(start=st.floats(0, 500), length=st.floats(0.5, 400), pitch=st.floats(1, 30))
def test_hatching_stays_inside(start: float, length: float, pitch: float) -> None:
    """Lines end where the unknown time ends, and within the chart."""
    lines = hatching(
        pl.DataFrame({"from_min": [start], "to_min": [start + length]}),
        pitch_min=pitch,
        bottom=3.6,
        top=-0.6,
    )
    times, levels = lines["from_min", "to_min"], lines["level", "level_to"]
    assert times.select(pl.all().is_between(start, start + length).all()).row(0) == (True, True)
    inside = levels.select(pl.all().is_between(-0.6 - 1e-6, 3.6 + 1e-6).all())
    assert inside.row(0) == (True, True)
    assert lines.height > length // pitch


def test_night_without_stages_is_one_block() -> None:
    """With 2 stage levels all sleep is stacked as asleep, with the same total."""
    rows = rows_of(charts.stage_stack(NIGHTS), "hours", "stage")
    by_night = Counter[str]()
    for row in rows:
        by_night[row["night"]] += round(row["hours"] * 3600)
    assert {row["stage"] for row in rows if row["night"] == "2026-03-03"} == {"wake", "asleep"}
    assert by_night["2026-03-02"] == 26_200
    assert by_night["2026-03-03"] == 26_900


def test_nights_that_are_missing_leave_gaps() -> None:
    """The axis has every date from the first to the last."""
    domain = charts.bed_to_wake(NIGHTS).to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert domain == [(FIRST + timedelta(days=n)).isoformat() for n in range(6)]


def test_evening_is_on_top() -> None:
    """Time runs downwards, over full hours around all nights."""
    scale = charts.bed_to_wake(NIGHTS).to_dict()["layer"][0]["encoding"]["y"]["scale"]
    assert scale == {"domain": [-120, 540], "nice": False, "reverse": True}


def test_free_days_are_explained_when_there_are_any() -> None:
    """A legend has no entry for what is not there."""
    work = NIGHTS.with_columns(is_free_day=False)
    said = [
        charts.to_svg(charts.bed_to_wake(nights), title="t", description="d")
        for nights in (NIGHTS, work)
    ]
    assert [">Free day</text>" in svg for svg in said] == [True, False]


def test_calendar_keeps_dates_without_a_value() -> None:
    """A night without a recording is an empty cell in its place."""
    days = NIGHTS.select("night_date", value=pl.col("tst_s") / 3600)
    cells = rows_of(charts.calendar(days), "weekday")
    assert [cell["weekday"] for cell in cells] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    assert [cell["value"] is None for cell in cells] == [False, False, True, False, True, False]
    assert {cell["week"] for cell in cells} == {"2026-03-02"}


def test_contributions_add_up() -> None:
    """The parts of a score are said together."""
    parts = pl.DataFrame({"part": ["a", "b"], "points": [50.0, 80.0], "weight": [0.6, 0.4]})
    svg = charts.to_svg(charts.score_parts(parts), title="t", description="d")
    assert "together 62.0" in svg


def test_trend_without_band_and_target_needs_no_legend() -> None:
    """One line is named by its axis."""
    bare = charts.trend(TREND.select("date", "value"), label="Sleep", unit="h")
    svg = charts.to_svg(bare, title="t", description="d")
    assert ">Sleep (h)</text>" in svg
    assert ">Sleep</text>" not in svg


def test_shares_of_each_group_add_up_to_one() -> None:
    """Groups of different sizes can be compared."""
    sizes = pl.concat([GROUPS, GROUPS.tail(3)])
    rows = rows_of(charts.distribution(sizes, label="Sleep", unit="h"), "share")
    for group in ("A & <b>", "Night shift"):
        shares = [row["share"] for row in rows if row["group"] == group]
        assert sum(shares) == pytest.approx(1)
        assert (shares[0], shares[-1]) == (0, 0)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_any_values_have_bins(values: list[float]) -> None:
    """Equal, tiny and huge values all lie in one of at most about 40 bins."""
    rows = pl.DataFrame({"group": ["a"] * len(values), "value": values})
    bins = binned(rows)
    assert bins["share"].sum() == pytest.approx(1)
    assert bins.height <= 40


def test_thousands_of_rows_are_drawn() -> None:
    """Two years of a raster are more rows than Altair takes by itself."""
    days = [date(2024, 1, 1) + timedelta(days=n // 8) for n in range(5_600)]
    rows = pl.DataFrame(
        {
            "day": days,
            "from_min": [n % 8 * 180.0 for n in range(5_600)],
            "to_min": [n % 8 * 180.0 + 60 for n in range(5_600)],
            "kind": ["asleep"] * 5_600,
        }
    )
    svg = charts.to_svg(charts.raster(rows, row=2), title="t", description="d")
    assert svg.count("<path") > 5_600
