"""What figures are called on a page, and in which order they stand there."""

from __future__ import annotations

from typing import Final

from asleep_pipeline.warehouse.marts.tables import FCT_USER_DAY, ORG_WEEK, USER_WEEK

COLUMNS: Final = {
    column.name: column for table in (FCT_USER_DAY, ORG_WEEK, USER_WEEK) for column in table.columns
}
"""Unit and meaning of each figure."""

_SLEEP: Final = {
    "tst_mean_s": "Sleep a night",
    "sleep_24h_mean_s": "Sleep in 24 h, naps included",
    "tib_mean_s": "Time in bed",
    "sol_mean_s": "Time to fall asleep",
    "waso_mean_s": "Awake within the night",
    "efficiency_mean_fraction": "Sleep efficiency",
    "awakenings_mean": "Awakenings a night",
    "short_nights": "Short nights",
    "short_night_fraction": "Share of short nights",
    "naps": "Naps",
}
_STAGES: Final = {
    "light_of_tst_mean_fraction": "Light sleep, share of sleep",
    "deep_of_tst_mean_fraction": "Deep sleep, share of sleep",
    "rem_of_tst_mean_fraction": "REM sleep, share of sleep",
    "snoring_of_spt_mean_fraction": "Snoring, share of the sleep period",
    "breathing_index_mean_per_h": "Unstable breathing, times an hour",
}
_SPREAD: Final = {
    "tst_median_s": "Sleep a night, median",
    "tst_p10_s": "Sleep a night, 10th percentile",
    "tst_p90_s": "Sleep a night, 90th percentile",
    "sol_median_s": "Time to fall asleep, median",
    "sol_p90_s": "Time to fall asleep, 90th percentile",
    "waso_median_s": "Awake within the night, median",
    "efficiency_median_fraction": "Sleep efficiency, median",
}
_REGULARITY: Final = {
    "bed_mean_min": "Going to bed",
    "bed_sd_min": "Going to bed, spread",
    "wake_mean_min": "Waking up",
    "wake_sd_min": "Waking up, spread",
    "midpoint_mean_min": "Middle of sleep",
    "midpoint_sd_min": "Middle of sleep, spread",
    "sri": "Sleep Regularity Index",
    "sri_valid_fraction": "Share of the time it rests on",
    "free_midpoint_min": "Middle of sleep on free days",
    "work_midpoint_min": "Middle of sleep on work days",
    "social_jetlag_min": "Social jetlag",
}
_SCORE: Final = {
    "score": "Sleep score",
    "score_efficiency": "Part: efficiency",
    "score_consistency": "Part: consistency",
    "score_duration": "Part: duration",
}
_NIGHTS: Final = {
    "nights": "Nights",
    "nights_free": "Nights before free days",
    "nights_work": "Nights before work days",
}
USER_GROUPS: Final = {
    "Nights": _NIGHTS,
    "Sleep, mean of the nights": _SLEEP,
    "Stages and breathing, mean of the nights": _STAGES,
    "Spread of the nights": _SPREAD,
    "Regularity": _REGULARITY,
    "Score": _SCORE,
}

ORGANISATION_GROUPS: Final = {
    "People": {
        "users": "People with at least half of the nights",
        "nights": "Their nights",
    },
    "Sleep, mean of the people": {
        "tst_mean_s": "Sleep a night",
        "sol_mean_s": "Time to fall asleep",
        "waso_mean_s": "Awake within the night",
        "efficiency_mean_fraction": "Sleep efficiency",
        "deep_of_tst_mean_fraction": "Deep sleep, share of sleep",
        "rem_of_tst_mean_fraction": "REM sleep, share of sleep",
        "short_sleeper_fraction": "Share of people with short sleep",
    },
    "Spread of the people": {
        "tst_median_s": "Sleep a night, median",
        "tst_p10_s": "Sleep a night, 10th percentile",
        "tst_p90_s": "Sleep a night, 90th percentile",
        "sol_median_s": "Time to fall asleep, median",
        "sol_p90_s": "Time to fall asleep, 90th percentile",
        "waso_median_s": "Awake within the night, median",
        "waso_p90_s": "Awake within the night, 90th percentile",
        "efficiency_median_fraction": "Sleep efficiency, median",
    },
    "Regularity": {
        "midpoint_mean_min": "Middle of sleep",
        "bed_sd_median_min": "Going to bed, median spread",
        "midpoint_sd_median_min": "Middle of sleep, median spread",
        "social_jetlag_median_min": "Social jetlag, median",
        "sri_mean": "Sleep Regularity Index, mean",
        "sri_median": "Sleep Regularity Index, median",
    },
    "Score": {
        "score_mean": "Sleep score, mean",
        "score_median": "Sleep score, median",
        "score_p10": "Sleep score, 10th percentile",
        "score_p90": "Sleep score, 90th percentile",
    },
}

PARTS: Final = {
    "efficiency": "Efficiency",
    "consistency": "Consistency",
    "duration": "Duration",
}

_STAGE_NAMES: Final = {
    "unknown": "stage unknown",
    "wake": "awake",
    "light": "light sleep",
    "deep": "deep sleep",
    "rem": "REM sleep",
}
_ALL_STAGES: Final = 4


def stage_name(stage: str, stage_levels: int | None) -> str:
    """A stage of sleep in words; with fewer levels than four there is only awake and asleep."""
    return "asleep" if stage == "light" and stage_levels != _ALL_STAGES else _STAGE_NAMES[stage]
