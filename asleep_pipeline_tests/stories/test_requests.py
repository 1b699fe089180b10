"""How many requests the pipeline sends, and that it misses nothing by sending so few."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from asleep_pipeline.asleep import PlanExpired, QuotaExceeded, Unauthorized
from asleep_pipeline.errors import AsleepPipelineError
from asleep_pipeline.orchestration.runs import Outcome, RunFailedError
from asleep_pipeline.simulator import Faults
from asleep_pipeline.simulator.calendar import Slot
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY, SmallWorld, small_world

DAY = timedelta(days=1)
NIGHT = NOON - timedelta(hours=35)


def sync(world: SmallWorld) -> Counter[str]:
    """Do what the schedule does, without Dagster; return the requests it took."""
    world.sim.requests.reset()
    lookback = timedelta(days=world.platform.settings.lookback_days)
    world.load(world.today - DAY - lookback, world.today)
    return Counter(world.sim.requests)


def complete(world: SmallWorld, *, since: date = FIRST, younger_than_days: int = 999) -> int:
    """How many sessions are COMPLETE and ended within so many days."""
    ended_after = world.sim.clock.now() - timedelta(days=younger_than_days)
    rows = world.truth(since, world.today).values()
    return sum(row["state"] == "COMPLETE" and row["ended_at"] > ended_after for row in rows)


def some_session(world: SmallWorld, *, days_ago: int) -> str:
    """The id of a COMPLETE session that ended about so many days ago."""
    past = world.today - timedelta(days=days_ago)
    rows = world.truth(past - 3 * DAY, past)
    return max(session_id for (_, session_id), row in rows.items() if row["state"] == "COMPLETE")


def test_a_backfill_lists_each_user_once_and_asks_for_complete_sessions_only(
    world: SmallWorld,
) -> None:
    """One list a user, one detail a COMPLETE session, and nothing else."""
    world.load(FIRST, TODAY)
    people = len(world.sim.world.people)
    assert world.sim.requests == {"list_sessions": people, "get_session": complete(world)}


def test_a_listing_costs_one_request_a_page(tmp_path: Path) -> None:
    """More than 100 sessions in 90 days are two pages, which share one row."""
    first = TODAY - 89 * DAY
    with small_world(tmp_path, people=8, first_date=first) as world:
        report = world.pull(first, TODAY)
        listed = Counter(user_id for user_id, _ in world.truth(first, TODAY))
        pages = sum(1 + (sessions >= 100) for sessions in listed.values())
        assert pages > len(listed)
        assert report.pages == world.sim.requests["list_sessions"] == pages
        assert world.sim.requests["get_session"] == report.details == complete(world, since=first)


def test_a_second_sync_on_the_same_day_lists_and_asks_for_no_detail(world: SmallWorld) -> None:
    """Without news, a sync is one list a user, and the table stays as it is."""
    sync(world)
    before = world.content()
    assert sync(world) == {"list_sessions": len(world.sim.world.people)}
    assert world.content().equals(before)


def test_the_next_day_asks_for_new_and_for_young_sessions(world: SmallWorld) -> None:
    """COMPLETE sessions are read again once a day until they are a week old."""
    sync(world)
    world.sim.clock.advance(DAY)
    asked = sync(world)
    assert asked == {
        "list_sessions": len(world.sim.world.people),
        "get_session": complete(world, younger_than_days=7),
    }
    assert sync(world)["get_session"] == 0
    world.assert_true(FIRST, world.today)


def test_a_second_backfill_asks_for_no_settled_detail_unless_told_to(world: SmallWorld) -> None:
    """What is settled is never asked for again, and `refetch` asks for all of it."""
    world.load(FIRST, TODAY)
    world.sim.clock.advance(30 * DAY)
    rows = world.truth(FIRST, TODAY).values()
    # Read when it was younger than at the last reading of a daily sync, if it was there at all.
    not_settled = sum(row["ended_at"] > NOON - 6 * DAY for row in rows)
    world.sim.requests.reset()
    world.load(FIRST, TODAY)
    assert world.sim.requests["get_session"] == not_settled < len(rows) / 2
    world.sim.requests.reset()
    world.load(FIRST, TODAY)
    assert world.sim.requests["get_session"] == 0
    world.pull(FIRST, TODAY, refetch=True)
    assert world.sim.requests["get_session"] == len(world.truth(FIRST, TODAY))


def test_a_late_upload_far_back_is_found_by_the_next_sync(tmp_path: Path) -> None:
    """A session of 60 days ago that arrives today costs one detail, and one date is written."""
    first = TODAY - 70 * DAY
    with small_world(tmp_path, people=2, first_date=first) as world:
        late = some_session(world, days_ago=60)
        world.sim.faults.late_uploads[late] = world.sim.clock.now() + timedelta(minutes=1)
        sync(world)
        assert late not in {session_id for _, session_id in world.stored()}
        world.sim.clock.advance(timedelta(hours=1))
        assert sync(world)["get_session"] == 1
        world.assert_true(first, TODAY)


def test_a_deletion_far_back_is_found_by_the_next_sync(tmp_path: Path) -> None:
    """A session of 60 days ago that was deleted today leaves the table, without a detail asked."""
    first = TODAY - 70 * DAY
    with small_world(tmp_path, people=2, first_date=first) as world:
        sync(world)
        doomed = some_session(world, days_ago=60)
        world.sim.faults.deleted_sessions.add(doomed)
        assert sync(world)["get_session"] == 0
        assert doomed not in {session_id for _, session_id in world.stored()}
        world.assert_true(first, TODAY)


def test_only_changed_partitions_are_written_and_reported(tmp_path: Path) -> None:
    """Two changes of 60 days ago: beside the run's own dates, Dagster and the lake see just these."""
    first = TODAY - 70 * DAY
    with small_world(tmp_path, people=2, first_date=first) as world:
        late, gone = (some_session(world, days_ago=days) for days in (60, 50))
        world.sim.faults.late_uploads[late] = world.sim.clock.now() + timedelta(minutes=1)
        sync(world)
        world.sim.clock.advance(timedelta(hours=1))
        world.sim.faults.deleted_sessions.add(gone)
        before = world.lake.snapshot_id()
        outcome = world.pipeline().sync()
        far = {f"{date.fromisoformat(session_id[:8])}|0" for session_id in (late, gone)}
        near = {f"{day}|0" for day in (TODAY - DAY, TODAY)}
        assert materialised(outcome, "sessions") == far | near
        assert changed_sessions(world, since=before) == {late, gone}
        world.assert_true(first, TODAY)


