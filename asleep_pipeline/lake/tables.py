"""Every table of the lake, described once.

The DDL with its comments, the polars schemas, the column schemas shown in Dagster, the tables of the
published warehouse and the documentation all derive from `TABLES`.
"""

from __future__ import annotations

from typing import Final

from asleep_pipeline.lake.columns import Column, Table, fraction, instant, seconds, text

_SHARD = Column("shard", "INTEGER", "stable_hash(user_id) % shards", required=True, internal=True)
_SEALED = Column(
    "sealed",
    "BLOB",
    "With encryption: the columns that are NULL then, by the user's key; see `lake.sealing`",
    internal=True,
    filled_in=True,
)

DURATIONS: Final = (
    seconds("sleep_latency", "Session start to sleep onset"),
    seconds("wakeup_latency", "Final wake to session end"),
    seconds("light_latency", "Sleep onset to the first light sleep; NULL if there was none"),
    seconds("deep_latency", "Sleep onset to the first deep sleep; NULL if there was none"),
    seconds("rem_latency", "Sleep onset to the first REM sleep; NULL if there was none"),
    seconds("time_in_bed", "Session start to session end (TIB)"),
    seconds("time_in_sleep_period", "Sleep onset to final wake (SPT)"),
    seconds("time_in_sleep", "Total sleep time (TST)"),
    seconds("time_in_wake", "Wake within the sleep period (WASO)"),
    seconds("time_in_light", "Light sleep; NULL on a 2-stage plan"),
    seconds("time_in_deep", "Deep sleep; NULL on a 2-stage plan"),
    seconds("time_in_rem", "REM sleep; NULL on a 2-stage plan"),
    seconds("time_in_stable_breath", "Stable breathing; NULL without breathing analysis"),
    seconds("time_in_unstable_breath", "Unstable breathing; NULL without breathing analysis"),
    seconds("time_in_snoring", "Snoring; NULL without snoring analysis"),
    seconds("time_in_no_snoring", "No snoring; with time_in_snoring the sleep period"),
)
RATIOS: Final = (
    fraction("sleep_efficiency", "Sleep in proportion to the analysed time in bed"),
    fraction("sleep_ratio", "Sleep in proportion to the sleep period"),
    fraction("wake_ratio", "Wake in proportion to the sleep period"),
    fraction("light_ratio", "Light sleep in proportion to the sleep period"),
    fraction("deep_ratio", "Deep sleep in proportion to the sleep period"),
    fraction("rem_ratio", "REM sleep in proportion to the sleep period"),
    fraction("stable_breath_ratio", "Stable breathing in proportion to the sleep period"),
    fraction("unstable_breath_ratio", "Unstable breathing in proportion to the sleep period"),
    fraction("snoring_ratio", "Snoring in proportion to the sleep period"),
    fraction("no_snoring_ratio", "No snoring in proportion to the sleep period"),
)
STAT_COLUMNS: Final = (
    instant("sleep_time", "Sleep onset"),
    instant("wake_time", "Final wake"),
    Column("sleep_index", "INTEGER", "Asleep's sleep score", "50-100 typical"),
    *DURATIONS,
    *RATIOS,
    Column("breathing_index", "DOUBLE", "Unstable breathing events", "events/h"),
    Column("unstable_breath_count", "INTEGER", "Episodes of unstable breathing", "count"),
    text("breathing_pattern", "Asleep's word for the breathing, free text"),
    Column("waso_count", "INTEGER", "Runs of wake within the sleep period", "count"),
    seconds("longest_waso", "Longest run of wake within the sleep period"),
    seconds("sleep_cycle", "Mean length of a sleep cycle"),
    Column("sleep_cycle_count", "DOUBLE", "Sleep cycles", "count"),
    Column(
        "sleep_cycle_time",
        "TIMESTAMPTZ[]",
        "Start of the first cycle, then the end of each (beta at the vendor)",
        "UTC instants",
    ),
    Column("snoring_count", "INTEGER", "Episodes of snoring", "count"),
)
"""The 38 keys of `stat` under the API's own names (Asleep data API v3, get session)."""

