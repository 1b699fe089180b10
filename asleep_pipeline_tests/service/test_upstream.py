"""What goes wrong at Asleep becomes an answer of ours, in words of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar.exceptions import HTTPException

from asleep_pipeline.asleep import AsleepClient, Metadata
from asleep_pipeline.service import upstream as module
from asleep_pipeline.service.upstream import Upstream
from asleep_pipeline.settings import Settings
from asleep_pipeline_tests.small_world import SmallWorld

Ask = Callable[[AsleepClient, str], Any]


def get_user(asleep: AsleepClient, user_id: str) -> Any:
    """Any call."""
    return asleep.get_user(user_id)


async def failure(settings: Settings, user_id: str, ask: Ask = get_user) -> HTTPException:
    """What a call becomes that does not succeed."""
    upstream = Upstream(settings)
    try:
        with pytest.raises(HTTPException) as raised:
            async with upstream.asking("acme") as asleep:
                await ask(asleep, user_id)
    finally:
        await upstream.close()
    return raised.value


@pytest.mark.parametrize(
    ("faults", "status", "word"),
    [
        ({"key_revoked": True}, 502, "operators"),
        ({"plan_expired": True}, 502, "plan"),
        ({"server_error_share": 1.0}, 503, "reached"),
        ({"reset_share": 1.0}, 503, "reached"),
    ],
)
async def test_failures_have_an_answer(
    world: SmallWorld, faults: dict[str, Any], status: int, word: str
) -> None:
    """Operators are told what to do; nothing is quoted, the key least of all."""
    for name, value in faults.items():
        setattr(world.sim.faults, name, value)
    error = await failure(world.platform.settings, world.sim.world.people[0].user_id)
    assert (error.status_code, word in error.detail) == (status, True)
    assert world.sim.api_key not in f"{error!r} {error.__cause__!r} {error.__context__!r}"
    headers = error.headers or {}
    assert ("retry-after" in headers) == (status == 503)


async def test_refusals_of_the_rate_say_when_to_come_back(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Asleep refuses to the last, or nobody waits any longer."""
    world.sim.faults.requests_per_second = 0.001
    settings, user_id = world.platform.settings, world.sim.world.people[0].user_id
    # The first request is free.
    upstream = Upstream(settings)
    async with upstream.asking("acme") as asleep:
        await asleep.get_user(user_id)
    await upstream.close()
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    error = await failure(settings, user_id)
    assert (error.status_code, (error.headers or {})["retry-after"]) == (503, "10")


async def test_who_is_not_there_is_not_found(world: SmallWorld) -> None:
    """The answer is that of any other thing that does not exist."""
    error = await failure(world.platform.settings, "G-20260101000000-AAAAAAAAAAAAAAAAAAAA")
    assert (error.status_code, error.detail) == (404, "There is no such thing.")


async def test_what_asleep_refuses_is_unprocessable(world: SmallWorld) -> None:
    """Its reasons are not passed on: they quote what was sent."""

    def wrong(asleep: AsleepClient, user_id: str) -> Any:
        return asleep.update_user(user_id, Metadata(height=999.0))

    user_id = world.sim.world.people[0].user_id
    error = await failure(world.platform.settings, user_id, wrong)
    assert (error.status_code, error.detail) == (422, "Asleep does not accept this.")


async def test_an_organisation_without_a_key_is_told_so(world: SmallWorld) -> None:
    """It is nothing that who asks could change."""
    settings = world.platform.settings.model_copy(update={"api_key": None})
    error = await failure(settings, "anybody")
    assert error.status_code == 502
    assert "operators" in error.detail


async def test_a_key_that_is_replaced_holds_from_the_next_call_on(
    world: SmallWorld, tmp_path: Path
) -> None:
    """No restart is needed; each organisation has its own."""
    file = tmp_path / "key"
    file.write_text("an-old-key")
    acme = {"api_key_file": str(file)}
    settings = world.with_settings(organisations={"acme": acme}).platform.settings
    upstream, user_id = Upstream(settings), world.sim.world.people[0].user_id
    with pytest.raises(HTTPException):
        async with upstream.asking("acme") as asleep:
            await asleep.get_user(user_id)
    file.write_text(world.sim.api_key)
    async with upstream.asking("acme") as asleep:
        assert (await asleep.get_user(user_id)).result.user_id == user_id
    await upstream.close()