def materialised(outcome: Outcome, asset: str) -> set[str]:
    """The partitions of an asset that Dagster was told about."""
    events = dg.DagsterInstance.get().all_logs(
        outcome.runs[0], of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    told = [e.get_dagster_event() for e in events]
    return {e.partition or "" for e in told if e.asset_key == dg.AssetKey(asset)}


def changed_sessions(world: SmallWorld, *, since: int) -> set[str]:
    """The sessions that commits after a snapshot wrote or removed."""
    changes = "ducklake_table_changes('lake', 'main', 'sessions', $1, $2)"
    rows = world.lake.frame(
        f"SELECT session_id FROM {changes}", [since + 1, world.lake.snapshot_id()]
    )
    return set(rows["session_id"])


def test_a_session_is_followed_from_open_to_complete(world: SmallWorld) -> None:
    """Each state is stored as it is listed; the detail is asked for once it is COMPLETE."""
    world.sim.clock.set(NIGHT)
    key = next(
        key for key, row in world.truth(TODAY - 3 * DAY, TODAY).items() if row["state"] == "OPEN"
    )
    sync(world)
    world.sim.clock.set(NOON)
    end = world.truth(TODAY - 3 * DAY, TODAY)[key]["ended_at"]
    states = [world.stored()[key]]
    for moment in (end + timedelta(seconds=30), end + timedelta(hours=1)):
        world.sim.clock.set(moment)
        sync(world)
        world.assert_true(FIRST, world.today)
        states.append(world.stored()[key])
    assert [row["state"] for row in states] == ["OPEN", "CLOSED", "COMPLETE"]
    assert [row["has_detail"] for row in states] == [False, False, True]


def test_a_recomputed_session_is_read_again_within_a_week(world: SmallWorld) -> None:
    """A new result without any sign in the list replaces the old one."""
    young = some_session(world, days_ago=4)
    sync(world)
    before = world.content()
    world.sim.faults.recomputed[young] = world.sim.clock.now() + timedelta(hours=1)
    world.sim.clock.advance(DAY)
    sync(world)
    world.assert_true(FIRST, world.today)
    assert not world.content().equals(before)


def test_a_session_recomputed_while_nothing_was_pulled_is_read_again(world: SmallWorld) -> None:
    """Days without a sync, such as those without a quota, leave nothing stale behind."""
    young = some_session(world, days_ago=4)
    sync(world)
    world.sim.faults.recomputed[young] = world.sim.clock.now() + DAY
    world.sim.clock.advance(10 * DAY)
    sync(world)
    world.assert_true(FIRST, world.today)
    world.sim.clock.advance(DAY)
    assert sync(world)["get_session"] == complete(world, younger_than_days=7)


def test_a_settled_session_that_was_taken_up_again_is_asked_for_again(world: SmallWorld) -> None:
    """One seen as not COMPLETE for a while is read anew, although its list row is the old one."""
    world.sim.clock.advance(20 * DAY)
    sync(world)
    world.sim.faults.changing_share = 1.0
    world.sim.world.forget_changes()
    sync(world)
    assert {row["state"] for row in world.stored().values()} >= {"CLOSED"}
    assert sync(world)["get_session"] == complete(world)
    world.assert_true(FIRST, world.today)


def test_sessions_that_vanish_while_they_are_listed_are_no_failure(world: SmallWorld) -> None:
    """A detail that is a 404 by now is counted, and the table has what is left."""
    world.sim.faults.vanishing_share = 0.3
    report = world.pull(FIRST, TODAY)
    world.normalise()
    assert report.details_vanished > 0
    assert not report.is_partial
    world.assert_true(FIRST, TODAY)


def test_users_who_are_gone_are_skipped_and_remembered(world: SmallWorld) -> None:
    """A 404 and a pending deletion end the asking; what was pulled of them stays."""
    world.load(FIRST, TODAY)
    before = world.content()
    missing, pending, left = (person.user_id for person in world.sim.world.people)
    world.sim.faults.deleted_users.add(missing)
    world.sim.faults.pending_users.add(pending)
    outcome = world.pipeline().refresh_users()
    assert outcome.counts["users_gone"] == 2
    world.sim.requests.reset()
    report = world.pull(FIRST, TODAY)
    assert report.crowd.users == world.sim.requests["list_sessions"] == 1
    assert world.content().equals(before)
    gone = world.lake.frame("SELECT user_id FROM users WHERE deleted_at IS NOT NULL")
    assert set(gone["user_id"]) == {missing, pending} != {left}


def test_a_user_who_is_deleted_meanwhile_is_noticed_by_the_pull(world: SmallWorld) -> None:
    """The list is a 404: the others are complete, and the user is not asked about again."""
    gone = world.sim.world.people[0].user_id
    world.sim.faults.deleted_users.add(gone)
    report = world.pull(FIRST, TODAY)
    assert [user.user_id for user in report.crowd.gone] == [gone]
    world.normalise()
    world.assert_true(FIRST, TODAY)
    assert world.pull(FIRST, TODAY).crowd.users == 2


def test_a_key_that_knows_nobody_makes_nobody_look_deleted(world: SmallWorld) -> None:
    """A key of another environment gets a 404 for everyone: that is counted as a failure."""
    everyone = {person.user_id for person in world.sim.world.people}
    world.sim.faults.deleted_users |= everyone
    report = world.pull(FIRST, TODAY)
    assert (report.crowd.failed, report.crowd.gone) == (len(everyone), [])
    world.sim.faults.deleted_users -= everyone
    assert world.pull(FIRST, TODAY).crowd.users == len(everyone)


def test_a_broken_user_is_skipped_and_the_others_are_complete(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that breaks the contract is counted, and the outcome says that something is missing."""
    broken, *_ = world.sim.world.people
    row = world.sim.world.row

    def without_state(slot: Slot, zone: tzinfo) -> dict[str, Any]:
        said = row(slot, zone)
        return said | {"state": None} if slot.person == broken else said

    monkeypatch.setattr(world.sim.world, "row", without_state)
    outcome = world.pipeline().backfill(TODAY - 4 * DAY, TODAY)
    assert outcome.is_partial
    assert (outcome.counts["users"], outcome.counts["users_failed"]) == (3, 1)
    truth = world.truth(TODAY - 4 * DAY, TODAY)
    assert world.stored().keys() == {key for key in truth if key[0] != broken.user_id}


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(plan_expired=True), PlanExpired),
        (Faults(key_revoked=True), Unauthorized),
        (Faults(quota=5), QuotaExceeded),
    ],
)
def test_a_refused_key_stops_the_run_and_the_next_one_resumes(
    world: SmallWorld, faults: Faults, error: type[AsleepPipelineError]
) -> None:
    """One clear error; what was answered before it is kept and not asked for again."""
    world.sim.faults.become(faults)
    with pytest.raises(error) as caught:
        world.pipeline().backfill(TODAY - 6 * DAY, TODAY)
    assert not isinstance(caught.value, RunFailedError)
    assert caught.value.exit_code == 3
    kept = world.lake.frame("SELECT * FROM raw WHERE endpoint = 'get_session'").height
    assert kept == (faults.quota or 0)
    world.sim.faults.become(Faults())
    world.sim.requests.reset()
    world.load(TODAY - 6 * DAY, TODAY)
    asked = len(world.truth(TODAY - 6 * DAY, TODAY)) - kept
    assert world.sim.requests["get_session"] <= asked
    world.assert_true(TODAY - 6 * DAY, TODAY)
