"""Settings of the figures: what is refused, and what makes another version of the score."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from asleep_pipeline.sleep.parameters import DurationBand, Parameters, Score


@pytest.mark.parametrize(
    "wrong",
    [
        {"free_days": (0,)},
        {"free_days": (8,)},
        {"sleep_need_s": 0},
        {"sleep_need_s": 86_401},
        {"short_sleep_s": -1},
        {"min_group_size": 0},
        {"min_group": 3},
        {"score": {"efficiency_weight": 0.5}},
        {"score": {"efficiency_weight": 1.4, "consistency_weight": -0.7}},
        {"score": {"consistency_limit_min": 0}},
        {"score": {"consistency_limit_min": 721}},
        {"score": {"duration_otherwise": 101}},
        {"score": {"duration_bands": [{"from_h": 7, "to_h": 25, "points": 100}]}},
        {"score": {"duration_bands": [{"from_h": 7, "points": 100}]}},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """Before anything is calculated with them."""
    with pytest.raises(ValidationError):
        Parameters.model_validate(wrong)


def test_weights_that_do_not_add_up_are_told() -> None:
    """With their sum."""
    with pytest.raises(ValidationError, match=r"add up to 1, not to 1\.1"):
        Score(efficiency_weight=0.5)


def test_thirds_add_up() -> None:
    """The error of decimal fractions is no mistake of the user."""
    third = 1 / 3
    Score(efficiency_weight=third, consistency_weight=third, duration_weight=third)
    Score(efficiency_weight=0.1, consistency_weight=0.2, duration_weight=0.7)


def test_the_version_follows_every_parameter_of_the_score() -> None:
    """The same ones make the same version, in every process; each other one another."""
    band = DurationBand(from_h=7, to_h=8, points=100)
    others = (
        Score(efficiency_weight=0.3, consistency_weight=0.4),
        Score(consistency_limit_min=90),
        Score(duration_bands=(band,)),
        Score(duration_otherwise=50),
    )
    assert len({Score().version, *(other.version for other in others)}) == 5
    assert Score().version == Score.model_validate(Score().model_dump()).version
    assert Score().version == "1-cf21cb0c"


def test_parameters_cannot_be_changed() -> None:
    """What a file was made with stays what it was."""
    with pytest.raises(ValidationError, match="frozen"):
        Parameters().min_group_size = 1
