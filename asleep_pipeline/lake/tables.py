"""Every table of the lake, described once.

The DDL with its comments, the polars schemas, the column schemas shown in Dagster, the tables of the
published warehouse and the documentation all derive from `TABLES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

UTC_TIMESTAMP: Final = pl.Datetime("us", "UTC")

_POLARS: Final[dict[str, pl.DataType]] = {
    "VARCHAR": pl.String(),
    "JSON": pl.String(),
    "BLOB": pl.Binary(),
    "BOOLEAN": pl.Boolean(),
    "SMALLINT": pl.Int16(),
    "INTEGER": pl.Int32(),
    "BIGINT": pl.Int64(),
    "DOUBLE": pl.Float64(),
    "DATE": pl.Date(),
    "TIME": pl.Time(),
    "TIMESTAMP": pl.Datetime("us"),
    "TIMESTAMPTZ": UTC_TIMESTAMP,
    "TINYINT[]": pl.List(pl.Int8()),
    "VARCHAR[]": pl.List(pl.String()),
    "TIMESTAMPTZ[]": pl.List(UTC_TIMESTAMP),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: DuckDB type, unit and meaning; an internal one is not published."""

    name: str
    type: str
    description: str
    unit: str = ""
    required: bool = False
    internal: bool = False

    @property
    def comment(self) -> str:
        """The description with the unit, as it stands in the database and in the docs."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its key, its physical partitioning and its columns."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partitioned_by: str = ""
    sorted_by: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names, in table order."""
        return tuple(column.name for column in self.columns)

    @property
    def published(self) -> tuple[Column, ...]:
        """The columns that analysts get."""
        return tuple(column for column in self.columns if not column.internal)

    @property
    def schema(self) -> pl.Schema:
        """The polars schema of a frame that may be inserted as it is."""
        return pl.Schema({column.name: _POLARS[column.type] for column in self.columns})

    @property
    def stored_columns(self) -> list[tuple[str, str]]:
        """(name, type) as DuckLake stores them: JSON is text there."""
        return [(c.name, "VARCHAR" if c.type == "JSON" else c.type) for c in self.columns]


def _text(name: str, description: str, *, required: bool = False, internal: bool = False) -> Column:
    return Column(name, "VARCHAR", description, required=required, internal=internal)


def _instant(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, "TIMESTAMPTZ", description, "UTC instant", required=required)


def _seconds(name: str, description: str) -> Column:
    return Column(name, "INTEGER", description, "s")


def _ratio(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, "fraction 0-1")


_SHARD = Column("shard", "INTEGER", "stable_hash(user_id) % shards", required=True, internal=True)

