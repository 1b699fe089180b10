"""What a report says, as typed values: their fields are the keys of the JSON, in this order.

Names carry their units: `_s` seconds, `_min` minutes (clock times from local midnight of the night
date, negative on the evening before), `_fraction` 0 to 1, `_per_h` times an hour, `_date` a local
date, `_at` a UTC instant, `_local` a wall time; scores are 0 to 100, counts are plain. What was not
measured is null. A figure's name and meaning are those of its column in the marts.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from asleep_pipeline.reports.period import Period


class UserFigures(Struct, frozen=True, kw_only=True):
    """The row of `mart_user_week` or `mart_user_month`."""

    nights: int
    nights_free: int
    nights_work: int
    naps: int
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
    tst_median_s: float | None
    tst_p10_s: float | None
    tst_p90_s: float | None
    sol_median_s: float | None
    sol_p90_s: float | None
    waso_median_s: float | None
    efficiency_median_fraction: float | None
    short_night_fraction: float | None
    bed_mean_min: float | None
    bed_sd_min: float | None
    wake_mean_min: float | None
    wake_sd_min: float | None
    midpoint_mean_min: float | None
    midpoint_sd_min: float | None
    sri: float | None
    sri_valid_fraction: float | None
    free_midpoint_min: float | None
    work_midpoint_min: float | None
    social_jetlag_min: float | None
    score: float | None
    score_efficiency: float | None
    score_consistency: float | None
    score_duration: float | None
    score_version: str | None


class OrganisationFigures(Struct, frozen=True, kw_only=True):
    """The row of `mart_org_week` or `mart_org_month`, of a group that is large enough."""

    users: int
    nights: int
    tst_mean_s: float | None
    tst_median_s: float | None
    tst_p10_s: float | None
    tst_p90_s: float | None
    sol_mean_s: float | None
    sol_median_s: float | None
    sol_p90_s: float | None
    waso_mean_s: float | None
    waso_median_s: float | None
    waso_p90_s: float | None
    efficiency_mean_fraction: float | None
    efficiency_median_fraction: float | None
    deep_of_tst_mean_fraction: float | None
    rem_of_tst_mean_fraction: float | None
    short_sleeper_fraction: float | None
    midpoint_mean_min: float | None
    bed_sd_median_min: float | None
    midpoint_sd_median_min: float | None
    social_jetlag_median_min: float | None
    sri_mean: float | None
    sri_median: float | None
    score_mean: float | None
    score_median: float | None
    score_p10: float | None
    score_p90: float | None


class UserSubject(Struct, frozen=True, kw_only=True):
    """Whose nights: the row of `dim_user`."""

    user_id: str
    org_id: str
    timezone: str | None
    free_days: list[int]
    sleep_need_s: int
    is_gone: bool


class OrganisationSubject(Struct, frozen=True, kw_only=True):
    """Whose people's nights."""

    org_id: str


class ScorePart(Struct, frozen=True, kw_only=True):
    """One part of the score: its points of 100, and what they weigh."""

    part: Literal["efficiency", "consistency", "duration"]
    points: float | None
    weight_fraction: float


class Score(Struct, frozen=True, kw_only=True):
    """The sleep score and what it is made of; of organisations, means over their people."""

    score: float | None
    parts: list[ScorePart]
    version: str


class UserComparison(Struct, frozen=True, kw_only=True):
    """The period before, and this one minus that one (clock times the short way round)."""

    period: Period
    figures: UserFigures | None
    change: dict[str, float | None]
    sleep_24h_s: list[int]
    """All sleep of each of its nights."""


class OrganisationComparison(Struct, frozen=True, kw_only=True):
    """The period before, and this one minus that one (clock times the short way round)."""

    period: Period
    is_suppressed: bool
    figures: OrganisationFigures | None
    change: dict[str, float | None]


class Insight(Struct, frozen=True, kw_only=True):
    """A rule that holds as of the last night, and the figures of `fct_user_day` it rests on."""

    rule: str
    text: str
    evidence: dict[str, float | None]
    night_date: date


class SharedInsight(Struct, frozen=True, kw_only=True):
    """Of how many people a rule holds; told only where that, and the others, are enough to hide in."""

    rule: str
    users: int
    users_fraction: float


class Quality(Struct, frozen=True, kw_only=True):
    """How far the sessions of the period can be trusted."""

    sessions: int
    good_sessions: int
    fair_sessions: int
    poor_sessions: int
    unjudged_sessions: int
    """Not finished yet, or without stages."""
    good_fraction: float | None
    fair_fraction: float | None
    poor_fraction: float | None
    unknown_mean_fraction: float | None
    """Of epochs without a known stage."""


