"""When a failed request is worth another attempt, and how long to wait for it."""

from __future__ import annotations

import random
from typing import Any, Final

from asleep_pipeline.asleep._budget import LONGEST_PAUSE_S
from asleep_pipeline.asleep.errors import (
    CircuitOpen,
    ConnectionFailed,
    RateLimited,
    TransientError,
)

# For `stamina.retry_context`: waits of 0.5, 1, 2 ... 20 s plus up to a second of jitter.
SCHEDULE: Final[dict[str, Any]] = {
    "attempts": 7,
    "timeout": 300.0,
    "wait_initial": 0.5,
    "wait_max": 20.0,
    "wait_jitter": 1.0,
}


def again(error: Exception) -> bool | float:
    """Whether to repeat a request that may be repeated; seconds when the API named them."""
    if not isinstance(error, TransientError) or isinstance(error, CircuitOpen):
        return False
    if error.retry_after_s is None:
        return True
    # Those who were told the same time do not come back in the same moment.
    return min(error.retry_after_s, LONGEST_PAUSE_S) + random.uniform(0, 1)  # noqa: S311


def again_if_unseen(error: Exception) -> bool | float:
    """As `again`, for a request that must not take effect twice."""
    return False if may_have_worked(error) else again(error)


def may_have_worked(error: Exception) -> bool:
    """Whether a request that failed so may have taken effect nevertheless."""
    if isinstance(error, ConnectionFailed):
        return error.sent
    return not isinstance(error, RateLimited)
