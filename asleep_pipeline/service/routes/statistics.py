"""Statistics of one user: averages, score, insights and trends."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, get
from litestar.params import FromPath, QueryParameter

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.service.admission import NEEDS, caller_of, warehouse_of
from asleep_pipeline.service.etags import stop_if_known
from asleep_pipeline.service.ranges import (
    BadRange,
    FirstDate,
    FirstDateOrNone,
    LastDate,
    LastDateOrNone,
    Zone,
    check_range,
    check_zone,
)
from asleep_pipeline.service.rows import read_rows
from asleep_pipeline.warehouse.averages import AverageStats, average_stats

_MOST_DAYS: Final = 3_660
"""Ten years."""
_MOST_INSIGHT_DAYS: Final = 92
_MOST_POINTS: Final = {"day": 366, "week": 7 * 260, "month": 31 * 120}
"""Most days of a trend, by its step."""

WindowDays = Annotated[
    Literal[7, 14, 30],
    QueryParameter(name="window_days", description="Length of the rolling window.", required=False),
]
Step = Annotated[
    Literal["day", "week", "month"],
    QueryParameter(name="by", description="One point for each.", required=False),
]


class ScorePart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the score: its points, 0 to 100, and how much of the whole it makes."""

    part: Literal["efficiency", "consistency", "duration"]
    points: float | None
    weight_fraction: float


class UserScore(msgspec.Struct, frozen=True, kw_only=True):
    """The score of the window that ends with the newest night.

    Attributes:
        night_date: Local date of that night; null when the user has no night.
        window_days: Length of the window.
        nights_observed: Nights in it.
        score: 0 to 100; null below half of the window's nights.
        parts: What it is made of.
        version: Formula and parameters; null without a score.
    """

    night_date: date | None
    window_days: int
    nights_observed: int
    score: float | None
    parts: list[ScorePart]
    version: str | None


