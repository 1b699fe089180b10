"""Everything that can go wrong on request; all of it is off unless it is set."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]

Corruption = Literal[
    "percent", "bad_stage", "negative", "end_before_start", "text_number", "no_session", "not_json"
]
"""Ways in which one get-session answer breaks the contract."""


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Faults of the transport, the account, and the data. Shares are drawn from a seeded stream.

    Faults of the data are part of `World.sessions`, the truth, except for `corrupted` answers.

    Those of webhooks are drawn for each event by its own, so that they are the same in any order.

    Attributes:
        seed: Starts the stream from which shares are drawn.
        latency_s: Seconds that every answer waits.
        latency_jitter_s: Up to so many seconds more, evenly drawn.
        requests_per_second: Rate above which requests are refused; a burst of one second is free.
        rate_limit_status: 403 as documented, or 429.
        retry_after_s: Value of a `Retry-After` header on these refusals; None sends none.
        quota: Number of distinct analysed sessions served before `Quota exceeded`.
        plan_expired: Refuse everything with `Plan is expired`.
        key_revoked: Refuse everything with `Unauthorized`.
        server_error_share: Share of requests answered by 500, 502 or 503.
        reset_share: Share of connections reset instead of an answer.
        truncated_share: Share of bodies cut off half-way.
        slow_share: Share of bodies sent in pieces over `slow_s`.
        slow_s: Seconds that a slow body takes.
        appearing_share: Share of a user's sessions that appear after the first page was served.
        vanishing_share: Share of them that are deleted after the first page was served.
        changing_share: Share of complete sessions that are CLOSED until the first page was served.
        recomputed_share: Share of sessions recomputed some days after they were complete.
        recomputed: Session ids, and the instant from which a new result holds.
        late_uploads: Session ids, and the instant at which the session arrives.
        deleted_sessions: Session ids that are gone.
        deleted_users: User ids that are gone.
        pending_users: User ids with `to_be_deleted`.
        corrupted: Session ids, and how their get-session answer breaks the contract.
        webhook_loss_share: Share of webhooks that are never sent.
        webhook_duplicate_share: Share of webhooks that are sent again within a minute.
        webhook_wrong_key_share: Share of webhooks that come with another key.
        webhook_delay_s: Seconds by which webhooks are late.
        webhook_delay_share: Share of webhooks that are late by `webhook_delay_s`.
        webhook_reorder: Put off each webhook by up to ten minutes, so that they overtake each other.
    """

    seed: int = 0
    latency_s: NotNegative = 0.0
    latency_jitter_s: NotNegative = 0.0
    requests_per_second: Annotated[float, msgspec.Meta(gt=0)] | None = None
    rate_limit_status: Literal[403, 429] = 403
    retry_after_s: int | None = None
    quota: int | None = None
    plan_expired: bool = False
    key_revoked: bool = False
    server_error_share: Share = 0.0
    reset_share: Share = 0.0
    truncated_share: Share = 0.0
    slow_share: Share = 0.0
    slow_s: NotNegative = 1.0
    appearing_share: Share = 0.0
    vanishing_share: Share = 0.0
    changing_share: Share = 0.0
    recomputed_share: Share = 0.0
    recomputed: dict[str, datetime] = {}
    late_uploads: dict[str, datetime] = {}
    deleted_sessions: set[str] = set()
    deleted_users: set[str] = set()
    pending_users: set[str] = set()
    corrupted: dict[str, Corruption] = {}
    webhook_loss_share: Share = 0.0
    webhook_duplicate_share: Share = 0.0
    webhook_wrong_key_share: Share = 0.0
    webhook_delay_s: NotNegative = 0.0
    webhook_delay_share: Share = 1.0
    webhook_reorder: bool = False

    def become(self, other: Faults) -> None:
        """Take over every value of another set of faults."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(other, name))
