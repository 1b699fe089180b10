"""Every mart, described once: DDL, comments, documentation and export derive from `MARTS`."""

from __future__ import annotations

from typing import Final

from asleep_pipeline.lake.tables import DURATIONS, RATIOS, STAT_COLUMNS, Column, Table

WINDOWS_DAYS: Final = (7, 14, 30)
"""Lengths of the rolling windows of `fct_user_day`."""


def _text(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, "VARCHAR", description, required=required)


def _instant(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, "TIMESTAMPTZ", description, "UTC instant", required=required)


def _wall(name: str, description: str) -> Column:
    return Column(name, "TIMESTAMP", description, "local wall time")


def _seconds(name: str, description: str) -> Column:
    return Column(name, "INTEGER", description, "s")


def _mean_s(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "s")


def _clock(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "min from local midnight of the night date")


def _minutes(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "min")


def _fraction(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "fraction 0-1")


def _count(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, "INTEGER", description, "count", required=required)


def _per_hour(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "1/h")


def _flag(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, "BOOLEAN", description, required=required)


def _points(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "0-100")


_SUFFIXES: Final = (
    {c.name: "_s" for c in DURATIONS}
    | {c.name: "_fraction" for c in RATIOS}
    | {"longest_waso": "_s", "sleep_cycle": "_s"}
    | {"sleep_time": "_at", "wake_time": "_at", "sleep_cycle_time": "_at"}
    | {"breathing_index": "_per_h"}
)
API_COLUMNS: Final = {c.name: f"api_{c.name}{_SUFFIXES.get(c.name, '')}" for c in STAT_COLUMNS}
"""Name in `fct_session` of each of the API's statistics."""

STAGES: Final = ("wake", "light", "deep", "rem")
TRANSITIONS: Final = tuple(f"{a}_to_{b}" for a in STAGES for b in STAGES if a != b)

_USER = (
    _text("user_id", "Asleep's user id", required=True),
    _text("org_id", "Organisation of the user", required=True),
)