USERS: Final = Table(
    "users",
    "The roster: whom we pull. Fed by `users import` and `users add`, refreshed from get-user.",
    (
        text("user_id", "Asleep's user id, opaque", required=True),
        text("org_id", "Organisation, which decides the API key", required=True),
        _SHARD,
        text("timezone", "Home zone (IANA), the fallback when a session names none"),
        Column("free_days", "TINYINT[]", "Days off", "ISO weekday, 1 Monday to 7 Sunday"),
        Column("sleep_need_s", "INTEGER", "Sleep the user needs", "s"),
        Column("birth_year", "INTEGER", "Year of birth"),
        text("gender", "male, female, non_binary, other or prefer_not_to_say"),
        Column("height_cm", "DOUBLE", "Height", "cm"),
        Column("weight_kg", "DOUBLE", "Weight", "kg"),
        instant("first_seen_at", "When the roster first named the user", required=True),
        instant("refreshed_at", "When get-user was last read"),
        instant("deleted_at", "When the API first said that the user is gone; NULL while there"),
    ),
    key=("user_id",),
    sorted_by=("user_id",),
)

RAW: Final = Table(
    "raw",
    "What Asleep said, byte for byte: one row an answer or a webhook, in the order of arrival.",
    (
        _SHARD,
        Column("partition_date", "DATE", "UTC date of the partition it belongs to", required=True),
        text(
            "endpoint",
            "list_sessions, get_session, average_stats or get_user; of a webhook session_complete, "
            "or unknown_event for an event that nobody documented",
            required=True,
        ),
        text("org_id", "Organisation whose key asked, or whose user it is about", required=True),
        text("user_id", "User it is about", required=True),
        text("session_id", "Session it is about; NULL where it is about none"),
        Column("window_start", "DATE", "First date asked for, in `timezone`"),
        Column("window_end", "DATE", "Last date asked for, in `timezone`"),
        text("timezone", "The zone header sent", required=True),
        instant("listed_at", "When the listing began that a page belongs to"),
        text(
            "list_hash",
            "SHA-256 of the list row that made us ask for this detail; NULL when a webhook did",
        ),
        text("session_state", "State that a session detail reports"),
        Column("status", "SMALLINT", "HTTP status", required=True),
        text("body_sha256", "SHA-256 of the body", required=True),
        Column("body", "BLOB", "The body; NULL when it holds nothing that raw does not have"),
        instant(
            "fetched_at", "When the answer was complete, or the webhook arrived", required=True
        ),
        text("source", "pull or webhook", required=True),
    ),
    partitioned_by="year(partition_date), month(partition_date)",
    sorted_by=("user_id", "partition_date"),
)

