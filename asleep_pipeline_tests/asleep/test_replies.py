"""What the API's refusals become (contract section 4)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.asleep import (
    AsleepClient,
    AsleepError,
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
    TruncatedBody,
    Unauthorized,
    UnreadableAnswer,
    UserNotFound,
)
from asleep_pipeline.asleep._http import Reply
from asleep_pipeline.asleep._replies import _retry_after_s

PAYLOADS = Path(__file__).resolve().parents[3] / "shared" / "payloads"


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (401, "Unauthorized", Unauthorized),
        (401, "", Unauthorized),
        (401, "x-user-id is invalid", InvalidUser),
        (401, "Invalid User ID", InvalidUser),
        (401, "invalid customer uuid", InvalidUser),
        (403, "Plan is expired", PlanExpired),
        (403, "QUOTA EXCEEDED", QuotaExceeded),
        (403, "rate LIMIT exceeded", RateLimited),
        (403, "Rate limit of your plan exceeded", RateLimited),
        (403, "token invalid", StopError),
        (429, "slow down", RateLimited),
        (400, "The invalid timezone is provided", InvalidRequest),
        (400, "The format of x-user-id is invalid", InvalidRequest),
        (409, "conflict", InvalidRequest),
        (413, "too large", InvalidRequest),
        (422, [{"loc": ["query", "limit"], "msg": "value is not a valid integer"}], InvalidRequest),
        (422, {"limit": "too large"}, InvalidRequest),
        (418, "teapot", InvalidRequest),
        (404, "session does not exist", SessionNotFound),
        (404, "user does not exist", UserNotFound),
        (404, "anything else", SessionNotFound),
        (500, "Internal Server Error", ServerError),
        (503, None, ServerError),
        (302, "moved", Redirected),
    ],
)
async def test_status_and_detail_decide_the_error(
    asleep: AsleepClient, vendor: Any, status: int, detail: Any, kind: type[AsleepError]
) -> None:
    """The status decides, the text only tells the 401s, the 403s and the 404s apart."""
    vendor.refuses(status, detail)
    with pytest.raises(AsleepError) as caught:
        await asleep.get_session("u", "s")
    assert type(caught.value) is kind
    assert (caught.value.endpoint, caught.value.status) == ("get_session", status)


Call = Callable[[AsleepClient], Awaitable[object]]
CALLS: dict[str, Call] = {
    "any": lambda asleep: asleep.get_user("u"),
    "GET /data/v1/sessions": lambda asleep: anext(asleep.session_pages("u", None, None)),
    "GET /ai/v1/users/{user_id}": lambda asleep: asleep.get_user("u"),
    "PUT /ai/v1/users/{user_id}": lambda asleep: asleep.update_user("u", None),
    "DELETE /ai/v1/users/{user_id}": lambda asleep: asleep.delete_user("u"),
    "DELETE /ai/v1/sessions": lambda asleep: asleep.delete_sessions("u"),
    "DELETE /ai/v1/sessions/{session_id}": lambda asleep: asleep.delete_session("u", "s"),
}
KINDS: dict[str, type[AsleepError]] = {
    "Unauthorized": Unauthorized,
    "Plan is expired": PlanExpired,
    "Rate limit exceeded": RateLimited,
    "Quota exceeded": QuotaExceeded,
    "The invalid timezone is provided": InvalidRequest,
    "user does not exist": UserNotFound,
    "user not exist": UserNotFound,
    "user_id is invalid": InvalidUser,
    "x-user-id is invalid": InvalidUser,
    "session does not exist": SessionNotFound,
}


@pytest.mark.skipif(
    not PAYLOADS.is_dir(), reason="the recorded payloads beside the project are absent"
)
async def test_recorded_errors(asleep: AsleepClient, vendor: Any) -> None:
    """Every error body that the vendor published is told apart."""
    for error in json.loads((PAYLOADS / "errors.docs.json").read_bytes()):
        detail = error["body"]["detail"]
        vendor.refuses(error["status"], detail)
        with pytest.raises(AsleepError) as caught:
            await CALLS[error["where"]](asleep)
        assert type(caught.value) is KINDS[detail], error
        assert caught.value.detail == detail


async def test_average_of_unknown_user(asleep: AsleepClient, vendor: Any) -> None:
    """The third wording of a missing user is understood, too."""
    vendor.refuses(404, "Unable to find the user of id G-1")
    with pytest.raises(UserNotFound):
        await asleep.average_stats("G-1", date(2026, 1, 1), date(2026, 1, 2))


async def test_a_404_that_speaks_of_no_user_is_a_wrong_address(
    asleep: AsleepClient, vendor: Any
) -> None:
    """A service of the same make answers like this under a wrong path."""
    vendor.refuses(404, "Not Found")
    with pytest.raises(InvalidRequest):
        await asleep.get_user("u")


@pytest.mark.parametrize("body", [b"<h1>Not Found</h1>", b"", b"[]", b'{"error": "x"}'])
async def test_foreign_404_does_not_make_a_user_look_deleted(
    asleep: AsleepClient, vendor: Any, body: bytes
) -> None:
    """A 404 without the API's envelope comes from a wrong address, not from a missing user."""
    vendor.says(httpx.Response(404, content=body))
    with pytest.raises(UnreadableAnswer) as caught:
        await asleep.get_user("u")
    assert not isinstance(caught.value, Gone)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"result": 1} x'])