FCT_SESSION: Final = Table(
    "fct_session",
    "One row a session: our statistics from its stages beside the API's (api_*). Ours are NULL "
    "where there are no stages, and where nobody slept if they need sleep.",
    (
        _text("session_id", "Asleep's session id", required=True),
        *_USER,
        _text("state", "OPEN, CLOSED or COMPLETE", required=True),
        Column("night_date", "DATE", "Date of waking up; NULL while OPEN", "local"),
        Column("start_date_local", "DATE", "Date of the start", "local"),
        _text("timezone", "Zone of the local columns"),
        _text("timezone_source", "session, roster, organisation or default"),
        Column("utc_offset_start_min", "INTEGER", "UTC offset at the start", "min"),
        Column("utc_offset_end_min", "INTEGER", "UTC offset at the end", "min"),
        _instant("utc_offset_changes_at", "When the clocks changed during the session, else NULL"),
        _instant("started_at", "Session start", required=True),
        _instant("ended_at", "Session end; NULL while OPEN"),
        _instant("onset_at", "Sleep onset: start of the first epoch asleep"),
        _instant("final_wake_at", "Final wake: end of the last epoch asleep"),
        _instant("midpoint_at", "Middle between onset and final wake"),
        _wall("started_local", "Session start"),
        _wall("ended_local", "Session end"),
        _wall("onset_local", "Sleep onset"),
        _wall("final_wake_local", "Final wake"),
        _wall("midpoint_local", "Middle between onset and final wake"),
        _count("epochs", "Epochs of 30 s with a stage, unknown ones included"),
        Column("stage_levels", "INTEGER", "4, or 2 where light only means asleep; NULL unknown"),
        _flag("is_main_sleep", "Most sleep of user and night date, a tie to the earlier"),
        _flag("is_split_sleep", "Not the main sleep, and at most 2 h from it: one night in parts"),
        _flag("is_nap", "Slept, and neither the main sleep nor a part of its night"),
        _flag("never_slept", "Has stages, and none of them is sleep"),
        _seconds("tib_s", "Time in bed (TIB): session start to end"),
        _seconds("recorded_s", "30 s for every epoch, the denominator of the efficiency"),
        _seconds("spt_s", "Sleep period (SPT): onset to final wake, unknown epochs included"),
        _seconds("tst_s", "Total sleep time (TST): epochs asleep"),
        _seconds("waso_s", "Wake after sleep onset (WASO): wake within the sleep period"),
        _seconds("sol_s", "Sleep onset latency (SOL): start to onset"),
        _seconds("lps_s", "Latency to persistent sleep: start to the first 10 min without a break"),
        _seconds("terminal_wake_s", "Final wake to the end of the last epoch"),
        _seconds("light_latency_s", "Onset to the first light sleep; NULL if there was none"),
        _seconds("deep_latency_s", "Onset to the first deep sleep; NULL if there was none"),
        _seconds("rem_latency_s", "Onset to the first REM sleep; NULL if there was none"),
        _seconds("wake_s", "Wake, before and after the sleep period too"),
        _seconds("light_s", "Light sleep; NULL with 2 stage levels"),
        _seconds("deep_s", "Deep sleep; NULL with 2 stage levels"),
        _seconds("rem_s", "REM sleep; NULL with 2 stage levels"),
        _seconds("unknown_s", "Epochs without a known stage"),
        _fraction("light_of_tst_fraction", "Light sleep in proportion to TST"),
        _fraction("deep_of_tst_fraction", "Deep sleep in proportion to TST"),
        _fraction("rem_of_tst_fraction", "REM sleep in proportion to TST"),
        _fraction("wake_of_spt_fraction", "WASO in proportion to the sleep period"),
        _fraction("light_of_spt_fraction", "Light sleep in proportion to the sleep period"),
        _fraction("deep_of_spt_fraction", "Deep sleep in proportion to the sleep period"),
        _fraction("rem_of_spt_fraction", "REM sleep in proportion to the sleep period"),
        _fraction("efficiency_fraction", "Sleep efficiency: TST in proportion to the recording"),
        _fraction("maintenance_efficiency_fraction", "TST in proportion to the sleep period"),
        _count("awakenings", "Runs of wake within the sleep period"),
        _seconds("longest_wake_s", "Longest run of wake within the sleep period"),
        _seconds("longest_sleep_s", "Longest run of sleep of any stage"),
        _count("transitions", "Changes of stage within the sleep period"),
        _per_hour("fragmentation_index_per_h", "Transitions from sleep to wake an hour of TST"),
        _count("cycles", "Sleep cycles: each ends with a REM cluster of at least 10 min"),
        _mean_s("mean_cycle_s", "Onset to the end of the last cycle, divided by the cycles"),
        *(_count(name, f"Transitions from {name.replace('_to_', ' to ')}") for name in TRANSITIONS),
        _seconds("snoring_s", "Snoring within the sleep period; NULL without snoring analysis"),
        _fraction("snoring_of_spt_fraction", "Snoring in proportion to the sleep period"),
        _count("snoring_episodes", "Runs of snoring within the sleep period"),
        _per_hour("snoring_index_per_h", "Runs of snoring an hour of TST"),
        _seconds("unstable_breath_s", "Unstable breathing within the sleep period; NULL without"),
        _fraction("unstable_breath_of_spt_fraction", "Unstable breathing, share of the period"),
        _count("unstable_breath_episodes", "Runs of unstable breathing within the sleep period"),
        _per_hour("breathing_index_per_h", "Runs of unstable breathing an hour of TST"),
        Column("peculiarities", "VARCHAR[]", "What the API says is special about the session"),
        _fraction("missing_data_fraction", "Share of the recording that was lost, says the API"),
        _fraction("unknown_fraction", "Share of epochs without a known stage"),
        _text("quality", "good, fair or poor: can the night be trusted; NULL without stages"),
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
        _text("main_session_id", "Session of the main sleep", required=True),
        _text("timezone", "Zone of the main sleep"),
        _flag("is_free_day", "Whether the user is free on the night date", required=True),
        _flag(
            "is_night",
            "Whether it counts as a night: not of poor quality, and at least 3 h of sleep or some "
            "of it between midnight and 6:00 local. Rolling and grouped figures use these only",
            required=True,
        ),
        _text("quality", "good, fair or poor"),
        _flag("is_clock_change", "Whether the clocks changed during the main sleep", required=True),
        _count("sessions", "Sessions with sleep on the date", required=True),
        _count("split_sessions", "Further parts of the main sleep's night", required=True),
        _count("naps", "Naps", required=True),
        _seconds("sleep_24h_s", "All sleep of the date: main sleep, split parts and naps"),
        _seconds("split_s", "Sleep in further parts of the night"),
        _seconds("nap_s", "Sleep in naps"),
        _seconds("tib_s", "Time in bed"),
        _seconds("spt_s", "Sleep period"),
        _seconds("tst_s", "Total sleep time"),
        _seconds("sol_s", "Sleep onset latency"),
        _seconds("waso_s", "Wake after sleep onset"),
        _fraction("efficiency_fraction", "Sleep efficiency"),
        _seconds("light_s", "Light sleep; NULL with 2 stage levels"),
        _seconds("deep_s", "Deep sleep; NULL with 2 stage levels"),
        _seconds("rem_s", "REM sleep; NULL with 2 stage levels"),
        _count("awakenings", "Runs of wake within the sleep period"),
        _count("cycles", "Sleep cycles"),
        _fraction("snoring_of_spt_fraction", "Snoring, share of the sleep period"),
        _per_hour("breathing_index_per_h", "Runs of unstable breathing an hour of TST"),
        Column("api_sleep_index", "INTEGER", "Asleep's own score", "50-100 typical"),
        _instant("started_at", "Session start", required=True),
        _instant("ended_at", "Session end", required=True),
        _clock("bed_min", "Session start"),
        _clock("onset_min", "Sleep onset"),
        _clock("midpoint_min", "Middle between onset and final wake"),
        _clock("wake_min", "Final wake"),
        _clock("rise_min", "Session end"),
        _seconds("sleep_need_s", "Sleep the user needs, of the roster or the setting"),
        _seconds(
            "same_state_s",
            "Of valid_pair_s: asleep at both times or awake at both. With the night before, 24 h "
            "earlier on the local clock; days run from noon to noon",
        ),
        _seconds("valid_pair_s", "How much of the day can be compared with the day before"),
    ),
    key=("user_id", "night_date"),
    sorted_by=("user_id", "night_date"),
)

