"""Colours that can be told apart, by the contrast of WCAG 2."""

from __future__ import annotations

from itertools import pairwise

import pytest

from asleep_pipeline.charts import theme

NEIGHBOURS = (
    *pairwise(theme.STAGE_COLOURS[stage] for stage in ("wake", "rem", "light", "deep")),
    *pairwise(theme.QUALITY_COLOURS.values()),
)


def channels(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def luminance(rgb: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(channels(one)), luminance(channels(other))))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [theme.INK, theme.MUTED])
def test_text_is_readable(colour: str) -> None:
    """Text has 4.5:1 on white and on empty places."""
    assert min(contrast(colour, ground) for ground in (theme.WHITE, theme.FAINT)) >= 4.5


@pytest.mark.parametrize(
    "colour",
    sorted(
        {
            *theme.STAGE_COLOURS.values(),
            *theme.QUALITY_COLOURS.values(),
            *theme.GROUP_COLOURS,
            theme.IN_BED,
            theme.OUTLINE,
        }
    ),
)
def test_marks_stand_out_from_white(colour: str) -> None:
    """Every mark has 3:1 to the ground."""
    assert contrast(colour, theme.WHITE) >= 3


@pytest.mark.parametrize(("one", "other"), NEIGHBOURS)
def test_neighbours_differ_in_lightness(one: str, other: str) -> None:
    """Stages that lie on each other, and qualities, have 3:1 without any colour."""
    assert contrast(one, other) >= 3


@pytest.mark.parametrize("ground", theme.HEAT_UNDER_TEXT)
def test_numbers_in_cells_are_readable(ground: str) -> None:
    """Between both ends the ground only gets darker, so the ends decide."""
    assert contrast(theme.INK, ground) >= 4.5


def test_more_is_darker() -> None:
    """A calendar can be read without colours."""
    shades = [luminance(channels(colour)) for colour in theme.HEAT]
    assert shades == sorted(shades, reverse=True)


def test_every_stage_has_colour_and_label() -> None:
    """The warehouse's stages, and one for where they are not told apart."""
    stages = {"wake", "light", "deep", "rem", "unknown", "asleep"}
    assert set(theme.STAGE_COLOURS) == set(theme.STAGE_LABELS) == stages
