"""User metadata and its limits (contract section 2, U1)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import msgspec

from asleep_pipeline.simulator.refusals import Refusal, unprocessable

_LEAP_YEAR = 2000


class Metadata(msgspec.Struct):
    """What an account may say about a user; every key is optional and may be null."""

    birth_year: Annotated[int, msgspec.Meta(ge=1900)] | None = None
    birth_month: Annotated[int, msgspec.Meta(ge=1, le=12)] | None = None
    birth_day: Annotated[int, msgspec.Meta(ge=1, le=31)] | None = None
    gender: Literal["male", "female", "non_binary", "other", "prefer_not_to_say"] | None = None
    height: Annotated[float, msgspec.Meta(ge=0, le=300)] | None = None
    weight: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None


class CreateBody(msgspec.Struct):
    """Body of create-user."""

    metadata: Metadata | None = None


class UpdateBody(msgspec.Struct):
    """Body of update-user, whose key is required."""

    metadata: Metadata | None


def read_metadata(
    body: bytes, shape: type[CreateBody | UpdateBody], this_year: int
) -> dict[str, Any] | None:
    """Read the metadata of a request.

    Raises:
        Refusal: 422, naming the first value beyond its limits.
    """
    try:
        metadata = msgspec.json.decode(body, type=shape).metadata
    except msgspec.DecodeError as error:
        raise unprocessable("body", "metadata", str(error)) from error
    if metadata is None:
        return None
    _check(metadata, this_year)
    return msgspec.to_builtins(metadata)  # type: ignore[no-any-return]


def _check(metadata: Metadata, this_year: int) -> None:
    problems = {
        "birth_year": (metadata.birth_year or 0) > this_year,
        "birth_day": not _day_exists(metadata),
        "height": _has_second_decimal(metadata.height),
        "weight": _has_second_decimal(metadata.weight),
    }
    wrong = next((name for name, is_wrong in problems.items() if is_wrong), None)
    if wrong:
        raise _out_of_limits(wrong, getattr(metadata, wrong))


def _out_of_limits(name: str, value: object) -> Refusal:
    return unprocessable("body", name, f"{value!r} is beyond the limits of {name}")


def _day_exists(metadata: Metadata) -> bool:
    if metadata.birth_day is None or metadata.birth_month is None:
        return True
    try:
        date(metadata.birth_year or _LEAP_YEAR, metadata.birth_month, metadata.birth_day)
    except ValueError:
        return False
    return True


def _has_second_decimal(value: float | None) -> bool:
    return value is not None and round(value, 1) != value