_SCORE = (
    _points("score", "Sleep score: weighted sum of its three parts; NULL if one is NULL"),
    _points("score_efficiency", "Part: 100 times the mean sleep efficiency"),
    _points("score_consistency", "Part: 100 at no spread of bedtime and midpoint, 0 at the limit"),
    _points("score_duration", "Part: mean of the nights' points by their sleep duration"),
    _text("score_version", "Formula and parameters that the score was made with"),
)
_REGULARITY = (
    _clock("bed_mean_min", "Circular mean of going to bed"),
    _minutes("bed_sd_min", "Circular standard deviation of going to bed"),
    _clock("wake_mean_min", "Circular mean of the final wake"),
    _minutes("wake_sd_min", "Circular standard deviation of the final wake"),
    _clock("midpoint_mean_min", "Circular mean of the midpoint of sleep"),
    _minutes("midpoint_sd_min", "Circular standard deviation of the midpoint of sleep"),
    Column("sri", "DOUBLE", "Sleep Regularity Index", "-100 to 100, 100 the same every day"),
    _fraction("sri_valid_fraction", "Share of pairs 24 h apart that could be compared"),
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
    _fraction("efficiency_mean_fraction", "Mean sleep efficiency"),
    _fraction("light_of_tst_mean_fraction", "Mean share of light sleep in TST"),
    _fraction("deep_of_tst_mean_fraction", "Mean share of deep sleep in TST"),
    _fraction("rem_of_tst_mean_fraction", "Mean share of REM sleep in TST"),
    Column("awakenings_mean", "DOUBLE", "Mean number of awakenings", "count"),
    _fraction("snoring_of_spt_mean_fraction", "Mean share of snoring in the sleep period"),
    _per_hour("breathing_index_mean_per_h", "Mean breathing index"),
    _count("short_nights", "Nights with less sleep than the setting short_sleep_s"),
)

