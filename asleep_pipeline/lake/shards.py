"""Which shard a user belongs to: the same on every machine and in every release."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


# The answers of a user come in a row.
@lru_cache(maxsize=1_000)
def shard_of(user_id: str, shards: int) -> int:
    """The user's shard, 0 to `shards` - 1; changing this function would orphan every lake."""
    digest = blake2b(user_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards
