"""Every mart, described once: DDL, comments, documentation and export derive from `MARTS`."""

from __future__ import annotations

from typing import Final

from asleep_pipeline.lake.columns import (
    Column,
    Table,
    count,
    flag,
    fraction,
    instant,
    seconds,
    text,
    wall_time,
)
from asleep_pipeline.lake.tables import DURATIONS, RATIOS, STAT_COLUMNS

WINDOWS_DAYS: Final = (7, 14, 30)
"""Lengths of the rolling windows of `fct_user_day`."""


def _mean_s(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "s")


def _clock(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "min from local midnight of the night date")


def _minutes(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "min")


def _per_hour(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "1/h")


def _points(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "0-100")


STAT_SUFFIXES: Final = (
    {c.name: "_s" for c in DURATIONS}
    | {c.name: "_fraction" for c in RATIOS}
    | {"longest_waso": "_s", "sleep_cycle": "_s"}
    | {"sleep_time": "_at", "wake_time": "_at", "sleep_cycle_time": "_at"}
    | {"breathing_index": "_per_h"}
)
API_COLUMNS: Final = {c.name: f"api_{c.name}{STAT_SUFFIXES.get(c.name, '')}" for c in STAT_COLUMNS}
"""Name in `fct_session` of each of the API's statistics."""

STAGES: Final = ("wake", "light", "deep", "rem")
TRANSITIONS: Final = tuple(f"{a}_to_{b}" for a in STAGES for b in STAGES if a != b)

_USER = (
    text("user_id", "Asleep's user id", required=True),
    text("org_id", "Organisation of the user", required=True),
)

