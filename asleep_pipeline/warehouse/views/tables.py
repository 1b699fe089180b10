"""Every view, described once: what is one query away from the tables."""

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
from asleep_pipeline.lake.tables import STAT_COLUMNS
from asleep_pipeline.warehouse.marts.tables import STAT_SUFFIXES

_SESSION_KEY = (
    text("user_id", "Asleep's user id"),
    text("session_id", "Asleep's session id"),
    Column("night_date", "DATE", "Date of waking up; NULL while OPEN", "local"),
)

FCT_EPOCH: Final = Table(
    "fct_epoch",
    "One row for every 30 s of a session that has stages. Filter by a constant user_id, session_id "
    "or night_date: a join or a subquery unfolds all sessions first.",
    (
        *_SESSION_KEY,
        Column("epoch", "BIGINT", "Number of the epoch, counted from 0", "one a 30 s"),
        instant("epoch_at", "Start of the epoch"),
        wall_time("epoch_local", "Start of the epoch"),
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
        text("stage", "unknown, wake, light (asleep with 2 stage levels), deep or rem"),
        Column("first_epoch", "INTEGER", "First epoch, counted from 0", "one a 30 s"),
        count("epochs", "Epochs"),
        seconds("length_s", "Length"),
        instant("started_at", "Start"),
        instant("ended_at", "End"),
        wall_time("started_local", "Start"),
        wall_time("ended_local", "End"),
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
        instant("started_at", "Sleep onset, or the end of the cycle before"),
        instant("ended_at", "Start of the last epoch of the REM cluster that ends it"),
        seconds("length_s", "Length"),
    ),
    key=("user_id", "session_id", "cycle"),
)


def _difference(stat: Column) -> Column:
    suffix = "_s" if stat.name in {"sleep_time", "wake_time"} else STAT_SUFFIXES.get(stat.name, "")
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
        text("user_id", "Asleep's user id"),
        text("session_id", "Asleep's session id"),
        text("org_id", "Organisation of the user"),
        Column("night_date", "DATE", "Date of waking up; NULL while OPEN", "local"),
        Column("start_date_local", "DATE", "Date of the start", "local"),
        text("state", "OPEN, CLOSED or COMPLETE"),
        instant("started_at", "Session start"),
        text("quality", "good, fair or poor; NULL without stages"),
        fraction("unknown_fraction", "Share of epochs without a known stage"),
        fraction("missing_data_fraction", "Share of the recording that was lost, says the API"),
        count("chunks_received", "Audio chunks of 30 s that arrived"),
        count("chunks_expected", "Audio chunks of 30 s in the time in bed"),
        fraction("upload_integrity_fraction", "Chunks that arrived, share of those expected"),
        seconds("stage_length_mismatch_s", "Time in bed minus the epochs with a stage"),
        flag("is_stage_length_wrong", "Whether that is no tail of less than 5 min"),
        flag("is_quarantined", "Whether its detail broke the contract"),
        flag("is_stuck", "Not COMPLETE a day after its start, as of the newest listing"),
        flag("is_pushed", "Whether a webhook told of it"),
        flag(
            "is_missed",
            "Whether it is COMPLETE without a webhook, though its user's first one had come before "
            "it ended; a day after its end, as of the newest listing",
        ),
        Column("lateness_s", "BIGINT", "Session end to when its detail was read", "s"),
        *DIFFERENCES,
        Column(
            "out_of_tolerance",
            "VARCHAR[]",
            "Statistics of the API that its stages contradict: durations, latencies and counts "
            "exactly, efficiency by 0.005, ratios by 0.015; also those that its stages have nothing to "
            "make of, and cycle times that do not fit. One that the API leaves out contradicts "
            "nothing. NULL with unknown epochs",
        ),
        flag("is_consistent", "Whether there are none; NULL where it cannot be compared"),
    ),
    key=("user_id", "session_id"),
)

DQ_DAY: Final = Table(
    "dq_day",
    "One row an organisation and night date: how good the data are.",
    (
        text("org_id", "Organisation"),
        Column("night_date", "DATE", "Night date, or the start date while OPEN", "local"),
        count("sessions", "Sessions"),
        count("complete_sessions", "Sessions that are COMPLETE"),
        count("stuck_sessions", "Sessions that are stuck"),
        count("quarantined_sessions", "Sessions whose detail broke the contract"),
        count("pushed_sessions", "Sessions that a webhook told of"),
        count("missed_sessions", "Sessions that should have had a webhook, and had none"),
        count("good_sessions", "Sessions of good quality"),
        count("fair_sessions", "Sessions of fair quality"),
        count("poor_sessions", "Sessions of poor quality"),
        fraction("unknown_mean_fraction", "Mean share of unknown epochs"),
        fraction("missing_data_mean_fraction", "Mean share of lost recording"),
        fraction("upload_integrity_mean_fraction", "Mean upload integrity"),
        count("stage_length_wrong_sessions", "Sessions whose stages do not fit the time in bed"),
        count("compared_sessions", "Sessions of which API and stages could be compared"),
        count("inconsistent_sessions", "Of these, sessions in which they disagree"),
        Column(
            "lateness_median_s", "DOUBLE", "Median time from session end to reading the detail", "s"
        ),
        Column("lateness_max_s", "BIGINT", "Longest such time", "s"),
    ),
    key=("org_id", "night_date"),
)

INSIGHT: Final = Table(
    "insight",
    "What is worth telling of a user's nights, by rule; filter by user_id and night_date.",
    (
        text("user_id", "Asleep's user id"),
        text("org_id", "Organisation of the user"),
        Column("night_date", "DATE", "Last night date of the window it rests on", "local"),
        text("rule", "The rule that holds"),
        text("text", "One sentence"),
        Column("evidence", "MAP(VARCHAR, DOUBLE)", "The figures of fct_user_day it rests on"),
    ),
    key=("user_id", "night_date", "rule"),
)

VIEWS: Final = (FCT_EPOCH, FCT_STAGE_RUN, FCT_SLEEP_CYCLE, DQ_SESSION, DQ_DAY, INSIGHT)
"""What is one query away, in an order in which each finds what it needs."""
