"""The key goes into one header and nowhere else."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from asleep_pipeline.asleep import AsleepClient, AsleepError

CANARY = SecretStr("canary-8f2c1e")
TESTS = Path(__file__).parent


def quoting(status: int) -> Callable[[httpx.Request], httpx.Response]:
    """A vendor whose errors quote the key they were sent."""
    return lambda request: httpx.Response(
        status, json={"detail": f"bad key {request.headers['x-api-key']}"}
    )


def failing(kind: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
    """A network that fails with an error that quotes and holds the key."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise kind(f"cannot send {request.headers['x-api-key']}", request=request)

    return fail


def told(error: BaseException) -> str:
    """All that a log could tell of an error: its chain, with the variables of our own frames."""
    lines = [repr(error), str(error), repr(vars(error))]
    summary: traceback.TracebackException | None = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    while summary:
        lines.append(str(summary))
        ours = [frame for frame in summary.stack if str(TESTS) not in frame.filename]
        lines.extend(str(frame.locals) for frame in ours)
        summary = summary.__cause__ or summary.__context__
    return "\n".join(lines)


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(quoting(401), id="401"),
        pytest.param(quoting(403), id="403"),
        pytest.param(quoting(404), id="404"),
        pytest.param(quoting(422), id="422"),
        pytest.param(quoting(500), id="500"),
        pytest.param(quoting(302), id="302"),
        pytest.param(failing(httpx.ConnectError), id="connect"),
        pytest.param(failing(httpx.ReadError), id="read"),
        pytest.param(failing(httpx.LocalProtocolError), id="protocol"),
        pytest.param(failing(httpx.ReadTimeout), id="timeout"),
    ],
)
async def test_key_is_in_no_error_and_no_log(
    handler: Callable[[httpx.Request], httpx.Response], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails, and whatever the vendor quotes, the key stays out of errors and logs."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        async with AsleepClient(CANARY, transport=httpx.MockTransport(handler)) as client:
            with pytest.raises(AsleepError) as caught:
                await client.get_session("user-1", "session-1")
    for text in (told(caught.value), str(lines), caplog.text):
        assert CANARY.get_secret_value() not in text
    assert lines
    assert "user-1" not in str([line for line in lines if line["event"] == "asleep_request"])
    assert "user-1" not in caplog.text
    assert "session-1" not in caplog.text
    # httpx's own error would hold the request, and with it the key.
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_errors_quote_no_ids(vendor: Any) -> None:
    """The vendor names whom it does not know; an error, which ends up in logs, does not."""
    vendor.refuses(404, "Unable to find the user of id G-2026 1, session 20260101_a")
    async with AsleepClient(CANARY, transport=httpx.MockTransport(vendor)) as client:
        with pytest.raises(AsleepError) as user:
            await client.get_user("G-2026 1")
        with pytest.raises(AsleepError) as session:
            await client.get_session("G-2026 1", "20260101_a")
    assert user.value.detail == "Unable to find the user of id [id], session 20260101_a"
    assert session.value.detail == "Unable to find the user of id [id], session [id]"
    assert "G-2026" not in str(user.value) + str(session.value)


async def test_key_is_in_no_repr() -> None:
    """A client shows where it asks and for whom, not with which key."""
    async with AsleepClient(CANARY, organisation="clinic") as client:
        assert repr(client) == (
            "AsleepClient(base_url='https://api.asleep.ai', organisation='clinic')"
        )
        assert CANARY.get_secret_value() not in str(vars(client))


async def test_key_is_in_no_file(tmp_path: Path) -> None:
    """The file of the budget knows a key by a hash only."""

    def good(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"result": {}})

    transport = httpx.MockTransport(good)
    path = tmp_path / "budget.db"
    async with AsleepClient(CANARY, budget_file=path, transport=transport) as client:
        await client.get_user("user-1")
        # While the client is open, the file has its journal beside it.
        contents = [each.read_bytes() for each in tmp_path.glob("*")]  # noqa: ASYNC240 - small
    assert contents
    for content in contents:
        assert CANARY.get_secret_value().encode() not in content
        assert b"user-1" not in content
