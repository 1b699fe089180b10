"""What the package offers by name."""

from __future__ import annotations

from asleep_pipeline import asleep


def test_public_names_are_these() -> None:
    """Nothing leaks out of the package and nothing falls out of it unnoticed."""
    assert asleep.__all__ == [
        "EPOCH_S",
        "INFERENCE_COMPLETE",
        "SESSION_COMPLETE",
        "Answer",
        "AsleepClient",
        "AsleepError",
        "AverageStats",
        "Averages",
        "BodyTooLarge",
        "CircuitOpen",
        "ConnectionFailed",
        "Counters",
        "CreatedUser",
        "Event",
        "Gone",
        "Inference",
        "InvalidRequest",
        "InvalidUser",
        "LastSession",
        "Metadata",
        "NeverSleptSession",
        "NotJsonError",
        "Period",
        "PlanExpired",
        "QuotaExceeded",
        "RateLimited",
        "Redirected",
        "ServerError",
        "Session",
        "SessionDetail",
        "SessionItem",
        "SessionNotFound",
        "SessionPage",
        "SleptSession",
        "Stat",
        "StopError",
        "TransientError",
        "TruncatedBody",
        "Unauthorized",
        "UnreadableAnswer",
        "UpdatedUser",
        "User",
        "UserNotFound",
        "decode_average_stats",
        "decode_created_user",
        "decode_session",
        "decode_session_page",
        "decode_updated_user",
        "decode_user",
        "read_event",
        "read_inference",
        "read_session",
    ]
    assert all(hasattr(asleep, name) for name in asleep.__all__)
