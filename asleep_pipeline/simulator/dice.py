"""Randomness by name: the same seed and name always give the same numbers, on any machine.

Nothing is drawn from a shared stream, so any person and any night can be made alone and first.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random


def dice(seed: int, *name: object) -> Random:
    """Return the random source that belongs to a name, e.g. `dice(7, user_id, "trip", 12)`."""
    text = "\x1f".join(map(str, (seed, *name)))
    return Random(int.from_bytes(blake2b(text.encode(), digest_size=8).digest()))


def chance(seed: int, *name: object) -> float:
    """Return one number from 0 to 1 that belongs to a name."""
    text = "\x1f".join(map(str, (seed, *name)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64
