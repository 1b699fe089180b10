"""What tells of one person in a stream of bytes: their id in several notations, and those of their sessions."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]

_SHORTEST_IN_BASE64: Final = 9
"""Bytes; of less, too few letters are left that do not depend on what stands around them."""

Bytes: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Traces:
    """What to look for.

    Attributes:
        user_id: Of the person.
        session_ids: Of sessions that are nobody else's.
        others: Ids of other users that hold the person's as a part; where one of these stands,
            nothing is said of the person.
    """

    user_id: str
    session_ids: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    _spelled: str = field(init=False)
    _exact: re.Pattern[bytes] = field(init=False)

    def __post_init__(self) -> None:
        own = [*notations(self.user_id), *(name.encode() for name in self.session_ids)]
        theirs = sorted({n for other in self.others for n in notations(other)}, key=len)
        object.__setattr__(self, "_spelled", "|".join(map(_spelled, own)))
        either = (
            [b"(?P<other>" + b"|".join(map(re.escape, reversed(theirs))) + b")"] if theirs else []
        )
        exact = b"|".join([*either, *map(re.escape, own)])
        object.__setattr__(self, "_exact", re.compile(exact))

    @property
    def longest(self) -> int:
        """Bytes of the longest notation."""
        return max(
            len(n)
            for each in (self.user_id, *self.others, *self.session_ids)
            for n in notations(each)
        )

    def are_in(self, data: Bytes) -> bool:
        """Whether they stand in some bytes."""
        return self.are_among(_one(data))

    def are_among(self, values: Any) -> bool:
        """Whether they stand in a value of an Arrow array of texts or of bytes."""
        found = pc.match_substring_regex(values, self._spelled)
        if not pc.any(found).as_py():
            return False
        if not self.others:
            return True
        suspects = values.filter(found).cast(pa.large_binary())
        return any(next(self.places(value.as_buffer()), None) for value in suspects)

    def places(self, data: Bytes) -> Iterator[tuple[int, int]]:
        """Where they begin and end in some bytes."""
        for match in self._exact.finditer(data):
            if match.lastgroup != "other":
                yield match.span()

    def without(self, data: bytes, instead: bytes) -> bytes:
        """The bytes with something else in their place."""
        return self._exact.sub(
            lambda match: match[0] if match.lastgroup == "other" else instead, data
        )


def notations(text: str) -> list[bytes]:
    """The ways in which programs write an id: each once, the plain one first.

    As it is, in JSON, in HTML, in a URL, in both UTF-16, and in base64 at any place of a longer text.
    """
    plain = text.encode()
    escaped = json.dumps(text)[1:-1]
    forms = [
        plain,
        escaped.encode(),
        escaped.replace("/", "\\/").encode(),
        html.escape(text).encode(),
        quote(text, safe="").encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
    ]
    if len(plain) >= _SHORTEST_IN_BASE64:
        forms += _in_base64(plain)
    return list(dict.fromkeys(forms))


def _in_base64(plain: bytes) -> Iterator[bytes]:
    """The letters that do not depend on what stands around it."""
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            letters = encode(bytes(before) + plain)
            first = -(-before * 8 // 6)
            yield letters[first : (before + len(plain)) * 8 // 6]


def _spelled(form: bytes) -> str:
    """A form as a regular expression in which no character has a meaning of its own."""
    return "".join(chr(b) if chr(b).isalnum() and b < 0x80 else f"\\x{b:02x}" for b in form)  # noqa: PLR2004 -- ASCII


def _one(data: Bytes) -> Any:
    """Some bytes as an Arrow array of one value, without a copy."""
    offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])
