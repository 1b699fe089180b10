"""Wall clocks of columns and calendar dates of scalars.

Columns are converted with the rules of `asleep_pipeline.zones.rules`, never with an engine's
own zones. Only UTC and naive datetimes come in and go out: a value that carries a zone name can
change its instant on its way from one engine to another.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import pendulum
import polars as pl

from asleep_pipeline.errors import UsageError


def add_local_time(
    frame: pl.DataFrame,
    rules: pl.DataFrame,
    *,
    instant: str,
    zone: str,
    local: str,
    offset_min: str,
) -> pl.DataFrame:
    """Add the wall time and the UTC offset that each row's own zone had at its instant.

    Args:
        frame: Rows in any order, which stays.
        rules: What `zone_rules` returns, in any order.
        instant: Column of instants: Datetime in UTC, or naive and meant as UTC.
        zone: Column of IANA names (String, Enum or Categorical).
        local: Name of the new wall time, a naive Datetime in us, exact to the microsecond.
        offset_min: Name of the new offset in minutes east of UTC (Int16). An offset with seconds
            (Monrovia until 1972: -44:30) is cut towards zero, here to -44.

    Returns:
        The frame with both columns added or replaced; both are null where the instant or the
        zone is null and where the rules do not know the zone.
    """
    utc = pl.col(instant).cast(pl.Datetime("us"))
    offset_s = pl.lit(_offsets(frame.select(utc=utc, tz=pl.col(zone).cast(pl.String)), rules))
    return frame.with_columns(
        (utc + pl.duration(seconds=offset_s)).alias(local),
        (offset_s / 60).cast(pl.Int16).alias(offset_min),
    )


def _offsets(instants: pl.DataFrame, rules: pl.DataFrame) -> pl.Series:
    ordered = instants.with_row_index("row").sort("utc")
    matched = ordered.join_asof(
        rules.sort("utc_from"),
        left_on="utc",
        right_on="utc_from",
        by="tz",
        check_sortedness=False,  # both are sorted just above; with `by` polars cannot see it
    )
    return matched.sort("row").get_column("offset_s")


def utc_date(instant: datetime) -> date:
    """Date in UTC at an instant: the day of the partition grid that a session's start is in.

    Raises:
        UsageError: The datetime is naive, so that it names no instant.
    """
    if instant.tzinfo is None:
        raise UsageError(
            f"The time {instant.isoformat()} has no UTC offset.",
            fix="Give it one, such as +00:00.",
        )
    return instant.astimezone(UTC).date()


def parse_date(text: str) -> date:
    """Read a date written as `YYYY-MM-DD`.

    Raises:
        UsageError: The text is anything else or names a day that no calendar has.
    """
    # fromisoformat reads more than one form (20260329, 2026-W13-7); isoformat writes only this one.
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise UsageError(f"{text!r} is not a date.", fix="Write it as YYYY-MM-DD, like 2026-03-29.")
    return day


def months_between(start: date, end: date) -> list[date]:
    """First day of every calendar month that a period touches, in order.

    Args:
        start: First day, inclusive.
        end: Last day, inclusive.

    Raises:
        UsageError: The end is before the start.
    """
    if end < start:
        raise UsageError(
            f"The end {end} is before the start {start}.",
            fix="Swap the two dates.",
        )
    first, last = (pendulum.date(day.year, day.month, 1) for day in (start, end))
    months = pendulum.Interval(first, last).range("months")
    return [date(month.year, month.month, 1) for month in months]