FCT_SESSION: Final = Table(
    "fct_session",
    "One row a session: our statistics from its stages beside the API's (api_*). Ours are NULL "
    "where there are no stages, and where nobody slept if they need sleep.",
    (
        text("session_id", "Asleep's session id", required=True),
        *_USER,
        text("state", "OPEN, CLOSED or COMPLETE", required=True),
        Column("night_date", "DATE", "Date of waking up; NULL while OPEN", "local"),
        Column("start_date_local", "DATE", "Date of the start", "local"),
        text("timezone", "Zone of the local columns"),
        text("timezone_source", "session, roster, organisation or default"),
        Column("utc_offset_start_min", "INTEGER", "UTC offset at the start", "min"),
        Column("utc_offset_end_min", "INTEGER", "UTC offset at the end", "min"),
        instant("utc_offset_changes_at", "When the clocks changed during the session, else NULL"),
        instant("started_at", "Session start", required=True),
        instant("ended_at", "Session end; NULL while OPEN"),
        instant("onset_at", "Sleep onset: start of the first epoch asleep"),
        instant("final_wake_at", "Final wake: end of the last epoch asleep"),
        instant("midpoint_at", "Middle between onset and final wake"),
        wall_time("started_local", "Session start"),
        wall_time("ended_local", "Session end"),
        wall_time("onset_local", "Sleep onset"),
        wall_time("final_wake_local", "Final wake"),
        wall_time("midpoint_local", "Middle between onset and final wake"),
        count("epochs", "Epochs of 30 s with a stage, unknown ones included"),
        Column("stage_levels", "INTEGER", "4, or 2 where light only means asleep; NULL unknown"),
        flag(
            "is_main_sleep",
            "Most sleep of user and night date, a tie to the earlier; poor quality comes last",
        ),
        flag("is_split_sleep", "At most 2 h before or after the main sleep: one night in parts"),
        flag("is_nap", "Slept more than 2 h from the main sleep; what overlaps it is neither"),
        flag("never_slept", "Has stages, and none of them is sleep"),
        seconds("tib_s", "Time in bed (TIB): session start to end"),
        seconds("recorded_s", "30 s for every epoch, the denominator of the efficiency"),
        seconds("spt_s", "Sleep period (SPT): onset to final wake, unknown epochs included"),
        seconds("tst_s", "Total sleep time (TST): epochs asleep"),
        seconds("waso_s", "Wake after sleep onset (WASO): wake within the sleep period"),
        seconds("sol_s", "Sleep onset latency (SOL): start to onset"),
        seconds("lps_s", "Latency to persistent sleep: start to the first 10 min without a break"),
        seconds("terminal_wake_s", "Final wake to the end of the last epoch"),
        seconds("light_latency_s", "Onset to the first light sleep; NULL if there was none"),
        seconds("deep_latency_s", "Onset to the first deep sleep; NULL if there was none"),
        seconds("rem_latency_s", "Onset to the first REM sleep; NULL if there was none"),
        seconds("wake_s", "Wake, before and after the sleep period too"),
        seconds("light_s", "Light sleep; NULL with 2 stage levels"),
        seconds("deep_s", "Deep sleep; NULL with 2 stage levels"),
        seconds("rem_s", "REM sleep; NULL with 2 stage levels"),
        seconds("unknown_s", "Epochs without a known stage"),
        fraction("light_of_tst_fraction", "Light sleep in proportion to TST"),
        fraction("deep_of_tst_fraction", "Deep sleep in proportion to TST"),
        fraction("rem_of_tst_fraction", "REM sleep in proportion to TST"),
        fraction("wake_of_spt_fraction", "WASO in proportion to the sleep period"),
        fraction("light_of_spt_fraction", "Light sleep in proportion to the sleep period"),
        fraction("deep_of_spt_fraction", "Deep sleep in proportion to the sleep period"),
        fraction("rem_of_spt_fraction", "REM sleep in proportion to the sleep period"),
        fraction("efficiency_fraction", "Sleep efficiency: TST in proportion to the recording"),
        fraction("maintenance_efficiency_fraction", "TST in proportion to the sleep period"),
        count("awakenings", "Runs of wake within the sleep period"),
        seconds("longest_wake_s", "Longest run of wake within the sleep period"),
        seconds("longest_sleep_s", "Longest run of sleep of any stage"),
        count("transitions", "Changes of stage within the sleep period"),
        _per_hour("fragmentation_index_per_h", "Transitions from sleep to wake an hour of TST"),
        count("cycles", "Sleep cycles: each ends with a REM cluster of at least 10 min"),
        _mean_s("mean_cycle_s", "Onset to the end of the last cycle, divided by the cycles"),
        *(count(name, f"Transitions from {name.replace('_to_', ' to ')}") for name in TRANSITIONS),
        seconds("snoring_s", "Snoring within the sleep period; NULL without snoring analysis"),
        fraction("snoring_of_spt_fraction", "Snoring in proportion to the sleep period"),
        count("snoring_episodes", "Runs of snoring within the sleep period"),
        _per_hour("snoring_index_per_h", "Runs of snoring an hour of TST"),
        seconds("unstable_breath_s", "Unstable breathing within the sleep period; NULL without"),
        fraction("unstable_breath_of_spt_fraction", "Unstable breathing, share of the period"),
        count("unstable_breath_episodes", "Runs of unstable breathing within the sleep period"),
        _per_hour("breathing_index_per_h", "Runs of unstable breathing an hour of TST"),
        Column("peculiarities", "VARCHAR[]", "What the API says is special about the session"),
        fraction("missing_data_fraction", "Share of the recording that was lost, says the API"),
        fraction("unknown_fraction", "Share of epochs without a known stage"),
        text("quality", "good, fair or poor: can the night be trusted; NULL without stages"),
        *(
            Column(API_COLUMNS[c.name], c.type, f"API: {c.description}", c.unit)
            for c in STAT_COLUMNS
        ),
    ),
    key=("user_id", "session_id"),
    sorted_by=("user_id", "started_at"),
)

