"""The figures of groups that can be chosen, with the columns that hold them and their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asleep_pipeline.charts.trends import CLOCK


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a group.

    Attributes:
        label: What people read.
        unit: Of the values shown; `CLOCK` for times of day.
        factor: What the columns' values are multiplied by.
        middle: Its column in `mart_org_week`.
        person: Its column in `mart_user_week`, one value a person.
        statistic: What the column of the group is of the people's values.
        spread: Columns of the 10th and the 90th percentile, where there are both.
    """

    label: str
    unit: str
    factor: float
    middle: str
    person: str
    statistic: str = "median"
    spread: tuple[str, str] | None = None

    @property
    def person_unit(self) -> str:
        """The unit of one person's value, clock times as plain minutes."""
        return "min after midnight" if self.unit == CLOCK else self.unit


_MIN, _HOUR, _PERCENT = 1 / 60, 1 / 3600, 100.0
MEASURES: Final = {
    measure.label: measure
    for measure in (
        Measure(
            "Total sleep time",
            "h",
            _HOUR,
            "tst_median_s",
            "tst_mean_s",
            spread=("tst_p10_s", "tst_p90_s"),
        ),
        Measure(
            "Sleep score",
            "points",
            1,
            "score_median",
            "score",
            spread=("score_p10", "score_p90"),
        ),
        Measure(
            "Sleep efficiency",
            "%",
            _PERCENT,
            "efficiency_median_fraction",
            "efficiency_mean_fraction",
        ),
        Measure("Sleep onset latency", "min", _MIN, "sol_median_s", "sol_mean_s"),
        Measure("Wake after sleep onset", "min", _MIN, "waso_median_s", "waso_mean_s"),
        Measure(
            "Deep sleep share",
            "%",
            _PERCENT,
            "deep_of_tst_mean_fraction",
            "deep_of_tst_mean_fraction",
            "mean",
        ),
        Measure(
            "REM sleep share",
            "%",
            _PERCENT,
            "rem_of_tst_mean_fraction",
            "rem_of_tst_mean_fraction",
            "mean",
        ),
        Measure("Middle of sleep", CLOCK, 1, "midpoint_mean_min", "midpoint_mean_min", "mean"),
        Measure("Spread of bedtimes", "min", 1, "bed_sd_median_min", "bed_sd_min"),
        Measure("Social jetlag", "min", 1, "social_jetlag_median_min", "social_jetlag_min"),
        Measure("Sleep Regularity Index", "-100 to 100", 1, "sri_median", "sri"),
    )
}
"""By label, in the order in which they are offered."""
