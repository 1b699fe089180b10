"""Ids and zone names come from outside: nothing that could change a path or a header passes."""

from __future__ import annotations

from urllib.parse import quote

from asleep_pipeline.asleep.errors import InvalidRequest


def quoted(name: str, value: str, endpoint: str) -> str:
    """Return an id as one path segment.

    Raises:
        InvalidRequest: If the value is empty, a dot segment, or holds what no id can hold.
    """
    return quote(checked(name, value, endpoint), safe="")


def checked(name: str, value: str, endpoint: str) -> str:
    """Return a header value or an id as it is.

    Raises:
        InvalidRequest: As `quoted` does.
    """
    if value in {"", ".", ".."} or value != value.strip() or not value.isprintable():
        raise InvalidRequest(
            f"The {name} {value[:60]!r} cannot be asked for.",
            fix=f"Give the {name} as Asleep issued it: not empty, no dot segment, no control characters.",
            endpoint=endpoint,
        )
    return value
