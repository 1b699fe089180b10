"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from asleep_pipeline.dashboard import words


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.duration(25_500), "7 h 05 min"),
        (words.duration(3599), "1 h 00 min"),
        (words.minutes(840), "14 min"),
        (words.clock(-65), "22:55"),
        (words.clock(1439.6), "00:00"),
        (words.around(-55, 30.6), "23:05 ± 31 min"),
        (words.around(-55, None), "23:05"),
        (words.percent(0.934), "93 %"),
        (words.percent(0.9341, 1), "93.4 %"),
        (words.number(1234.56, "per h", 1), "1,234.6 per h"),
        (words.number(0), "0"),
        (words.count(1, "night"), "1 night"),
        (words.count(0, "night"), "0 nights"),
        (words.count(1200, "person", "people"), "1,200 people"),
        (words.day(date(2026, 11, 5)), "Thu 5 Nov 2026"),
        (words.moment(datetime(2026, 11, 5, 9, 30, tzinfo=UTC)), "5 Nov 2026, 09:30 UTC"),
    ],
)
def test_figures_in_words(said: str, expected: str) -> None:
    """Units stand beside every figure, and rounding carries over."""
    assert said == expected


@pytest.mark.parametrize(
    "say",
    [
        words.duration,
        words.minutes,
        words.clock,
        words.percent,
        words.number,
        words.day,
        words.moment,
        lambda value: words.around(value, 12),
    ],
)
def test_what_was_not_measured_is_a_dash(say: object) -> None:
    """NULL is never shown as 0."""
    assert callable(say)
    assert say(None) == "\N{EN DASH}"
