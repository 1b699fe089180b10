"""Weekdays as people write them, and as the tables hold them: ISO numbers, Monday is 1."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _parse_days(value: object) -> object:
    """Read `sat,sun`, `6,7`, a list of either, or one weekday."""
    items = re.split(r"[\s,;]+", value.strip()) if isinstance(value, str) else value
    items = [items] if isinstance(items, int) else items
    if not isinstance(items, list | tuple):
        return value
    return tuple(sorted({_parse_day(item) for item in items}))


def _parse_day(item: object) -> int:
    text = str(item).strip().lower()
    by_name = text[:3] if text.isalpha() else ""
    number = _NAMES.index(by_name) + 1 if by_name in _NAMES else text
    if str(number) not in set("1234567"):
        raise ValueError("it should be weekdays such as 'sat,sun' or '6,7'")
    return int(number)


Weekday = Annotated[int, Field(ge=1, le=7)]
Weekdays = Annotated[tuple[Weekday, ...], BeforeValidator(_parse_days)]
"""ISO weekdays, ascending, each once."""
