"""One answer: the bytes as they came, read on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Answer(Generic[T]):
    """What the API said to one request.

    Attributes:
        body: The body as received, after decompression.
        status: The HTTP status, always 2xx.
        fetched_at: When the answer was complete, UTC.
    """

    body: bytes = field(repr=False)
    status: int
    fetched_at: datetime
    decode: Callable[[bytes], T] = field(repr=False)

    @cached_property
    def result(self) -> T:
        """The body as a typed struct, decoded at the first access.

        Raises:
            UnreadableAnswer: If the body does not follow the contract.
        """
        return self.decode(self.body)