FCT_USER_DAY: Final = Table(
    "fct_user_day",
    "One row a user, night date and window: the rolling nights that end with it. Everything is "
    "NULL below half of the window's nights; only the counts are not.",
    (
        *_USER,
        Column("night_date", "DATE", "Last night date of the window", "local", required=True),
        Column("window_days", "INTEGER", "7, 14 or 30", "d", required=True),
        _count("nights_observed", "Nights in the window (fct_night.is_night)", required=True),
        _count("nights_free", "Of these, on free days", required=True),
        _count("nights_work", "Of these, on work days", required=True),
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
    _fraction("efficiency_median_fraction", "Median sleep efficiency"),
)


def _user_period(name: str, period: str, first: str) -> Table:
    return Table(
        name,
        f"One row a user and {period}. Regularity and score are NULL below half of the nights.",
        (
            *_USER,
            Column(period, "DATE", first, "local", required=True),
            _count("nights", "Nights (fct_night.is_night)", required=True),
            _count("nights_free", "Of these, on free days", required=True),
            _count("nights_work", "Of these, on work days", required=True),
            _count("naps", "Naps", required=True),
            *_MEANS,
            *_SPREAD,
            _fraction("short_night_fraction", "Share of nights under the setting short_sleep_s"),
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
        f"One row a {group.name.removesuffix('_id')} and {period}, over users with at least half "
        "of its nights. Below the minimum group size everything is NULL.",
        (
            group,
            Column(period, "DATE", first, "local", required=True),
            _flag("is_suppressed", "Whether the group is too small to be shown", required=True),
            _count("users", "Users with at least half of the nights"),
            _count("nights", "Their nights"),
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
            _fraction("efficiency_mean_fraction", f"Mean {of} of sleep efficiency"),
            _fraction("efficiency_median_fraction", f"Median {of} of sleep efficiency"),
            _fraction("deep_of_tst_mean_fraction", f"Mean {of} of the share of deep sleep"),
            _fraction("rem_of_tst_mean_fraction", f"Mean {of} of the share of REM sleep"),
            _fraction("short_sleeper_fraction", "Share of users whose mean TST is short"),
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


_ORG = _text("org_id", "Organisation", required=True)
_COHORT = _text("cohort", "Cohort", required=True)
_MONDAY, _FIRST = "Monday of the week", "First day of the month"
USER_WEEK: Final = _user_period("mart_user_week", "week", _MONDAY)
USER_MONTH: Final = _user_period("mart_user_month", "month", _FIRST)
ORG_WEEK: Final = _group_period("mart_org_week", _ORG, "week", _MONDAY)
ORG_MONTH: Final = _group_period("mart_org_month", _ORG, "month", _FIRST)
COHORT_WEEK: Final = _group_period("mart_cohort_week", _COHORT, "week", _MONDAY)

DIM_USER: Final = Table(
    "dim_user",
    "One row a user: the roster with the defaults filled in. Those who are gone stay.",
    (
        *_USER,
        _text("timezone", "Home zone (IANA)"),
        Column("free_days", "TINYINT[]", "Days off, of the roster or the setting", "ISO weekday"),
        _seconds("sleep_need_s", "Sleep the user needs, of the roster or the setting"),
        Column("birth_year", "INTEGER", "Year of birth"),
        _text("gender", "male, female, non_binary, other or prefer_not_to_say"),
        Column("height_cm", "DOUBLE", "Height", "cm"),
        Column("weight_kg", "DOUBLE", "Weight", "kg"),
        Column("bmi_kg_m2", "DOUBLE", "Body mass index", "kg/m2"),
        _flag("is_gone", "Whether the API says that the user is gone", required=True),
    ),
    key=("user_id",),
    sorted_by=("user_id",),
)

COHORT_MEMBER: Final = Table(
    "cohort_member",
    "Who is in which cohort, as of the last publication.",
    (_COHORT, _text("user_id", "Asleep's user id", required=True)),
    key=("cohort", "user_id"),
    sorted_by=("cohort", "user_id"),
)

PARAMETERS: Final = Table(
    "mart_parameters",
    "The settings that the marts were made with: one row.",
    (
        Column("free_days", "TINYINT[]", "Days off of users without their own", "ISO weekday"),
        _seconds("sleep_need_s", "Sleep need of users without their own"),
        _seconds("short_sleep_s", "A night with less sleep is short"),
        Column("min_group_size", "INTEGER", "Smaller groups are suppressed", "count"),
        _fraction("efficiency_weight", "Weight of the score's part efficiency"),
        _fraction("consistency_weight", "Weight of the score's part consistency"),
        _fraction("duration_weight", "Weight of the score's part duration"),
        _minutes("consistency_limit_min", "Spread of bedtime and midpoint that gives 0 points"),
        Column(
            "duration_bands",
            "STRUCT(from_h DOUBLE, to_h DOUBLE, points DOUBLE)[]",
            "Points of a night by its sleep: the first band that holds it",
            "h",
        ),
        _points("duration_otherwise", "Points of a night outside of all bands"),
        _text("score_version", "Formula and parameters of the score"),
    ),
)

MARTS: Final = (
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

_SESSION_KEY = (
    _text("user_id", "Asleep's user id"),
    _text("session_id", "Asleep's session id"),
    Column("night_date", "DATE", "Date of waking up; NULL while OPEN", "local"),
)

FCT_EPOCH: Final = Table(
    "fct_epoch",
    "One row for every 30 s of a session that has stages. Filter by a constant user_id, session_id "
    "or night_date: a join or a subquery unfolds all sessions first.",
    (
        *_SESSION_KEY,
        Column("epoch", "BIGINT", "Number of the epoch, counted from 0", "one a 30 s"),
        _instant("epoch_at", "Start of the epoch"),
        _wall("epoch_local", "Start of the epoch"),
        Column(
            "sleep_stage",
            "TINYINT",
            "-1 unknown, 0 wake, 1 light (asleep with 2 stage levels), 2 deep, 3 REM",
        ),
        Column("breath_stage", "TINYINT", "0 stable, 1 (or 2) unstable breathing"),
        Column("snoring_stage", "TINYINT", "0 no snoring, 1 snoring"),
    ),
    key=("user_id", "session_id", "epoch"),
)

FCT_STAGE_RUN: Final = Table(
    "fct_stage_run",
    "One row for every stretch of a session in one stage: the hypnogram. Filter by a constant "
    "user_id, session_id or night_date: a join or a subquery unfolds all sessions first.",
    (
        *_SESSION_KEY,
        Column("run", "INTEGER", "Number of the run, counted from 1"),
        _text("stage", "unknown, wake, light (asleep with 2 stage levels), deep or rem"),
        Column("first_epoch", "INTEGER", "First epoch, counted from 0", "one a 30 s"),
        _count("epochs", "Epochs"),
        _seconds("length_s", "Length"),
        _instant("started_at", "Start"),
        _instant("ended_at", "End"),
        _wall("started_local", "Start"),
        _wall("ended_local", "End"),
    ),
    key=("user_id", "session_id", "run"),
)

FCT_SLEEP_CYCLE: Final = Table(
    "fct_sleep_cycle",
    "One row for every sleep cycle, by the vendor's definition. Filter by a constant user_id, "
    "session_id or night_date: a join or a subquery unfolds all sessions first.",
    (
        *_SESSION_KEY,
        Column("cycle", "INTEGER", "Number of the cycle, counted from 1"),
        _instant("started_at", "Sleep onset, or the end of the cycle before"),
        _instant("ended_at", "Start of the last epoch of the REM cluster that ends it"),
        _seconds("length_s", "Length"),
    ),
    key=("user_id", "session_id", "cycle"),
)


def _difference(stat: Column) -> Column:
    suffix = "_s" if stat.name in {"sleep_time", "wake_time"} else _SUFFIXES.get(stat.name, "")
    return Column(
        f"diff_{stat.name}{suffix}",
        "DOUBLE",
        f"API minus ours: {stat.description}",
        "s" if stat.type == "TIMESTAMPTZ" else stat.unit,
    )


_INCOMPARABLE = {"sleep_index", "breathing_pattern", "sleep_cycle_time"}
DIFFERENCES: Final = tuple(_difference(c) for c in STAT_COLUMNS if c.name not in _INCOMPARABLE)

DQ_SESSION: Final = Table(
    "dq_session",
    "One row a session: can it be trusted, and does the API agree with its own stages.",
    (
        _text("user_id", "Asleep's user id"),
        _text("session_id", "Asleep's session id"),
        _text("org_id", "Organisation of the user"),
        Column("night_date", "DATE", "Date of waking up; NULL while OPEN", "local"),
        Column("start_date_local", "DATE", "Date of the start", "local"),
        _text("state", "OPEN, CLOSED or COMPLETE"),
        _instant("started_at", "Session start"),
        _text("quality", "good, fair or poor; NULL without stages"),
        _fraction("unknown_fraction", "Share of epochs without a known stage"),
        _fraction("missing_data_fraction", "Share of the recording that was lost, says the API"),
        _count("chunks_received", "Audio chunks of 30 s that arrived"),
        _count("chunks_expected", "Audio chunks of 30 s in the time in bed"),
        _fraction("upload_integrity_fraction", "Chunks that arrived, share of those expected"),
        _seconds("stage_length_mismatch_s", "Time in bed minus the epochs with a stage"),
        _flag("is_stage_length_wrong", "Whether that is no tail of less than 5 min"),
        _flag("is_quarantined", "Whether its detail broke the contract"),
        _flag("is_stuck", "Not COMPLETE a day after its start, as of the newest listing"),
        Column("lateness_s", "BIGINT", "Session end to when its detail was read", "s"),
        *DIFFERENCES,
        Column(
            "out_of_tolerance",
            "VARCHAR[]",
            "Statistics of the API that its stages contradict: durations, latencies and counts "
            "exactly, efficiency by 0.005, ratios by 0.015. NULL with unknown epochs",
        ),
        _flag("is_consistent", "Whether there are none; NULL where it cannot be compared"),
    ),
    key=("user_id", "session_id"),
)

DQ_DAY: Final = Table(
    "dq_day",
    "One row an organisation and night date: how good the data are.",
    (
        _text("org_id", "Organisation"),
        Column("night_date", "DATE", "Night date, or the start date while OPEN", "local"),
        _count("sessions", "Sessions"),
        _count("complete_sessions", "Sessions that are COMPLETE"),
        _count("stuck_sessions", "Sessions that are stuck"),
        _count("quarantined_sessions", "Sessions whose detail broke the contract"),
        _count("good_sessions", "Sessions of good quality"),
        _count("fair_sessions", "Sessions of fair quality"),
        _count("poor_sessions", "Sessions of poor quality"),
        _fraction("unknown_mean_fraction", "Mean share of unknown epochs"),
        _fraction("missing_data_mean_fraction", "Mean share of lost recording"),
        _fraction("upload_integrity_mean_fraction", "Mean upload integrity"),
        _count("stage_length_wrong_sessions", "Sessions whose stages do not fit the time in bed"),
        _count("compared_sessions", "Sessions of which API and stages could be compared"),
        _count("inconsistent_sessions", "Of these, sessions in which they disagree"),
        _mean_s("lateness_median_s", "Median time from session end to reading the detail"),
        Column("lateness_max_s", "BIGINT", "Longest such time", "s"),
    ),
    key=("org_id", "night_date"),
)

INSIGHT: Final = Table(
    "insight",
    "What is worth telling of a user's nights, by rule; filter by user_id and night_date.",
    (
        _text("user_id", "Asleep's user id"),
        _text("org_id", "Organisation of the user"),
        Column("night_date", "DATE", "Last night date of the window it rests on", "local"),
        _text("rule", "The rule that holds"),
        _text("text", "One sentence"),
        Column("evidence", "MAP(VARCHAR, DOUBLE)", "The figures of fct_user_day it rests on"),
    ),
    key=("user_id", "night_date", "rule"),
)

VIEWS: Final = (FCT_EPOCH, FCT_STAGE_RUN, FCT_SLEEP_CYCLE, DQ_SESSION, DQ_DAY, INSIGHT)
"""What is one query away, in an order in which each finds what it needs."""
