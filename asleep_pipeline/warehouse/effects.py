"""How far two samples lie apart: the difference of their means, and two sizes of effect."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Final

_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Effects:
    """The first sample against the second; positive where the first has more.

    Attributes:
        mean_difference: Mean of the first minus mean of the second.
        low: Lower end of its 95 % confidence interval (Welch 1947); None without a spread to judge.
        high: Upper end.
        hedges_g: Difference in pooled standard deviations, corrected for small samples (Hedges
            1981); None without a spread.
        cliffs_delta: How much more often a value of the first is the larger one than the smaller
            one, over all pairs, from -1 to 1 (Cliff 1993).
    """

    mean_difference: float
    low: float | None
    high: float | None
    hedges_g: float | None
    cliffs_delta: float


def effects(first: Sequence[float], second: Sequence[float]) -> Effects:
    """Compare two samples of at least one value each."""
    low, high = _interval(first, second)
    return Effects(
        fmean(first) - fmean(second),
        low,
        high,
        _hedges_g(first, second),
        _cliffs_delta(first, second),
    )


def _interval(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float] | tuple[None, None]:
    if min(len(first), len(second)) < 2:  # noqa: PLR2004 -- one value has no spread
        return None, None
    parts = [variance(sample) / len(sample) for sample in (first, second)]
    if not (squared := sum(parts)):
        return None, None
    freedom = squared**2 / sum(
        part**2 / (len(sample) - 1) for part, sample in zip(parts, (first, second), strict=True)
    )
    difference = fmean(first) - fmean(second)
    reach = _student_t(freedom) * math.sqrt(squared)
    return difference - reach, difference + reach


def _student_t(freedom: float) -> float:
    """What Student's t stays below in absolute value with a probability of 0.95."""
    from scipy.special import stdtrit  # noqa: PLC0415 -- slow

    return float(stdtrit(freedom, (1 + _CONFIDENCE) / 2))


def _hedges_g(first: Sequence[float], second: Sequence[float]) -> float | None:
    if min(len(first), len(second)) < 2:  # noqa: PLR2004 -- one value has no spread
        return None
    freedom = len(first) + len(second) - 2
    squares = sum((len(sample) - 1) * variance(sample) for sample in (first, second))
    if not squares:
        return None
    correction = math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2))
    correction /= math.sqrt(freedom / 2)
    return correction * (fmean(first) - fmean(second)) / math.sqrt(squares / freedom)


def _cliffs_delta(first: Sequence[float], second: Sequence[float]) -> float:
    ordered = sorted(second)
    above = sum(bisect_left(ordered, value) for value in first)
    below = sum(len(ordered) - bisect_right(ordered, value) for value in first)
    return (above - below) / (len(first) * len(second))