class Night(Struct, frozen=True, kw_only=True):
    """The row of `fct_night`; figures of the period rest on those with `is_night`."""

    night_date: date
    main_session_id: str
    timezone: str | None
    is_night: bool
    is_free_day: bool
    is_clock_change: bool
    quality: str | None
    naps: int
    sleep_24h_s: int | None
    nap_s: int | None
    split_s: int | None
    tib_s: int | None
    tst_s: int | None
    sol_s: int | None
    waso_s: int | None
    efficiency_fraction: float | None
    light_s: int | None
    deep_s: int | None
    rem_s: int | None
    awakenings: int | None
    cycles: int | None
    snoring_of_spt_fraction: float | None
    breathing_index_per_h: float | None
    bed_min: float | None
    onset_min: float | None
    midpoint_min: float | None
    wake_min: float | None
    rise_min: float | None


class Sleep(Struct, frozen=True, kw_only=True):
    """One stretch of sleep: the night, a further part of it, or a nap."""

    night_date: date
    kind: Literal["night", "part", "nap"]
    onset_local: datetime
    final_wake_local: datetime
    tst_s: int


class StageRun(Struct, frozen=True, kw_only=True):
    """A stretch in one stage; `light` only means asleep unless there are 4 stage levels."""

    stage: Literal["unknown", "wake", "light", "deep", "rem"]
    started_local: datetime
    ended_local: datetime
    length_s: int


class Hypnogram(Struct, frozen=True, kw_only=True):
    """The stages of one night."""

    night_date: date
    stage_levels: int | None
    runs: list[StageRun]


class UserTrendPoint(Struct, frozen=True, kw_only=True):
    """One week or month of the last six months; nulls where it has no nights."""

    key: str
    start_date: date
    nights: int
    tst_mean_s: float | None
    tst_p10_s: float | None
    tst_p90_s: float | None
    efficiency_mean_fraction: float | None
    midpoint_mean_min: float | None
    sri: float | None
    score: float | None


class OrganisationTrendPoint(Struct, frozen=True, kw_only=True):
    """One week or month of the last six months; nulls where nobody has enough nights."""

    key: str
    start_date: date
    is_suppressed: bool
    users: int | None
    nights: int | None
    tst_mean_s: float | None
    tst_p10_s: float | None
    tst_p90_s: float | None
    efficiency_mean_fraction: float | None
    midpoint_mean_min: float | None
    sri_mean: float | None
    score_mean: float | None
    score_p10: float | None
    score_p90: float | None


class DurationBand(Struct, frozen=True, kw_only=True):
    """Points of a night with so many hours of sleep."""

    from_h: float
    to_h: float
    points: float


class Parameters(Struct, frozen=True, kw_only=True):
    """The settings that the marts were made with: the row of `mart_parameters`."""

    free_days: list[int]
    sleep_need_s: int
    short_sleep_s: int
    min_group_size: int
    efficiency_weight: float
    consistency_weight: float
    duration_weight: float
    consistency_limit_min: float
    duration_bands: list[DurationBand]
    duration_otherwise: float
    score_version: str


class Basis(Struct, frozen=True, kw_only=True):
    """What the numbers rest on."""

    lake_snapshot: int
    snapshot_at: datetime | None
    published_at: datetime | None
    pipeline_version: str
    tzdata_version: str | None
    last_night_date: date | None
    """The newest night of anybody."""
    parameters: Parameters


class UserReport(Struct, frozen=True, kw_only=True):
    """A week or month of one user."""

    report: Literal["user"] = "user"
    subject: UserSubject
    period: Period
    status: Literal["measured", "no_nights"]
    nights_possible: int
    nights_observed: int
    figures: UserFigures | None
    score: Score | None
    comparison: UserComparison
    best_night_date: date | None
    """Most points for its sleep, then highest efficiency, then earliest."""
    shortest_night_date: date | None
    """Least sleep in 24 h, then earliest."""
    insights: list[Insight]
    quality: Quality
    nights: list[Night]
    sleeps: list[Sleep]
    hypnograms: list[Hypnogram]
    """Of the best and the shortest night."""
    trend: list[UserTrendPoint]
    basis: Basis


class OrganisationReport(Struct, frozen=True, kw_only=True):
    """A week or month of an organisation, over its people with at least half of the nights.

    A group that is too small is `suppressed`: there is no figure then, quality and insights included.
    """

    report: Literal["organisation"] = "organisation"
    subject: OrganisationSubject
    period: Period
    status: Literal["measured", "suppressed", "no_nights"]
    users_possible: int | None
    """People on the roster of today, and those with enough nights who have left since."""
    nights_possible: int | None
    """Of those with enough nights."""
    nights_observed: int | None
    figures: OrganisationFigures | None
    score: Score | None
    comparison: OrganisationComparison
    insights: list[SharedInsight]
    quality: Quality | None
    trend: list[OrganisationTrendPoint]
    basis: Basis


Report = UserReport | OrganisationReport