SESSIONS: Final = Table(
    "sessions",
    "One row a session: list row and detail merged, pulled or pushed. A pure function of raw.",
    (
        text("session_id", "Asleep's session id", required=True),
        text("user_id", "Asleep's user id", required=True),
        text("org_id", "Organisation of the user", required=True),
        _SHARD,
        text("state", "OPEN, CLOSED or COMPLETE", required=True),
        instant("started_at", "Session start", required=True),
        instant("ended_at", "Session end; NULL while OPEN"),
        instant("unexpected_ended_at", "Set when the app died and the end was derived later"),
        text("created_timezone", "Zone of the device at creation (IANA), as the API names it"),
        text("timezone", "Zone of the local columns: created_timezone or its fallback"),
        text("timezone_source", "session, roster, organisation or default"),
        Column("started_at_local", "TIMESTAMP", "Session start", "local wall time"),
        Column("ended_at_local", "TIMESTAMP", "Session end", "local wall time"),
        Column("utc_offset_start_min", "INTEGER", "UTC offset at the start", "min"),
        Column("utc_offset_end_min", "INTEGER", "UTC offset at the end", "min"),
        Column("start_date", "DATE", "Date of the start in UTC, the partition", required=True),
        Column("start_date_local", "DATE", "Date of the start", "local"),
        Column("night_date", "DATE", "Date of waking up; NULL while OPEN", "local"),
        Column("peculiarities", "VARCHAR[]", "What the API says is special about the session"),
        fraction("missing_data_ratio", "Share of the recording that was lost"),
        Column("last_received_seq_num", "INTEGER", "Last audio chunk of 30 s, counted from 0"),
        seconds("listed_time_in_bed_s", "Time in bed as list-sessions says"),
        *STAT_COLUMNS,
        Column(
            "sleep_stages",
            "TINYINT[]",
            "Sleep stage an epoch: -1 unknown, 0 wake, 1 light (asleep on a 2-stage plan), "
            "2 deep, 3 REM",
            "one a 30 s",
        ),
        Column("breath_stages", "TINYINT[]", "0 stable, 1 (or 2) unstable breathing", "one a 30 s"),
        Column("snoring_stages", "TINYINT[]", "0 no snoring, 1 snoring", "one a 30 s"),
        Column("has_stat", "BOOLEAN", "Whether the API gave statistics", required=True),
        Column("has_detail", "BOOLEAN", "Whether the detail has been read", required=True),
        Column("is_quarantined", "BOOLEAN", "Whether its detail broke the contract", required=True),
        Column("readings", "VARCHAR[]", "Values that were read in another dialect of the API"),
        Column("extra", "JSON", "Keys that nobody documented, by place"),
        text("list_hash", "SHA-256 of the list row it rests on", internal=True),
        text("detail_sha256", "SHA-256 of the detail's body it rests on", internal=True),
        instant("listed_at", "When the listing began whose list row it rests on"),
        instant("fetched_at", "When the detail was read, or pushed, that it rests on"),
        Column(
            "list_row",
            "JSON",
            "Its list row, where a newer detail says otherwise; else NULL",
            internal=True,
        ),
        instant("pushed_at", "When its first webhook arrived; NULL when none came"),
        _SEALED,
    ),
    key=("user_id", "session_id"),
    partitioned_by="year(start_date), month(start_date)",
    sorted_by=("user_id", "started_at"),
)

_CLOCKS = ("start_time", "end_time", "sleep_time", "wake_time")

AVERAGE_STATS: Final = Table(
    "average_stats",
    "One row a user, calendar month and zone: the API's own averages. NULL where it gives none.",
    (
        text("user_id", "Asleep's user id", required=True),
        text("org_id", "Organisation of the user", required=True),
        _SHARD,
        Column("month", "DATE", "First day of the calendar month in `timezone`", required=True),
        text("timezone", "Zone of the month and of the clock times", required=True),
        Column("window_end", "DATE", "Last date that was asked for", required=True),
        Column("peculiarities", "VARCHAR[]", "What the API says is special about the period"),
        Column("slept_sessions", "INTEGER", "Sessions with sleep, over which it averages", "count"),
        Column("slept_session_ids", "VARCHAR[]", "Their ids"),
        Column("never_slept_sessions", "INTEGER", "Sessions without any sleep", "count"),
        Column("never_slept_session_ids", "VARCHAR[]", "Their ids"),
        *(Column(name, "TIME", f"Mean {name}", "local clock") for name in _CLOCKS),
        *(Column(c.name, "DOUBLE", f"Mean: {c.description}", c.unit) for c in DURATIONS),
        *(Column(c.name, "DOUBLE", f"Mean: {c.description}", c.unit) for c in RATIOS),
        Column("breathing_index", "DOUBLE", "Mean unstable breathing events", "events/h"),
        Column("unstable_breath_count", "DOUBLE", "Mean episodes of unstable breathing", "count"),
        Column("waso_count", "DOUBLE", "Mean runs of wake within the sleep period", "count"),
        Column("longest_waso", "DOUBLE", "Mean longest run of wake", "s"),
        Column("sleep_cycle", "DOUBLE", "Mean length of a sleep cycle", "s"),
        Column("sleep_cycle_count", "DOUBLE", "Mean sleep cycles", "count"),
        Column("snoring_count", "DOUBLE", "Mean episodes of snoring", "count"),
        Column("sleep_index", "DOUBLE", "Mean sleep score, where the API gives one"),
        Column("readings", "VARCHAR[]", "Values that were read in another dialect of the API"),
        Column("extra", "JSON", "Keys that nobody documented, by place"),
        instant("fetched_at", "When the answer was read", required=True),
        _SEALED,
    ),
    key=("user_id", "month", "timezone"),
    sorted_by=("user_id", "month"),
)