DURATIONS: Final = (
    _seconds("sleep_latency", "Session start to sleep onset"),
    _seconds("wakeup_latency", "Final wake to session end"),
    _seconds("light_latency", "Sleep onset to the first light sleep; NULL if there was none"),
    _seconds("deep_latency", "Sleep onset to the first deep sleep; NULL if there was none"),
    _seconds("rem_latency", "Sleep onset to the first REM sleep; NULL if there was none"),
    _seconds("time_in_bed", "Session start to session end (TIB)"),
    _seconds("time_in_sleep_period", "Sleep onset to final wake (SPT)"),
    _seconds("time_in_sleep", "Total sleep time (TST)"),
    _seconds("time_in_wake", "Wake within the sleep period (WASO)"),
    _seconds("time_in_light", "Light sleep; NULL on a 2-stage plan"),
    _seconds("time_in_deep", "Deep sleep; NULL on a 2-stage plan"),
    _seconds("time_in_rem", "REM sleep; NULL on a 2-stage plan"),
    _seconds("time_in_stable_breath", "Stable breathing; NULL without breathing analysis"),
    _seconds("time_in_unstable_breath", "Unstable breathing; NULL without breathing analysis"),
    _seconds("time_in_snoring", "Snoring; NULL without snoring analysis"),
    _seconds("time_in_no_snoring", "No snoring; with time_in_snoring the sleep period"),
)
RATIOS: Final = (
    _ratio("sleep_efficiency", "Sleep in proportion to the analysed time in bed"),
    _ratio("sleep_ratio", "Sleep in proportion to the sleep period"),
    _ratio("wake_ratio", "Wake in proportion to the sleep period"),
    _ratio("light_ratio", "Light sleep in proportion to the sleep period"),
    _ratio("deep_ratio", "Deep sleep in proportion to the sleep period"),
    _ratio("rem_ratio", "REM sleep in proportion to the sleep period"),
    _ratio("stable_breath_ratio", "Stable breathing in proportion to the sleep period"),
    _ratio("unstable_breath_ratio", "Unstable breathing in proportion to the sleep period"),
    _ratio("snoring_ratio", "Snoring in proportion to the sleep period"),
    _ratio("no_snoring_ratio", "No snoring in proportion to the sleep period"),
)
STAT_COLUMNS: Final = (
    _instant("sleep_time", "Sleep onset"),
    _instant("wake_time", "Final wake"),
    Column("sleep_index", "INTEGER", "Asleep's sleep score", "50-100 typical"),
    *DURATIONS,
    *RATIOS,
    Column("breathing_index", "DOUBLE", "Unstable breathing events", "events/h"),
    Column("unstable_breath_count", "INTEGER", "Episodes of unstable breathing", "count"),
    _text("breathing_pattern", "Asleep's word for the breathing, free text"),
    Column("waso_count", "INTEGER", "Runs of wake within the sleep period", "count"),
    _seconds("longest_waso", "Longest run of wake within the sleep period"),
    _seconds("sleep_cycle", "Mean length of a sleep cycle"),
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
        _text("user_id", "Asleep's user id, opaque", required=True),
        _text("org_id", "Organisation, which decides the API key", required=True),
        _SHARD,
        _text("timezone", "Home zone (IANA), the fallback when a session names none"),
        Column("free_days", "TINYINT[]", "Days off", "ISO weekday, 1 Monday to 7 Sunday"),
        Column("sleep_need_s", "INTEGER", "Sleep the user needs", "s"),
        Column("birth_year", "INTEGER", "Year of birth"),
        _text("gender", "male, female, non_binary, other or prefer_not_to_say"),
        Column("height_cm", "DOUBLE", "Height", "cm"),
        Column("weight_kg", "DOUBLE", "Weight", "kg"),
        _instant("first_seen_at", "When the roster first named the user", required=True),
        _instant("refreshed_at", "When get-user was last read"),
        _instant("deleted_at", "When the API first said that the user is gone; NULL while there"),
    ),
    key=("user_id",),
    sorted_by=("user_id",),
)

RAW: Final = Table(
    "raw",
    "What Asleep said, byte for byte: one row an answer, in the order of arrival.",
    (
        _SHARD,
        Column("partition_date", "DATE", "UTC date of the partition it belongs to", required=True),
        _text("endpoint", "list_sessions, get_session, average_stats or get_user", required=True),
        _text("org_id", "Organisation whose key asked", required=True),
        _text("user_id", "User asked about", required=True),
        _text("session_id", "Session asked about; NULL for other endpoints"),
        Column("window_start", "DATE", "First date asked for, in `timezone`"),
        Column("window_end", "DATE", "Last date asked for, in `timezone`"),
        _text("timezone", "The zone header sent", required=True),
        _instant("listed_at", "When the listing began that a page belongs to"),
        _text("list_hash", "SHA-256 of the list row that made us ask for this detail"),
        _text("session_state", "State that a session detail reports"),
        Column("status", "SMALLINT", "HTTP status", required=True),
        _text("body_sha256", "SHA-256 of the body", required=True),
        Column("body", "BLOB", "The body; NULL when it holds nothing that raw does not have"),
        _instant("fetched_at", "When the answer was complete", required=True),
        _text("source", "pull or webhook", required=True),
    ),
    partitioned_by="year(partition_date), month(partition_date)",
    sorted_by=("user_id", "partition_date"),
)

