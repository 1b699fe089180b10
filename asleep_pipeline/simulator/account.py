"""The account behind the API key: is it valid, paid for, within its rate and quota?"""

from __future__ import annotations

import time

from asleep_pipeline.simulator.faults import Faults
from asleep_pipeline.simulator.refusals import Refusal


class Account:
    """Decides which requests the vendor would refuse whatever they ask.

    Args:
        api_key: The only accepted key.
        faults: Read at every request.
    """

    def __init__(self, api_key: str, faults: Faults) -> None:
        self._api_key = api_key.encode()
        self._faults = faults
        self.restart()

    def restart(self) -> None:
        """Forget the sessions served and the rate used."""
        self._tokens = 1.0
        self._refilled_at = time.monotonic()
        self._served: set[str] = set()

    def refusal(self, api_key: bytes | None, session_id: str | None) -> Refusal | None:
        """Return the refusal of a request, or None.

        Args:
            api_key: The key it came with.
            session_id: The session whose detail it asks for; None for anything else.
        """
        faults = self._faults
        if faults.key_revoked or api_key != self._api_key:
            return Refusal(401, "Unauthorized")
        if faults.plan_expired:
            return Refusal(403, "Plan is expired")
        if faults.requests_per_second and not self._admitted(faults.requests_per_second):
            wait = faults.retry_after_s
            headers = {} if wait is None else {"retry-after": str(wait)}
            return Refusal(faults.rate_limit_status, "Rate limit exceeded", headers)
        if session_id and faults.quota is not None and not self._within(faults.quota, session_id):
            return Refusal(403, "Quota exceeded")
        return None

    def _admitted(self, rate: float) -> bool:
        """Take a token from a bucket that holds one second's worth."""
        now = time.monotonic()
        refilled = self._tokens + (now - self._refilled_at) * rate
        self._tokens = min(max(1.0, rate), refilled)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _within(self, quota: int, session_id: str) -> bool:
        if session_id not in self._served and len(self._served) >= quota:
            return False
        self._served.add(session_id)
        return True
