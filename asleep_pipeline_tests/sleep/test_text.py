"""Figures as people read them."""

from __future__ import annotations

import pytest

from asleep_pipeline_tests.sleep.conftest import Evaluate


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 h 00 min"),
        (29, "0 h 00 min"),
        (30, "0 h 01 min"),
        (3569, "0 h 59 min"),
        (3570, "1 h 00 min"),
        (25_500, "7 h 05 min"),
        (100 * 3600, "100 h 00 min"),
        (None, None),
    ],
)
def test_durations(evaluate: Evaluate, seconds: float | None, text: str | None) -> None:
    """To the nearest minute, and never 60 of them."""
    assert evaluate("duration_text($1::DOUBLE)", seconds) == text


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (0, "00:00"),
        (-55, "23:05"),
        (-0.4, "00:00"),
        (-0.6, "23:59"),
        (1439.4, "23:59"),
        (1439.6, "00:00"),
        (425, "07:05"),
        (-720, "12:00"),
        (None, None),
    ],
)
def test_clock_times(evaluate: Evaluate, minutes: float | None, text: str | None) -> None:
    """Over midnight in both directions, and never 24:00."""
    assert evaluate("clock_text($1::DOUBLE)", minutes) == text
