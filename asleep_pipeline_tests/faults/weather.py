"""Faults, drawn by a seed: each on its own, and many at once."""

from __future__ import annotations

from random import Random
from typing import Any

from asleep_pipeline.simulator import Faults

KINDS: dict[str, dict[str, Any]] = {
    "latency": {"latency_s": 0.01, "latency_jitter_s": 0.05},
    "rate 403": {"requests_per_second": 60.0, "rate_limit_status": 403},
    "rate 429": {"requests_per_second": 60.0, "rate_limit_status": 429},
    "rate 403 with a time": {
        "requests_per_second": 80.0,
        "rate_limit_status": 403,
        "retry_after_s": 1,
    },
    "rate 429 with a time": {
        "requests_per_second": 80.0,
        "rate_limit_status": 429,
        "retry_after_s": 1,
    },
    "5xx": {"server_error_share": 0.2},
    "resets": {"reset_share": 0.15},
    "truncated": {"truncated_share": 0.15},
    "slow": {"slow_share": 0.1, "slow_s": 0.3},
    "paging": {"appearing_share": 0.15, "vanishing_share": 0.15, "changing_share": 0.15},
}
"""Faults that a run outlives, by name."""

STOPS: dict[str, dict[str, Any]] = {
    "quota end": {"quota": 30},
    "plan end": {"plan_expired": True},
    "key revoked": {"key_revoked": True},
}
"""Faults that end a run, by name."""


def mixed(draws: Random, *, most: int = 4) -> tuple[list[str], dict[str, Any]]:
    """Some faults at once, one of them perhaps one that stops: their names and values."""
    names = draws.sample(sorted(KINDS), draws.randint(1, most))
    values: dict[str, Any] = {"seed": draws.randrange(10_000)}
    for name in names:
        values |= KINDS[name]
    if draws.random() < 0.25:
        stop = draws.choice(sorted(STOPS))
        names.append(stop)
        values |= STOPS[stop]
    return names, values


def put(faults: Faults, **values: Any) -> None:
    """Switch on these faults of the answers and off all others; what changes the data stays."""
    data = {name: getattr(faults, name) for name in _OF_THE_DATA}
    faults.become(Faults(**(data | values)))


_OF_THE_DATA = (
    "recomputed_share",
    "recomputed",
    "late_uploads",
    "deleted_sessions",
    "deleted_users",
    "pending_users",
)
