"""How answers get into raw."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from asleep_pipeline.asleep import CircuitOpen, Unauthorized
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.extract import answers
from asleep_pipeline.extract.averages import pull_averages
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.crowd import Crowd, run
from asleep_pipeline.extract.sessions import PullReport, Window, pull_sessions
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.simulator import Faults
from asleep_pipeline_tests.small_world import FIRST, TODAY, SmallWorld

APRIL = date(2026, 4, 1)


def pull_by(world: SmallWorld, clients: Clients) -> PullReport:
    """Pull everybody by other clients than the world's own."""
    return pull_sessions(
        world.lake,
        clients,
        Window(FIRST, TODAY),
        shard=0,
        now=world.sim.clock.now(),
        recompute_days=7,
    )


def ask_for_averages(
    world: SmallWorld, clients: Clients | None = None, *, refetch: bool = False
) -> Crowd:
    """Pull the averages of April."""
    return pull_averages(
        world.lake,
        clients or world.clients(),
        APRIL,
        shard=0,
        fallbacks=world.platform.fallbacks(world.lake),
        now=world.sim.clock.now(),
        recompute_days=7,
        refetch=refetch,
    )


def test_every_answer_is_kept_as_it_came(world: SmallWorld) -> None:
    """One row an answer, with the question, the time and the hash of the body."""
    report = world.pull(FIRST, TODAY)
    raw = world.lake.frame("SELECT * FROM raw")
    assert raw.height == report.pages + report.details == report.answers_by_date.total()
    for row in raw.to_dicts():
        assert answers.sha256(row["body"]) == row["body_sha256"]
        assert (row["status"], row["source"], row["timezone"]) == (200, "pull", "UTC")


def test_an_answer_that_raw_holds_is_not_stored_twice(world: SmallWorld) -> None:
    """That it was asked again is noted; its body is not repeated."""
    world.load(FIRST, TODAY)
    before = world.lake.frame("SELECT * FROM raw").height
    world.pull(FIRST, TODAY, refetch=True)
    raw = world.lake.frame("SELECT * FROM raw ORDER BY rowid")
    assert raw.height == 2 * before
    assert raw[before:]["body"].null_count() == before


def test_a_long_pull_is_committed_in_chunks(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a crash loses one chunk at most."""
    monkeypatch.setattr(answers, "CHUNK_ANSWERS", 10)
    before = world.lake.snapshot_id()
    report = world.pull(FIRST, TODAY)
    commits = world.lake.snapshot_id() - before
    assert 2 <= commits <= report.answers_by_date.total() / 10 + 1
    world.normalise()
    world.assert_true(FIRST, TODAY)


def test_a_service_that_fails_for_everyone_stops_the_pull(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is blamed for it, and nobody is marked as gone."""
    monkeypatch.setattr("asleep_pipeline.asleep._breaker.OUTAGE_TO_OPEN_S", 0.0)
    world.sim.faults.server_error_share = 1.0
    with pytest.raises(CircuitOpen):
        world.pull(FIRST, TODAY)
    assert world.lake.frame("SELECT * FROM users WHERE deleted_at IS NOT NULL").is_empty()


def two_organisations(world: SmallWorld) -> Clients:
    """Clients of a world whose first user belongs to an organisation with a key that was revoked."""
    first = world.sim.world.people[0].user_id
    roster = pl.DataFrame(
        [
            {"user_id": p.user_id, "org_id": "clinic" if p.user_id == first else "default"}
            for p in world.sim.world.people
        ]
    )
    put_users(world.lake, roster, now=world.sim.clock.now())
    clients = world.clients()
    return replace(clients, keys={**clients.keys, "clinic": SecretStr("revoked")})


def test_one_organisation_s_trouble_is_not_another_s(world: SmallWorld) -> None:
    """Everybody else is pulled to the end; then the run fails for what the first one met."""
    clients = two_organisations(world)
    with pytest.raises(Unauthorized):
        pull_by(world, clients)
    pulled = world.lake.frame("SELECT DISTINCT user_id FROM raw")["user_id"].to_list()
    others = [person.user_id for person in world.sim.world.people[1:]]
    assert sorted(pulled) == sorted(others)
    assert clients.failures == {"list_sessions: Unauthorized": 1}


def test_one_organisation_s_averages_do_not_wait_for_another_s(world: SmallWorld) -> None:
    """The averages of everybody else are kept."""
    clients = two_organisations(world)
    with pytest.raises(Unauthorized):
        ask_for_averages(world, clients)
    assert world.lake.frame("SELECT * FROM raw").height == len(world.sim.world.people) - 1


def test_an_organisation_of_strangers_is_a_wrong_key(world: SmallWorld) -> None:
    """Nobody of it is taken for gone, though users of another organisation answer."""
    now = world.sim.clock.now()
    strangers = [f"G-20240101000000-{letter * 20}" for letter in "AB"]
    put_users(
        world.lake, pl.DataFrame({"user_id": strangers, "org_id": ["clinic", "clinic"]}), now=now
    )
    clients = world.clients()
    both = replace(clients, keys={**clients.keys, "clinic": clients.keys["default"]})
    report = pull_by(world, both)
    assert report.crowd.failed == 2
    assert world.lake.frame("SELECT * FROM users WHERE deleted_at IS NOT NULL").is_empty()


def test_a_budget_that_cannot_be_kept_is_told_in_a_sentence(
    world: SmallWorld, tmp_path: Path
) -> None:
    """It is a matter of the machine, and no bug."""
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"no database at all" * 100)
    clients = replace(world.clients(), budget_file=damaged)
    with pytest.raises(ConfigurationError, match="request budget"):
        pull_by(world, clients)


def test_final_averages_are_asked_for_once(world: SmallWorld) -> None:
    """A month is final once its last night cannot be recomputed any more."""
    people = len(world.sim.world.people)
    assert ask_for_averages(world).users == people
    assert ask_for_averages(world).users == people
    world.sim.clock.advance(timedelta(days=8))
    assert ask_for_averages(world).users == people
    assert ask_for_averages(world).users == 0
    assert ask_for_averages(world, refetch=True).users == people


def test_averages_are_asked_for_in_the_user_s_own_zone(world: SmallWorld) -> None:
    """They cannot be moved to another zone afterwards."""
    ask_for_averages(world)
    raw = world.lake.frame("SELECT user_id, timezone FROM raw ORDER BY user_id").rows()
    assert raw == sorted((p.user_id, p.timezone) for p in world.sim.world.people)


def test_faults_are_counted_by_endpoint(world: SmallWorld) -> None:
    """Requests, retries and refusals of one run."""
    world.sim.faults.become(Faults(seed=1, server_error_share=0.3))
    clients = world.clients()
    ask_for_averages(world, clients)
    assert clients.requests == world.sim.requests
    assert clients.requests["average_stats"] == 3 + clients.retries["average_stats"]


def test_an_error_of_ours_is_never_swallowed() -> None:
    """Only what stops everyone is raised as itself."""

    async def fails() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run(fails())
