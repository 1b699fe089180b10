"""Whatever the network and the account do, one sync after it has passed the data is the truth."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asleep_pipeline_tests.faults import weather
from asleep_pipeline_tests.faults.company import Company, Process, details_kept, wait_until

pytestmark = pytest.mark.faults

DAY = timedelta(days=1)
ERRORS = {"quota end": "QuotaExceeded", "plan end": "PlanExpired", "key revoked": "Unauthorized"}


@pytest.mark.parametrize("kind", weather.KINDS)
def test_a_pull_outlives_it(going: tuple[Company, Process], kind: str, seed: int) -> None:
    """Retries and the budget see it through; what they could not have, the next pull gets."""
    made, process = going
    made.sim.clock.advance(DAY)
    made.sim.world.forget_changes()
    weather.put(made.sim.faults, seed=seed, **weather.KINDS[kind])
    told = process.do("pull", made.now)["told"]
    assert told["details"] > 0
    weather.put(made.sim.faults)
    if told["is_partial"] or kind == "paging":
        assert not process.do("pull", made.now)["told"]["is_partial"]
    made.assert_true()


@pytest.mark.parametrize("kind", weather.STOPS)
def test_what_stops_the_pull_in_the_middle_loses_nothing(
    going: tuple[Company, Process], kind: str
) -> None:
    """One error; the answers until then are kept, and only the others are asked for afterwards."""
    made, process = going
    made.sim.clock.advance(DAY)
    made.sim.requests.reset()
    kept_before = details_kept(made)
    weather.put(made.sim.faults, latency_s=0.03)
    process.order("pull", made.now)
    wait_until(lambda: made.sim.requests["get_session"] >= 8)
    # Of a quota that has come to its end nothing new is served.
    weather.put(made.sim.faults, **weather.STOPS[kind] | ({"quota": 0} if "quota" in kind else {}))
    assert process.answer()["error"] == ERRORS[kind]
    kept = details_kept(made) - kept_before
    weather.put(made.sim.faults)
    made.sim.requests.reset()
    told = process.do("pull", made.now)["told"]
    assert not told["is_partial"]
    assert (
        made.sim.requests["get_session"]
        == told["details"]
        == details_kept(made) - kept_before - kept
    )
    made.assert_true()


def test_what_came_in_all_weather_is_published(going: tuple[Company, Process]) -> None:
    """Session for session."""
    made, process = going
    assert not process.do("sync", made.now)["told"]["is_partial"]
    made.assert_recovered()
