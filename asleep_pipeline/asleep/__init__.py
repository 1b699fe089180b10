"""The Asleep API: one async client, typed answers, one error tree.

```python
import asyncio
from datetime import date

from asleep_pipeline.asleep import AsleepClient


async def main() -> None:
    async with AsleepClient("the key from your dashboard") as asleep:
        async for item in asleep.list_sessions("G-...", date(2026, 1, 1), date(2026, 1, 31)):
            answer = await asleep.get_session("G-...", item.session_id)
            print(item.session_id, answer.result.stat)


asyncio.run(main())
```

An `Answer` holds the bytes as they came and decodes them when ``.result`` is first read; stored
bytes are read by `decode_session` and its siblings. Instants are aware datetimes, durations are
seconds, ratios are fractions 0-1, and what an answer lacks is None. Undocumented keys are kept in
``extra``; a value that was written in another dialect than the contract's is named in
``readings``.

Connection faults, broken answers, 5xx, 429 and the 403 that speaks of a rate limit are tried
again, up to seven times and five minutes, with growing and random waits and with Retry-After
honoured; ``stamina.set_testing(True)`` removes the waits. What is left arrives as an
`AsleepError`, which says what to do:

```python
try:
    await asleep.get_session(user_id, session_id)
except Gone:            # the user or the session does not exist: go on with the next
    ...
except StopError:       # key, plan or quota: nothing will work until somebody acts
    raise
except TransientError:  # all attempts failed: come back later
    ...
```

The rate of a key is learned from refusals, or capped by ``requests_per_second``, and shared by
all processes that name the same ``budget_file``. Each request leaves one structlog line
``asleep_request`` (debug when it succeeded, warning when not) without key, user or query;
``client.counters`` has the sums.
"""

from __future__ import annotations

from asleep_pipeline.asleep._calls import Counters
from asleep_pipeline.asleep.answer import Answer
from asleep_pipeline.asleep.client import AsleepClient
from asleep_pipeline.asleep.decoding import (
    decode_average_stats,
    decode_created_user,
    decode_session,
    decode_session_page,
    decode_updated_user,
    decode_user,
)
from asleep_pipeline.asleep.errors import (
    AsleepError,
    BodyTooLarge,
    CircuitOpen,
    ConnectionFailed,
    Gone,
    InvalidRequest,
    InvalidUser,
    PlanExpired,
    QuotaExceeded,
    RateLimited,
    Redirected,
    ServerError,
    SessionNotFound,
    StopError,
    TransientError,
    TruncatedBody,
    Unauthorized,
    UnreadableAnswer,
    UserNotFound,
)
from asleep_pipeline.asleep.events import (
    EPOCH_S,
    INFERENCE_COMPLETE,
    SESSION_COMPLETE,
    Event,
    Inference,
    NotJsonError,
    read_event,
    read_inference,
    read_session,
)
from asleep_pipeline.asleep.models import (
    Averages,
    AverageStats,
    CreatedUser,
    LastSession,
    Metadata,
    NeverSleptSession,
    Period,
    Session,
    SessionDetail,
    SessionItem,
    SessionPage,
    SleptSession,
    Stat,
    UpdatedUser,
    User,
)

__all__ = [
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