SESSIONS: Final = Table(
    "sessions",
    "One row a session: list row and detail merged. A pure function of raw.",
    (
        _text("session_id", "Asleep's session id", required=True),
        _text("user_id", "Asleep's user id", required=True),
        _text("org_id", "Organisation of the user", required=True),
        _SHARD,
        _text("state", "OPEN, CLOSED or COMPLETE", required=True),
        _instant("started_at", "Session start", required=True),
        _instant("ended_at", "Session end; NULL while OPEN"),
        _instant("unexpected_ended_at", "Set when the app died and the end was derived later"),
        _text("created_timezone", "Zone of the device at creation (IANA), as the API names it"),
        _text("timezone", "Zone of the local columns: created_timezone or its fallback"),
        _text("timezone_source", "session, roster, organisation or default"),
        Column("started_at_local", "TIMESTAMP", "Session start", "local wall time"),
        Column("ended_at_local", "TIMESTAMP", "Session end", "local wall time"),
        Column("utc_offset_start_min", "INTEGER", "UTC offset at the start", "min"),
        Column("utc_offset_end_min", "INTEGER", "UTC offset at the end", "min"),
        Column("start_date", "DATE", "Date of the start in UTC, the partition", required=True),
        Column("start_date_local", "DATE", "Date of the start", "local"),
        Column("night_date", "DATE", "Date of waking up; NULL while OPEN", "local"),
        Column("peculiarities", "VARCHAR[]", "What the API says is special about the session"),
        _ratio("missing_data_ratio", "Share of the recording that was lost"),
        Column("last_received_seq_num", "INTEGER", "Last audio chunk of 30 s, counted from 0"),
        _seconds("listed_time_in_bed_s", "Time in bed as list-sessions says"),
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
        _text("list_hash", "SHA-256 of the list row it rests on", internal=True),
        _text("detail_sha256", "SHA-256 of the detail's body it rests on", internal=True),
        _instant("listed_at", "When the listing began whose list row it rests on"),
        _instant("fetched_at", "When the detail was read that it rests on"),
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
        _text("user_id", "Asleep's user id", required=True),
        _text("org_id", "Organisation of the user", required=True),
        _SHARD,
        Column("month", "DATE", "First day of the calendar month in `timezone`", required=True),
        _text("timezone", "Zone of the month and of the clock times", required=True),
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
        _instant("fetched_at", "When the answer was read", required=True),
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
        _text("endpoint", "Whose answer it is", required=True),
        _text("user_id", "Asleep's user id", required=True),
        _text("session_id", "Asleep's session id; NULL for other answers"),
        _text("rule", "The rule that was broken", required=True),
        _text("value", "The value that broke it, shortened"),
        _text("body_sha256", "The raw answer: raw.body_sha256"),
        _instant("quarantined_at", "When the raw answer was read", required=True),
    ),
    key=("endpoint", "user_id", "session_id", "rule"),
)

TZ_RULES: Final = Table(
    "tz_rules",
    "UTC offset of every zone from each instant on, by pendulum from the tzdata package.",
    (
        _text("tz", "Zone (IANA)", required=True),
        Column("utc_from", "TIMESTAMP", "First instant of the offset", "UTC", required=True),
        Column("offset_s", "INTEGER", "Local time minus UTC", "s", required=True),
    ),
    key=("tz", "utc_from"),
)

PROGRESS: Final = Table(
    "progress",
    "How far the raw answers of each shard have been read, by the table that reads them.",
    (
        _text("stream", "sessions or average_stats", required=True),
        _SHARD,
        Column("raw_rowid", "BIGINT", "Last row of raw that was read", required=True),
    ),
    key=("stream", "shard"),
)

LAKE_INFO: Final = Table(
    "lake_info",
    "What was fixed when the lake was made, and the zone rules it holds.",
    (
        Column("format_version", "INTEGER", "Version of the tables", required=True),
        Column("shards", "INTEGER", "Number of shards", "count", required=True),
        _text("tzdata_version", "Version of tzdata that tz_rules was made from"),
        _instant("created_at", "When the lake was made", required=True),
    ),
)

COHORTS: Final = Table(
    "cohorts",
    "Named groups of users, to be compared.",
    (
        _text("cohort", "Name", required=True),
        _text("condition", "Condition in SQL on the columns of dim_user; NULL when it is a list"),
        _instant("defined_at", "When it was defined", required=True),
    ),
    key=("cohort",),
)

COHORT_LISTS: Final = Table(
    "cohort_lists",
    "The users of cohorts that are lists.",
    (
        _text("cohort", "Name", required=True),
        _text("user_id", "Asleep's user id", required=True),
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
        LAKE_INFO,
        COHORTS,
        COHORT_LISTS,
    )
}
"""Every table of the lake by name."""