FCT_NIGHT: Final = Table(
    "fct_night",
    "One row a user and night date (local date of waking): the main sleep, and all sleep of the "
    "date. Statistics without a word for it are those of the main sleep.",
    (
        *_USER,
        Column("night_date", "DATE", "Date of waking up", "local", required=True),
        text("main_session_id", "Session of the main sleep", required=True),
        text("timezone", "Zone of the main sleep"),
        flag("is_free_day", "Whether the user is free on the night date", required=True),
        flag(
            "is_night",
            "Whether it counts as a night: not of poor quality, and at least 3 h of sleep or some "
            "of it between midnight and 6:00 local. Rolling and grouped figures use these only",
            required=True,
        ),
        text("quality", "good, fair or poor"),
        flag("is_clock_change", "Whether the clocks changed during the main sleep", required=True),
        count("sessions", "Sessions with sleep on the date", required=True),
        count("split_sessions", "Further parts of the main sleep's night", required=True),
        count("naps", "Naps", required=True),
        seconds("sleep_24h_s", "All sleep of the date: main sleep, split parts and naps"),
        seconds("split_s", "Sleep in further parts of the night"),
        seconds("nap_s", "Sleep in naps"),
        seconds("tib_s", "Time in bed"),
        seconds("spt_s", "Sleep period"),
        seconds("tst_s", "Total sleep time"),
        seconds("sol_s", "Sleep onset latency"),
        seconds("waso_s", "Wake after sleep onset"),
        fraction("efficiency_fraction", "Sleep efficiency"),
        seconds("light_s", "Light sleep; NULL with 2 stage levels"),
        seconds("deep_s", "Deep sleep; NULL with 2 stage levels"),
        seconds("rem_s", "REM sleep; NULL with 2 stage levels"),
        count("awakenings", "Runs of wake within the sleep period"),
        count("cycles", "Sleep cycles"),
        fraction("snoring_of_spt_fraction", "Snoring, share of the sleep period"),
        _per_hour("breathing_index_per_h", "Runs of unstable breathing an hour of TST"),
        Column("api_sleep_index", "INTEGER", "Asleep's own score", "50-100 typical"),
        instant("started_at", "Session start", required=True),
        instant("ended_at", "Session end", required=True),
        _clock("bed_min", "Session start"),
        _clock("onset_min", "Sleep onset"),
        _clock("midpoint_min", "Middle between onset and final wake"),
        _clock("wake_min", "Final wake"),
        _clock("rise_min", "Session end"),
        seconds("sleep_need_s", "Sleep the user needs, of the roster or the setting"),
        seconds(
            "same_state_s",
            "Of valid_pair_s: asleep at both times or awake at both. With the night before, 24 h "
            "earlier on the local clock; days run from noon to noon",
        ),
        seconds("valid_pair_s", "How much of the day can be compared with the day before"),
    ),
    key=("user_id", "night_date"),
    sorted_by=("user_id", "night_date"),
)

_SCORE = (
    _points("score", "Sleep score: weighted sum of its three parts; NULL if one is NULL"),
    _points("score_efficiency", "Part: 100 times the mean sleep efficiency"),
    _points("score_consistency", "Part: 100 at no spread of bedtime and midpoint, 0 at the limit"),
    _points("score_duration", "Part: mean of the nights' points by their sleep duration"),
    text("score_version", "Formula and parameters that the score was made with"),
)
_REGULARITY = (
    _clock("bed_mean_min", "Circular mean of going to bed"),
    _minutes("bed_sd_min", "Circular standard deviation of going to bed"),
    _clock("wake_mean_min", "Circular mean of the final wake"),
    _minutes("wake_sd_min", "Circular standard deviation of the final wake"),
    _clock("midpoint_mean_min", "Circular mean of the midpoint of sleep"),
    _minutes("midpoint_sd_min", "Circular standard deviation of the midpoint of sleep"),
    Column("sri", "DOUBLE", "Sleep Regularity Index", "-100 to 100, 100 the same every day"),
    fraction("sri_valid_fraction", "Share of pairs 24 h apart that could be compared"),
    _clock("free_midpoint_min", "Circular mean midpoint on free days (MSF)"),
    _clock("work_midpoint_min", "Circular mean midpoint on work days (MSW)"),
    _minutes("social_jetlag_min", "Distance of the two midpoints on the clock"),
)
_MEANS = (
    _mean_s("tst_mean_s", "Mean total sleep time"),
    _mean_s("sleep_24h_mean_s", "Mean of all sleep of the date, naps included"),
    _mean_s("tib_mean_s", "Mean time in bed"),
    _mean_s("sol_mean_s", "Mean sleep onset latency"),
    _mean_s("waso_mean_s", "Mean wake after sleep onset"),
    fraction("efficiency_mean_fraction", "Mean sleep efficiency"),
    fraction("light_of_tst_mean_fraction", "Mean share of light sleep in TST"),
    fraction("deep_of_tst_mean_fraction", "Mean share of deep sleep in TST"),
    fraction("rem_of_tst_mean_fraction", "Mean share of REM sleep in TST"),
    Column("awakenings_mean", "DOUBLE", "Mean number of awakenings", "count"),
    fraction("snoring_of_spt_mean_fraction", "Mean share of snoring in the sleep period"),
    _per_hour("breathing_index_mean_per_h", "Mean breathing index"),
    count("short_nights", "Nights with less sleep than the setting short_sleep_s"),
)