class Insight(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that holds of the nights up to a date.

    Attributes:
        night_date: The last of these nights.
        rule: Its name.
        text: What is worth telling.
        evidence: The figures that it rests on, as the table `fct_user_day` has them.
    """

    night_date: date
    rule: str
    text: str
    evidence: dict[str, float | None]


class Insights(msgspec.Struct, frozen=True, kw_only=True):
    """Insights, the newest first."""

    insights: list[Insight]


class TrendPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a week, a month, or of the rolling window that ends with a night.

    Durations are in seconds, clock times and spreads in minutes (clock times from local midnight of the
    night date), fractions 0 to 1. Null is what was not measured, or rests on less than half of the nights.
    """

    date: date
    nights: int
    tst_mean_s: float | None
    sleep_24h_mean_s: float | None
    tib_mean_s: float | None
    sol_mean_s: float | None
    waso_mean_s: float | None
    efficiency_mean_fraction: float | None
    light_of_tst_mean_fraction: float | None
    deep_of_tst_mean_fraction: float | None
    rem_of_tst_mean_fraction: float | None
    awakenings_mean: float | None
    snoring_of_spt_mean_fraction: float | None
    breathing_index_mean_per_h: float | None
    short_nights: int | None
    bed_mean_min: float | None
    bed_sd_min: float | None
    wake_mean_min: float | None
    wake_sd_min: float | None
    midpoint_mean_min: float | None
    midpoint_sd_min: float | None
    sri: float | None
    social_jetlag_min: float | None
    score: float | None
    score_efficiency: float | None
    score_consistency: float | None
    score_duration: float | None


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A series of points in the order of their dates; what has no night has no point.

    Attributes:
        by: day, week or month.
        window_days: Length of the rolling window of each day; null of weeks and months.
        points: Their date is the night date, the Monday or the first of the month.
    """

    by: Literal["day", "week", "month"]
    window_days: int | None
    points: list[TrendPoint]


@get("/users/{user_id:str}/averages", opt={NEEDS: Permission.OWN}, sync_to_thread=True)
def averages(
    request: Request[Any, Any, Any],
    user_id: FromPath[str],
    first: FirstDate,
    last: LastDate,
    timezone: Zone = "UTC",
) -> AverageStats:
    """Averages over a period of up to ten years, as average-stats of the Asleep API has them."""
    check_range(first, last, most_days=_MOST_DAYS)
    check_zone(timezone)
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    with warehouse.of(caller_of(request).org_id) as con:
        return average_stats(con, user_id, first, last, timezone)


@get("/users/{user_id:str}/score", opt={NEEDS: Permission.OWN}, sync_to_thread=True)
def score(
    request: Request[Any, Any, Any], user_id: FromPath[str], window_days: WindowDays = 14
) -> UserScore:
    """The newest sleep score, with the parts that it is made of."""
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    with warehouse.of(caller_of(request).org_id) as con:
        values = {"user_id": user_id, "window_days": window_days}
        (found,) = read_rows(con, UserScore, _SCORE, values)
    return found


@get("/users/{user_id:str}/insights", opt={NEEDS: Permission.OWN}, sync_to_thread=True)
def insights(
    request: Request[Any, Any, Any],
    user_id: FromPath[str],
    first: FirstDateOrNone = None,
    last: LastDateOrNone = None,
) -> Insights:
    """What is worth telling: as of the newest night, or of every night of a range of up to 92 days."""
    if first and last:
        check_range(first, last, most_days=_MOST_INSIGHT_DAYS)
    elif first or last:
        raise BadRange("from, to: both, or none for the newest night.")
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    with warehouse.of(caller_of(request).org_id) as con:
        values = {"user_id": user_id, "first": first, "last": last}
        return Insights(insights=read_rows(con, Insight, _INSIGHTS, values))


@get("/users/{user_id:str}/trends", opt={NEEDS: Permission.OWN}, sync_to_thread=True)
def trends(
    request: Request[Any, Any, Any],
    user_id: FromPath[str],
    *,
    first: FirstDate,
    last: LastDate,
    by: Step = "day",
    window_days: WindowDays = 7,
) -> Trend:
    """Figures as a series: of up to a year of days, five years of weeks, or ten years of months."""
    check_range(first, last, most_days=_MOST_POINTS[by])
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    values: dict[str, Any] = {"user_id": user_id, "first": first, "last": last}
    if by == "day":
        values["window_days"] = window_days
    with warehouse.of(caller_of(request).org_id) as con:
        points = read_rows(con, TrendPoint, _TRENDS[by], values)
    return Trend(by=by, window_days=values.get("window_days"), points=points)


# A user without any night has no row in `fct_user_day`, and a score of nothing.
_SCORE: Final = """
WITH newest AS (
    SELECT * FROM fct_user_day
    WHERE user_id = $user_id AND window_days = $window_days
    ORDER BY night_date DESC
    LIMIT 1
)
SELECT
    night_date,
    $window_days::INTEGER AS window_days,
    coalesce(nights_observed, 0) AS nights_observed,
    score,
    [
        {'part': 'efficiency', 'points': score_efficiency, 'weight_fraction': efficiency_weight},
        {'part': 'consistency', 'points': score_consistency, 'weight_fraction': consistency_weight},
        {'part': 'duration', 'points': score_duration, 'weight_fraction': duration_weight}
    ] AS parts,
    newest.score_version AS version
FROM (SELECT COLUMNS('_weight$') FROM mart_parameters) AS weights
LEFT JOIN newest ON true
"""
_INSIGHTS: Final = """
SELECT night_date, rule, text, evidence
FROM insight
WHERE user_id = $user_id
    AND night_date BETWEEN
        coalesce($first, (SELECT max(night_date) FROM fct_user_day WHERE user_id = $user_id))
        AND coalesce($last, (SELECT max(night_date) FROM fct_user_day WHERE user_id = $user_id))
ORDER BY night_date DESC, rule
"""
_FIGURES: Final = ", ".join(TrendPoint.__struct_fields__[2:])
_TRENDS: Final = {
    "day": f"""
        SELECT night_date AS date, nights_observed AS nights, {_FIGURES}
        FROM fct_user_day
        WHERE user_id = $user_id
            AND window_days = $window_days
            AND night_date BETWEEN $first AND $last
        ORDER BY night_date
    """,
    **{
        step: f"""
            SELECT {step} AS date, nights, {_FIGURES}
            FROM mart_user_{step}
            WHERE user_id = $user_id AND {step} BETWEEN date_trunc('{step}', $first::DATE) AND $last
            ORDER BY {step}
        """
        for step in ("week", "month")
    },
}
ROUTES: Final = (averages, score, insights, trends)
