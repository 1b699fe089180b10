"""The sleep score: bands of duration, consistency, and what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.sleep.parameters import Score
from asleep_pipeline_tests.sleep.conftest import Evaluate

H = 3600
BANDS = [band.model_dump() for band in Score().duration_bands]
minutes = st.floats(0, 720)


def points(evaluate: Evaluate, sleep_s: float | None) -> float | None:
    """Points of a night by the default bands."""
    value: float | None = evaluate(
        "duration_points($1::INTEGER, $2::STRUCT(from_h DOUBLE, to_h DOUBLE, points DOUBLE)[], 40.0)",
        sleep_s,
        BANDS,
    )
    return value


def consistency(
    evaluate: Evaluate, bed: float | None, midpoint: float | None, limit: float = 120
) -> float | None:
    """Points of a spread of bedtime and of midpoint."""
    value: float | None = evaluate(
        "consistency_points($1::DOUBLE, $2::DOUBLE, $3::DOUBLE)", bed, midpoint, limit
    )
    return value


@pytest.mark.parametrize(
    ("sleep_s", "expected"),
    [
        (0, 40),
        (5 * H - 1, 40),
        (5 * H, 60),
        (6 * H - 1, 60),
        (6 * H, 80),
        (7 * H - 1, 80),
        (7 * H, 100),
        (8 * H, 100),
        (9 * H, 100),
        (9 * H + 1, 80),
        (10 * H, 80),
        (10 * H + 1, 60),
        (11 * H, 60),
        (11 * H + 1, 40),
        (24 * H, 40),
        (None, None),
    ],
)
def test_bands_hold_both_of_their_ends(
    evaluate: Evaluate, sleep_s: int | None, expected: float | None
) -> None:
    """7 to 9 h are worth 100, up to an hour more or less 80, two hours 60, everything else 40."""
    assert points(evaluate, sleep_s) == expected


def test_without_bands_everything_is_otherwise(evaluate: Evaluate) -> None:
    """Bands are a setting, and there may be none."""
    none = "[]::STRUCT(from_h DOUBLE, to_h DOUBLE, points DOUBLE)[]"
    assert evaluate(f"duration_points(28800, {none}, 70.0)") == 70


@pytest.mark.parametrize(
    ("bed", "midpoint", "expected"),
    [
        (0, 0, 100),
        (60, 60, 50),
        (30, 60, 62.5),
        (120, 120, 0),
        (240, 0, 0),
        (700, 700, 0),
        (None, 10, None),
        (10, None, None),
        (None, None, None),
    ],
)
def test_consistency(
    evaluate: Evaluate, bed: float | None, midpoint: float | None, expected: float | None
) -> None:
    """No spread is worth 100, a mean spread of 2 h or more nothing, an unknown one is unknown."""
    assert consistency(evaluate, bed, midpoint) == expected


@settings(deadline=None, derandomize=True)
@given(minutes, minutes, minutes)
def test_more_spread_never_scores_higher(
    evaluate: Evaluate, bed: float, midpoint: float, more: float
) -> None:
    """Whichever of the two grows; and the points stay between 0 and 100."""
    first = consistency(evaluate, bed, midpoint)
    assert first is not None
    assert 0 <= first <= 100
    for later in (
        consistency(evaluate, bed + more, midpoint),
        consistency(evaluate, bed, midpoint + more),
    ):
        assert later is not None
        assert later <= first