FCT_USER_DAY: Final = Table(
    "fct_user_day",
    "One row a user, night date and window: the rolling nights that end with it. Everything is "
    "NULL below half of the window's nights; only the counts are not.",
    (
        *_USER,
        Column("night_date", "DATE", "Last night date of the window", "local", required=True),
        Column("window_days", "INTEGER", "7, 14 or 30", "d", required=True),
        count("nights_observed", "Nights in the window (fct_night.is_night)", required=True),
        count("nights_free", "Of these, on free days", required=True),
        count("nights_work", "Of these, on work days", required=True),
        *_MEANS,
        _mean_s("tst_sd_s", "Standard deviation (n - 1) of total sleep time"),
        _mean_s("sleep_need_s", "Sleep the user needs"),
        _mean_s("sleep_debt_s", "Sleep need minus all sleep, summed over the nights, at least 0"),
        *_REGULARITY,
        _clock(
            "chronotype_msfsc_min",
            "Chronotype: midpoint on free days, corrected for sleep debt (MSFsc)",
        ),
        *_SCORE,
    ),
    key=("user_id", "night_date", "window_days"),
    sorted_by=("user_id", "night_date"),
)

_SPREAD = (
    _mean_s("tst_median_s", "Median total sleep time"),
    _mean_s("tst_p10_s", "10th percentile of total sleep time"),
    _mean_s("tst_p90_s", "90th percentile of total sleep time"),
    _mean_s("sol_median_s", "Median sleep onset latency"),
    _mean_s("sol_p90_s", "90th percentile of sleep onset latency"),
    _mean_s("waso_median_s", "Median wake after sleep onset"),
    fraction("efficiency_median_fraction", "Median sleep efficiency"),
)


def _user_period(name: str, period: str, first: str) -> Table:
    return Table(
        name,
        f"One row a user and {period}. Regularity and score are NULL below half of the nights.",
        (
            *_USER,
            Column(period, "DATE", first, "local", required=True),
            count("nights", "Nights (fct_night.is_night)", required=True),
            count("nights_free", "Of these, on free days", required=True),
            count("nights_work", "Of these, on work days", required=True),
            count("naps", "Naps", required=True),
            *_MEANS,
            *_SPREAD,
            fraction("short_night_fraction", "Share of nights under the setting short_sleep_s"),
            *_REGULARITY,
            *_SCORE,
        ),
        key=("user_id", period),
        sorted_by=("user_id", period),
    )


def _group_period(name: str, group: Column, period: str, first: str) -> Table:
    of = "of the users' means"
    return Table(
        name,
        f"One row for each {group.description.lower()} and {period}, over users with at least half "
        "of its nights. Below the minimum group size everything is NULL.",
        (
            group,
            Column(period, "DATE", first, "local", required=True),
            flag("is_suppressed", "Whether the group is too small to be shown", required=True),
            count("users", "Users with at least half of the nights"),
            count("nights", "Their nights"),
            _mean_s("tst_mean_s", f"Mean {of} of total sleep time"),
            _mean_s("tst_median_s", f"Median {of} of total sleep time"),
            _mean_s("tst_p10_s", f"10th percentile {of} of total sleep time"),
            _mean_s("tst_p90_s", f"90th percentile {of} of total sleep time"),
            _mean_s("sol_mean_s", f"Mean {of} of sleep onset latency"),
            _mean_s("sol_median_s", f"Median {of} of sleep onset latency"),
            _mean_s("sol_p90_s", f"90th percentile {of} of sleep onset latency"),
            _mean_s("waso_mean_s", f"Mean {of} of wake after sleep onset"),
            _mean_s("waso_median_s", f"Median {of} of wake after sleep onset"),
            _mean_s("waso_p90_s", f"90th percentile {of} of wake after sleep onset"),
            fraction("efficiency_mean_fraction", f"Mean {of} of sleep efficiency"),
            fraction("efficiency_median_fraction", f"Median {of} of sleep efficiency"),
            fraction("deep_of_tst_mean_fraction", f"Mean {of} of the share of deep sleep"),
            fraction("rem_of_tst_mean_fraction", f"Mean {of} of the share of REM sleep"),
            fraction("short_sleeper_fraction", "Share of users whose mean sleep in 24 h is short"),
            _clock("midpoint_mean_min", f"Circular mean {of} of the midpoint of sleep"),
            _minutes("bed_sd_median_min", "Median spread of bedtimes"),
            _minutes("midpoint_sd_median_min", "Median spread of midpoints"),
            _minutes("social_jetlag_median_min", "Median social jetlag"),
            Column("sri_mean", "DOUBLE", "Mean Sleep Regularity Index", "-100 to 100"),
            Column("sri_median", "DOUBLE", "Median Sleep Regularity Index", "-100 to 100"),
            _points("score_mean", "Mean sleep score"),
            _points("score_median", "Median sleep score"),
            _points("score_p10", "10th percentile of the sleep score"),
            _points("score_p90", "90th percentile of the sleep score"),
        ),
        key=(group.name, period),
        sorted_by=(group.name, period),
    )