QUARANTINE: Final = Table(
    "quarantine",
    "What broke the contract, with rule, value and the raw answer it stands in. Nothing is lost.",
    (
        _SHARD,
        Column("partition_date", "DATE", "UTC date of the partition it belongs to", required=True),
        text("endpoint", "Whose answer it is", required=True),
        text("user_id", "Asleep's user id", required=True),
        text("session_id", "Asleep's session id; NULL for other answers"),
        text("rule", "The rule that was broken", required=True),
        text("value", "The value that broke it, shortened"),
        text("body_sha256", "The raw answer: raw.body_sha256"),
        instant("quarantined_at", "When the raw answer was read", required=True),
        _SEALED,
    ),
    key=("endpoint", "user_id", "session_id", "rule"),
)

TZ_RULES: Final = Table(
    "tz_rules",
    "UTC offset of every zone from each instant on, by pendulum from the tzdata package.",
    (
        text("tz", "Zone (IANA)", required=True),
        Column("utc_from", "TIMESTAMP", "First instant of the offset", "UTC", required=True),
        Column("offset_s", "INTEGER", "Local time minus UTC", "s", required=True),
    ),
    key=("tz", "utc_from"),
)

PROGRESS: Final = Table(
    "progress",
    "How far the raw answers of each shard have been read, by the table that reads them.",
    (
        text("stream", "sessions or average_stats", required=True),
        _SHARD,
        Column("raw_rowid", "BIGINT", "Last row of raw that was read", required=True),
    ),
    key=("stream", "shard"),
)

RAW_COMMITS: Final = Table(
    "raw_commits",
    "Which commit the rows of raw came with whose files were rewritten since, to erase somebody.",
    (
        Column("first_rowid", "BIGINT", "First row of raw of the commit", required=True),
        Column("snapshot", "BIGINT", "Its snapshot; NULL: from here on, rows know their own"),
    ),
    key=("first_rowid",),
)

LAKE_INFO: Final = Table(
    "lake_info",
    "What was fixed when the lake was made, and the zone rules it holds.",
    (
        Column("format_version", "INTEGER", "Version of the tables", required=True),
        Column("shards", "INTEGER", "Number of shards", "count", required=True),
        text("tzdata_version", "Version of tzdata that tz_rules was made from"),
        instant("created_at", "When the lake was made", required=True),
        text("sealed_by", "Which data keys it is encrypted by; NULL while it is not"),
    ),
)

COHORTS: Final = Table(
    "cohorts",
    "Named groups of users, to be compared.",
    (
        text("cohort", "Name", required=True),
        text("condition", "Condition in SQL on the columns of dim_user; NULL when it is a list"),
        instant("defined_at", "When it was defined", required=True),
    ),
    key=("cohort",),
)

COHORT_LISTS: Final = Table(
    "cohort_lists",
    "The users of cohorts that are lists.",
    (
        text("cohort", "Name", required=True),
        text("user_id", "Asleep's user id", required=True),
    ),
    key=("cohort", "user_id"),
    sorted_by=("cohort", "user_id"),
)

TABLES: Final[dict[str, Table]] = {
    table.name: table
    for table in (
        USERS,
        RAW,
        SESSIONS,
        AVERAGE_STATS,
        QUARANTINE,
        TZ_RULES,
        PROGRESS,
        RAW_COMMITS,
        LAKE_INFO,
        COHORTS,
        COHORT_LISTS,
    )
}
"""Every table of the lake by name."""