async def test_success_without_an_envelope_is_unreadable(
    asleep: AsleepClient, vendor: Any, body: bytes
) -> None:
    """A 200 that is not the API's is refused at once, not retried."""
    vendor.says(httpx.Response(200, content=body))
    with pytest.raises(UnreadableAnswer):
        await asleep.get_user("u")
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("body", [b"", b'{"detail": "OK", "res', b'{"result": {"a": [1, 2'])
async def test_json_that_ends_early_is_truncated(
    asleep: AsleepClient, vendor: Any, body: bytes
) -> None:
    """JSON cut short is asked for again, and told as such when it stays short."""
    vendor.says(httpx.Response(200, content=body))
    with pytest.raises(TruncatedBody):
        await asleep.get_user("u")
    assert len(vendor.requests) > 1


async def test_wrong_result_is_only_met_when_it_is_read(asleep: AsleepClient, vendor: Any) -> None:
    """An answer whose result breaks the contract can still be stored."""
    vendor.says(httpx.Response(200, content=b'{"result": {"odd": true}}'))
    answer = await asleep.get_session("u", "s")
    assert answer.body == b'{"result": {"odd": true}}'
    with pytest.raises(UnreadableAnswer):
        _ = answer.result


async def test_stop_errors_exit_with_3_and_say_what_to_do(
    asleep: AsleepClient, vendor: Any
) -> None:
    """An expired plan stops the run with one sentence, its fix, and the code of configuration."""
    vendor.refuses(403, "Plan is expired")
    with pytest.raises(StopError) as caught:
        await asleep.get_user("u")
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "get_user: Asleep refuses: the plan has expired (403: Plan is expired)."
        " Renew the plan with Asleep."
    )


async def test_redirect_names_the_host_only(asleep: AsleepClient, vendor: Any) -> None:
    """The place a redirect points to is told without its path and query."""
    vendor.says(httpx.Response(307, headers={"location": "https://elsewhere.example/u?token=1"}))
    with pytest.raises(Redirected, match=r"307: elsewhere\.example\)"):
        await asleep.get_user("u")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after_holds_seconds_or_a_date(value: str, seconds: float | None) -> None:
    """Both forms of the header are read; a moment that has passed is no wait."""
    assert _retry_after_s(Reply(503, {"retry-after": value}, b"")) == seconds


def test_retry_after_in_the_future() -> None:
    """A date ahead is the time until then."""
    seconds = _retry_after_s(Reply(503, {"retry-after": "Fri, 21 Oct 2950 07:28:00 GMT"}, b""))
    assert seconds is not None
    assert seconds > 10**9


@settings(deadline=None, derandomize=True)
@given(st.text() | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [A-Z+\-0-9]{0,5}"))
def test_any_retry_after_is_survived(value: str) -> None:
    """A header is a number of seconds or nothing, whatever it holds."""
    seconds = _retry_after_s(Reply(503, {"retry-after": value}, b""))
    assert seconds is None or seconds >= 0