_ORG = text("org_id", "Organisation", required=True)
_COHORT = text("cohort", "Cohort", required=True)
_MONDAY, _FIRST = "Monday of the week", "First day of the month"
USER_WEEK: Final = _user_period("mart_user_week", "week", _MONDAY)
USER_MONTH: Final = _user_period("mart_user_month", "month", _FIRST)
ORG_WEEK: Final = _group_period("mart_org_week", _ORG, "week", _MONDAY)
ORG_MONTH: Final = _group_period("mart_org_month", _ORG, "month", _FIRST)
COHORT_WEEK: Final = _group_period("mart_cohort_week", _COHORT, "week", _MONDAY)

ORGANISATION: Final = Table(
    "dim_organisation",
    "One row an organisation: its settings with the defaults filled in.",
    (
        _ORG,
        Column("free_days", "TINYINT[]", "Days off of its users without their own", "ISO weekday"),
        Column("min_group_size", "INTEGER", "Smaller groups of it are suppressed", "count"),
    ),
    key=("org_id",),
    sorted_by=("org_id",),
)

DIM_USER: Final = Table(
    "dim_user",
    "One row a user: the roster with the defaults filled in. Those who are gone stay.",
    (
        *_USER,
        text("timezone", "Home zone (IANA)"),
        Column("free_days", "TINYINT[]", "Days off, of the roster or the settings", "ISO weekday"),
        seconds("sleep_need_s", "Sleep the user needs, of the roster or the setting"),
        Column("birth_year", "INTEGER", "Year of birth"),
        text("gender", "male, female, non_binary, other or prefer_not_to_say"),
        Column("height_cm", "DOUBLE", "Height", "cm"),
        Column("weight_kg", "DOUBLE", "Weight", "kg"),
        Column("bmi_kg_m2", "DOUBLE", "Body mass index", "kg/m2"),
        flag("is_gone", "Whether the API says that the user is gone", required=True),
    ),
    key=("user_id",),
    sorted_by=("user_id",),
)

COHORT_MEMBER: Final = Table(
    "cohort_member",
    "Who is in which cohort, as of the last publication.",
    (_COHORT, text("user_id", "Asleep's user id", required=True)),
    key=("cohort", "user_id"),
    sorted_by=("cohort", "user_id"),
)

PARAMETERS: Final = Table(
    "mart_parameters",
    "The settings that the marts were made with, where an organisation has no own: one row.",
    (
        Column("free_days", "TINYINT[]", "Days off of users without their own", "ISO weekday"),
        seconds("sleep_need_s", "Sleep need of users without their own"),
        seconds("short_sleep_s", "A night with less sleep is short"),
        Column("min_group_size", "INTEGER", "Smaller groups are suppressed", "count"),
        fraction("efficiency_weight", "Weight of the score's part efficiency"),
        fraction("consistency_weight", "Weight of the score's part consistency"),
        fraction("duration_weight", "Weight of the score's part duration"),
        _minutes("consistency_limit_min", "Spread of bedtime and midpoint that gives 0 points"),
        Column(
            "duration_bands",
            "STRUCT(from_h DOUBLE, to_h DOUBLE, points DOUBLE)[]",
            "Points of a night by its sleep: the first band that holds it",
            "h",
        ),
        _points("duration_otherwise", "Points of a night outside of all bands"),
        text("score_version", "Formula and parameters of the score"),
    ),
)

MARTS: Final = (
    ORGANISATION,
    DIM_USER,
    COHORT_MEMBER,
    FCT_SESSION,
    FCT_NIGHT,
    FCT_USER_DAY,
    USER_WEEK,
    USER_MONTH,
    ORG_WEEK,
    ORG_MONTH,
    COHORT_WEEK,
)
"""Every mart, in the order in which they are built."""
