"""Reads the values of options; a value that cannot be one is a usage error that names its option."""

from __future__ import annotations

from datetime import UTC, date, datetime

import typer

from asleep_pipeline.errors import UsageError


def read_day(text: str | date) -> date:
    """A calendar date, `YYYY-MM-DD`; the default of an option comes as a date already."""
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date such as 2026-05-31.") from None


def read_month(text: str) -> date:
    """A calendar month, `YYYY-MM`, as its first day."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a month such as 2026-05.") from None


def read_instant(text: str) -> datetime:
    """An aware instant in ISO 8601, returned in UTC; without an offset it is read as UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-05-31T12:00Z.") from None
    return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)


def read_words(given: str, option: str) -> str:
    """A name, without what is around it.

    Raises:
        UsageError: There is nothing to see; says in which option.
    """
    text = given.strip()
    if not text or not text.isprintable():
        raise UsageError(f"{option} says nothing.", fix="Give it some visible characters.")
    return text
