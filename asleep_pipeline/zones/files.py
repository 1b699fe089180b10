"""When a zone's own file says that its offset may change: the compiled form of RFC 8536 (TZif)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib import resources
from typing import Final

_COUNTS: Final = struct.Struct(">20x6l")
"""Of a block: UT and standard indicators, leap seconds, transitions, types, characters of names."""


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """The moments at which something changes, in seconds since 1970, UTC.

    Attributes:
        changes: Those that are listed, in order.
        rule: What holds after the last of them, as POSIX writes it; with a comma it goes on changing.
    """

    changes: tuple[int, ...]
    rule: bytes


def read_zone_file(name: str) -> ZoneFile:
    """The file of a known zone in the `tzdata` package."""
    content = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    # The first block has 32 bits a moment and is there for readers of the last century.
    ut, standard, leaps, changes, types, names = _COUNTS.unpack_from(content)
    second = _COUNTS.size + changes * 5 + types * 6 + names + leaps * 8 + standard + ut
    (_, _, _, changes, _, _) = _COUNTS.unpack_from(content, second)
    moments = struct.unpack_from(f">{changes}q", content, second + _COUNTS.size)
    return ZoneFile(moments, content.rsplit(b"\n", 2)[1])
