"""Rows that tell of nobody in particular: what analysts get of an organisation's people.

People have a pseudonym, another one in each organisation, and bands instead of values. Dates become weeks
and instants clock times of five minutes; ids, zones, free text and undocumented keys are left out.
"""

from __future__ import annotations

from typing import Final

import duckdb
import polars as pl

from asleep_pipeline.privacy.secret import pseudonym
from asleep_pipeline.warehouse.groups import LEAST, cohort_select, organisation_select
from asleep_pipeline.warehouse.marts.tables import TRANSITIONS


def _clock(name: str, column: str) -> str:
    """Minutes from midnight, to five minutes: seconds would tell which session it was."""
    return f"(5 * round({column} / 5))::INTEGER AS {name}"


def _local_clock(name: str, column: str) -> str:
    return _clock(name, f"minutes_from_midnight({column}, night_date)")


def _number(order: str) -> str:
    """Tells the rows of a person and week apart; by values, since the order of dates would tell these."""
    return f"row_number() OVER (PARTITION BY person, week ORDER BY {order})::INTEGER AS number"


_ABOUT_NIGHTS: Final = (
    "sleep_24h_s",
    "split_s",
    "nap_s",
    "spt_s",
    "tst_s",
    "sol_s",
    "waso_s",
    "efficiency_fraction",
    "light_s",
    "deep_s",
    "rem_s",
    "awakenings",
    "cycles",
    "snoring_of_spt_fraction",
    "breathing_index_per_h",
    "api_sleep_index",
)
_ABOUT_SESSIONS: Final = (
    "stage_levels",
    "never_slept",
    "quality",
    "recorded_s",
    "spt_s",
    "tst_s",
    "waso_s",
    "sol_s",
    "lps_s",
    "terminal_wake_s",
    "light_latency_s",
    "deep_latency_s",
    "rem_latency_s",
    "wake_s",
    "light_s",
    "deep_s",
    "rem_s",
    "unknown_s",
    "efficiency_fraction",
    "maintenance_efficiency_fraction",
    "awakenings",
    "longest_wake_s",
    "longest_sleep_s",
    "transitions",
    "fragmentation_index_per_h",
    "cycles",
    "mean_cycle_s",
    *TRANSITIONS,
    "snoring_s",
    "snoring_of_spt_fraction",
    "snoring_episodes",
    "snoring_index_per_h",
    "unstable_breath_s",
    "unstable_breath_of_spt_fraction",
    "unstable_breath_episodes",
    "breathing_index_per_h",
    "missing_data_fraction",
    "unknown_fraction",
    "api_sleep_index",
)
_WEEK: Final = "date_trunc('week', night_date)::DATE AS week"
# Nobody has rows where too few have any; and a property that too few share is left out.
_PEOPLE: Final = f"""
WITH sleepers AS (SELECT DISTINCT user_id FROM fct_night WHERE is_night),
bands AS (
    SELECT
        user_id,
        CASE
            WHEN birth_year < 1940 THEN 'before 1940'
            WHEN birth_year >= 2010 THEN '2010 and later'
            ELSE printf('%d-%d', birth_year // 10 * 10, birth_year // 10 * 10 + 9)
        END AS born,
        CASE WHEN gender IN ('male', 'female') THEN gender END AS gender,
        CASE
            WHEN height_cm < 150 THEN 'under 150'
            WHEN height_cm >= 200 THEN '200 and more'
            ELSE printf('%d-%d', (height_cm // 10)::INTEGER * 10, (height_cm // 10)::INTEGER * 10 + 9)
        END AS height_band_cm,
        CASE
            WHEN weight_kg < 50 THEN 'under 50'
            WHEN weight_kg >= 120 THEN '120 and more'
            ELSE printf('%d-%d', (weight_kg // 10)::INTEGER * 10, (weight_kg // 10)::INTEGER * 10 + 9)
        END AS weight_band_kg
    FROM dim_user SEMI JOIN sleepers USING (user_id)
)
SELECT
    user_id,
    person,
    CASE WHEN count(*) OVER (PARTITION BY born) >= min_group_size THEN born END AS born,
    CASE WHEN count(*) OVER (PARTITION BY gender) >= min_group_size THEN gender END AS gender,
    CASE WHEN count(*) OVER (PARTITION BY height_band_cm) >= min_group_size THEN height_band_cm END
        AS height_band_cm,
    CASE WHEN count(*) OVER (PARTITION BY weight_band_kg) >= min_group_size THEN weight_band_kg END
        AS weight_band_kg
FROM bands JOIN pseudonyms USING (user_id) CROSS JOIN {LEAST}
WHERE (SELECT count(*) FROM bands) >= min_group_size
"""
_OFFSETS: Final = f"""
SELECT utc_offset_end_min
FROM fct_session CROSS JOIN {LEAST}
GROUP BY utc_offset_end_min
HAVING count(DISTINCT user_id) >= any_value(min_group_size)
"""
_OFFSET: Final = """
CASE WHEN s.utc_offset_end_min IN (SELECT utc_offset_end_min FROM common_offsets)
THEN s.utc_offset_end_min END AS utc_offset_min
"""
_PERSON: Final = "person, born, gender, height_band_cm, weight_band_kg"
_NIGHTS: Final = f"""
SELECT person, week, {_number("tst_s, bed_min, wake_min, waso_s")}, * EXCLUDE (person, week)
FROM (
    SELECT
        {_PERSON},
        {_WEEK},
        is_free_day,
        is_night,
        n.quality,
        {_OFFSET},
        n.naps,
        (60 * round(n.tib_s / 60))::INTEGER AS tib_s,
        {", ".join(f"n.{name}" for name in _ABOUT_NIGHTS)},
        {", ".join(_clock(f"{at}_min", f"n.{at}_min") for at in ("bed", "onset", "midpoint", "wake", "rise"))}
    FROM fct_night AS n
    JOIN people USING (user_id)
    JOIN (
        SELECT user_id, session_id AS main_session_id, utc_offset_end_min FROM fct_session
    ) AS s USING (user_id, main_session_id)
)
ORDER BY week, person, number
"""
_SESSIONS: Final = f"""
SELECT person, week, {_number("kind, recorded_s, tst_s, started_min, ended_min")}, * EXCLUDE (person, week)
FROM (
    SELECT
        {_PERSON},
        {_WEEK},
        CASE
            WHEN is_main_sleep THEN 'night' WHEN is_split_sleep THEN 'part' WHEN is_nap THEN 'nap'
            ELSE 'other'
        END AS kind,
        {_OFFSET},
        {", ".join(f"s.{name}" for name in _ABOUT_SESSIONS)},
        {_local_clock("started_min", "started_local")},
        {_local_clock("onset_min", "onset_local")},
        {_local_clock("final_wake_min", "final_wake_local")},
        {_local_clock("ended_min", "ended_local")}
    FROM fct_session AS s JOIN people USING (user_id)
    WHERE night_date IS NOT NULL
)
ORDER BY week, person, number
"""

TABLES: Final = {
    "nights": _NIGHTS,
    "sessions": _SESSIONS,
    "organisation_weeks": f"SELECT * RENAME (date AS week) FROM ({organisation_select('week')})",
    "organisation_months": f"SELECT * RENAME (date AS month) FROM ({organisation_select('month')})",
    "cohort_weeks": f"SELECT * RENAME (date AS week) FROM ({cohort_select()})",
}
"""What analysts may name, and what it is selected by on a connection that is prepared."""


def prepare(source: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """Give everybody a pseudonym, and bands of what is known of them, on a connection of their organisation."""
    users = [user_id for (user_id,) in source.execute("SELECT user_id FROM users").fetchall()]
    named = {"user_id": users, "person": [pseudonym(key, user_id) for user_id in users]}
    source.register("pseudonyms", pl.DataFrame(named, schema=dict.fromkeys(named, pl.String)))
    source.execute(f"CREATE TEMP TABLE people AS {_PEOPLE}")
    source.execute(f"CREATE TEMP TABLE common_offsets AS {_OFFSETS}")
