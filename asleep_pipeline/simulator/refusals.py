"""Refusals in the API's own words (contract section 4)."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):  # noqa: N818 - it is an answer, and a normal one
    """An answer other than success.

    Args:
        status: HTTP status.
        detail: The body's `detail`.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, detail: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def unprocessable(place: str, name: str, message: str) -> Refusal:
    """Refuse a value in the shape of the framework the service appears to use (inferred)."""
    return Refusal(422, [{"loc": [place, name], "msg": message, "type": "value_error"}])
