"""Everything the Asleep API can do to us, as one tree.

```
AsleepError                 what was asked (endpoint), what came back (status, detail)
├── StopError               no request with this key will work: stop, do not retry      exit code 3
│   ├── Unauthorized        401: the key is missing or wrong
│   ├── PlanExpired         403: the plan has ended
│   ├── QuotaExceeded       403: the contracted number of analysed sessions is used up
│   └── Redirected          3xx: the base address is not the API's
├── Gone                    404: skip this one, go on with the others
│   ├── UserNotFound
│   └── SessionNotFound
├── InvalidRequest          400, 409, 413, 422 and other 4xx: the request itself is wrong
│   └── InvalidUser         401 that speaks of the user id, not of the key
├── TransientError          worth another attempt; raised once the attempts are used up
│   ├── RateLimited         403 whose detail says rate limit, or 429
│   ├── ServerError         5xx
│   ├── ConnectionFailed    no answer: refused, reset, timed out
│   ├── TruncatedBody       the answer ended before its end
│   └── CircuitOpen         not asked at all: the service failed again and again a moment ago
├── BodyTooLarge            the answer exceeded the cap and was not read to its end
└── UnreadableAnswer        an answer that does not follow the contract, with the path and the value
```

The texts of the vendor's details changed between revisions, so the status decides; the text only
tells the 403s apart, and the two 401s (contract section 4).
"""

# ruff: noqa: N818 - errors are named after what happened, as in httpx

from __future__ import annotations

from asleep_pipeline.errors import AsleepPipelineError


class AsleepError(AsleepPipelineError):
    """A call of the Asleep API that did not succeed.

    Args:
        problem: What went wrong, as one sentence.
        fix: What the reader can do about it, as one sentence; may be empty.
        endpoint: Name of the call, such as ``get_session``.
        status: HTTP status of the answer; None when there was none.
        detail: The API's own words, shortened; empty when there were none.
        retry_after_s: Seconds the API asked to wait; None when it did not say.
        cause: Kind of the network's error, such as ``ReadTimeout``; empty when there was none.
    """

    def __init__(
        self,
        problem: str,
        *,
        fix: str = "",
        endpoint: str,
        status: int | None = None,
        detail: str = "",
        retry_after_s: float | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(problem, fix=fix)
        self.endpoint = endpoint
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.cause = cause


class StopError(AsleepError):
    """No request with this key will work until somebody acts."""

    exit_code = 3


class Unauthorized(StopError):
    """The API key is missing or wrong."""


class PlanExpired(StopError):
    """The plan behind the key has ended."""


class QuotaExceeded(StopError):
    """The contracted number of analysed sessions is used up."""


class Redirected(StopError):
    """The address answers with a redirect, which is never followed: the key would go along."""


class Gone(AsleepError):
    """What was asked for does not exist, or no longer."""


class UserNotFound(Gone):
    """The user does not exist, or no longer."""


class SessionNotFound(Gone):
    """The session does not exist, or no longer."""


class InvalidRequest(AsleepError):
    """The request is wrong and would be wrong again."""


class InvalidUser(InvalidRequest):
    """The user id is not one that Asleep issued to this account."""


class TransientError(AsleepError):
    """A failure that a later attempt may not meet."""


class RateLimited(TransientError):
    """The API refused because of too many requests."""


class ServerError(TransientError):
    """The API failed on its side."""


class ConnectionFailed(TransientError):
    """There was no answer.

    Args:
        problem: As in `AsleepError`.
        endpoint: As in `AsleepError`.
        sent: Whether the request may have reached the server.
        cause: As in `AsleepError`.
    """

    def __init__(self, problem: str, *, endpoint: str, sent: bool, cause: str = "") -> None:
        super().__init__(
            problem,
            fix="Check the network and the base address, then try again.",
            endpoint=endpoint,
            cause=cause,
        )
        self.sent = sent


class TruncatedBody(TransientError):
    """The answer ended before its end."""


class CircuitOpen(TransientError):
    """The call was not made: the service failed again and again a moment ago."""


class BodyTooLarge(AsleepError):
    """The answer exceeded the cap; the rest was not read."""


class UnreadableAnswer(AsleepError):
    """An answer that does not follow the contract.

    Args:
        problem: What cannot be read, with the value shortened.
        endpoint: As in `AsleepError`.
        status: As in `AsleepError`.
        path: Where in the answer's result, such as ``stat.sleep_latency``; empty for the whole.
    """

    def __init__(
        self, problem: str, *, endpoint: str, status: int | None = None, path: str = ""
    ) -> None:
        fix = "Keep the raw answer and compare it with the API contract."
        super().__init__(problem, fix=fix, endpoint=endpoint, status=status)
        self.path = path
