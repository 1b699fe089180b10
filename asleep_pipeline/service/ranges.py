"""Ranges of dates that a request asks for, and the zone they are meant in."""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from typing import Annotated, Final, TypeAlias

from litestar.exceptions import HTTPException
from litestar.params import QueryParameter

from asleep_pipeline.zones.names import is_zone

EARLIEST: Final = date(1970, 1, 1)
"""Zones are known from then on."""
LATEST: Final = date(2100, 12, 31)

FirstDate: TypeAlias = Annotated[
    date, QueryParameter(name="from", description="First date, included.")
]
LastDate: TypeAlias = Annotated[date, QueryParameter(name="to", description="Last date, included.")]
FirstDateOrNone: TypeAlias = Annotated[
    date | None, QueryParameter(name="from", description="First date, included.", required=False)
]
LastDateOrNone: TypeAlias = Annotated[
    date | None, QueryParameter(name="to", description="Last date, included.", required=False)
]
Zone: TypeAlias = Annotated[
    str,
    QueryParameter(
        max_length=64, description="Zone (IANA) of dates and clock times.", required=False
    ),
]


class BadRange(HTTPException):
    """A range or a zone that cannot be answered for."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY


def check_range(first: date, last: date, *, most_days: int) -> None:
    """Say whether a range can be answered for.

    Args:
        first: First date, included.
        last: Last date, included.
        most_days: Most dates that it may have.

    Raises:
        BadRange: It ends before it begins, is too long, or is out of the calendar.
    """
    if not EARLIEST <= first <= LATEST or not EARLIEST <= last <= LATEST:
        raise BadRange(f"from, to: dates are from {EARLIEST} to {LATEST}.")
    if last < first:
        raise BadRange("to: it is before from.")
    if (last - first).days >= most_days:
        raise BadRange(f"from, to: at most {most_days} days at once.")


def check_zone(timezone: str) -> None:
    """Say whether a zone is known.

    Raises:
        BadRange: It is none of the IANA database, in its spelling.
    """
    if not is_zone(timezone):
        raise BadRange("timezone: it is no IANA zone, such as Asia/Seoul.")
