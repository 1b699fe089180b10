"""Users in parts, so that what is built of their rows at a time fits into memory."""

from __future__ import annotations


def in_parts(rows: str, size: int) -> str:
    """A SELECT of `user_id` and `part` (0, 1, ...) that holds every user once.

    Neighbouring users share a part, so that what is written part by part is in the order of users.

    Args:
        rows: What stands in FROM; a row a thing of a user, with `user_id`.
        size: Rows after which the next user begins another part.
    """
    return f"""
        SELECT user_id, ((sum(n) OVER (ORDER BY user_id) - n) // {size})::INTEGER AS part
        FROM (SELECT user_id, count(*) AS n FROM {rows} GROUP BY user_id)
    """
