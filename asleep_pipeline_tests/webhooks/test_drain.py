"""From the inbox into the lake: once, whatever happens on the way, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn

import duckdb
import polars as pl
import pytest

from asleep_pipeline.asleep import PlanExpired
from asleep_pipeline.asleep.events import SESSION_COMPLETE
from asleep_pipeline.errors import LakeError
from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline.webhooks import drain as module
from asleep_pipeline.webhooks.drain import only_drain
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.triage import FOREIGN, GONE, UNKNOWN
from asleep_pipeline_tests.small_world import FIRST, TODAY, Key, SmallWorld
from asleep_pipeline_tests.webhooks.mail import arrival, post
from asleep_pipeline_tests.webhooks.pushes import PushedWorld, killed

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FROM_THE_LIST = {"last_received_seq_num", "listed_time_in_bed_s"}


@pytest.fixture
def pushed(world: SmallWorld) -> PushedWorld:
    """Three people with 21 dates of nights, an empty lake and an empty inbox."""
    return PushedWorld.of(world)


def some(pushed: PushedWorld, number: int = 3) -> list[Key]:
    """The newest COMPLETE sessions."""
    return sorted(pushed.complete(), key=lambda key: key[1])[-number:]


def test_a_pushed_night_is_a_row_before_any_request(pushed: PushedWorld) -> None:
    """All numbers are there; what only a list row says is missing until the next sync."""
    pushed.push(some(pushed))
    pushed.world.sim.requests.reset()
    pushed.take()
    assert pushed.world.sim.requests == {}
    truth, stored = pushed.world.truth(FIRST, TODAY), pushed.world.stored()
    assert set(stored) == set(some(pushed))
    for key, row in stored.items():
        expected = truth[key] | dict.fromkeys(FROM_THE_LIST)
        assert {name: row[name] for name in expected} == expected
        assert (row["list_hash"], row["listed_at"]) == (None, None)
        assert row["pushed_at"] == row["fetched_at"] == pushed.world.sim.clock.now()


def test_an_event_stands_in_raw_byte_for_byte(pushed: PushedWorld) -> None:
    """With when it came, whose it is, and on the date on which its session started."""
    (key,) = some(pushed, 1)
    at = pushed.world.sim.clock.now() + timedelta(microseconds=7)
    event = pushed.event(key, at=at)
    post(pushed.inbox, event)
    report = pushed.drain()
    (row,) = pushed.raw()
    assert (row["body"], row["source"], row["status"]) == (event.body, "webhook", 200)
    assert (row["user_id"], row["session_id"]) == key
    assert (row["fetched_at"], row["org_id"], row["timezone"]) == (at, "default", "UTC")
    start = pushed.world.truth(FIRST, TODAY)[key]["start_date"]
    assert row["partition_date"] == start
    assert (report.taken, report.changes) == (1, {0: {start: 1}})
    assert pushed.states() == ["done"]


def test_pull_and_push_of_a_night_give_one_row(pushed: PushedWorld) -> None:
    """Whichever comes first, and whether the API is asked again or not: the pull's row."""
    keys = some(pushed)
    pushed.sync()
    pulled = pushed.world.content().drop("pushed_at", "detail_sha256")
    pushed.world.sim.clock.advance(timedelta(minutes=1))
    pushed.push(keys)
    pushed.take()
    after = pushed.world.content()
    assert after.drop("pushed_at", "detail_sha256").equals(pulled)
    assert after["pushed_at"].count() == len(keys)


@pytest.mark.parametrize("reread", [True, False])
def test_the_next_sync_completes_what_was_pushed(pushed: PushedWorld, *, reread: bool) -> None:
    """A night that was read again is not asked for any more; of the others each once."""
    pushed.push(pushed.complete())
    pushed.world.sim.requests.reset()
    pushed.take(reread=reread)
    number = len(pushed.complete())
    assert pushed.world.sim.requests == ({"get_session": number} if reread else {})
    asked = pushed.sync()
    people = len(pushed.world.sim.world.people)
    assert asked == {"list_sessions": people} | ({} if reread else {"get_session": number})
    pushed.world.assert_true(FIRST, TODAY)
    assert pushed.sync() == {"list_sessions": people}


def test_a_night_that_was_listed_while_open_is_not_asked_for_again(pushed: PushedWorld) -> None:
    """The list row of the night is older than the detail, and no news to it."""
    world = pushed.world
    world.sim.clock.advance(-timedelta(hours=12))
    pushed.sync()
    unfinished = {key for key, row in world.stored().items() if row["state"] != "COMPLETE"}
    assert unfinished
    world.sim.clock.advance(timedelta(hours=12))
    pushed.push(unfinished & pushed.complete().keys())
    pushed.take(reread=True)
    assert {world.stored()[key]["state"] for key in unfinished & pushed.complete().keys()} == {
        "COMPLETE"
    }
    missing = pushed.complete().keys() - {
        key for key, row in world.stored().items() if row["has_detail"]
    }
    assert pushed.sync().get("get_session", 0) == len(missing)
    world.assert_true(FIRST, world.today)


def test_an_event_a_thousand_times_is_one_row(pushed: PushedWorld) -> None:
    """Counted in the inbox, once in raw, also when it comes again after the inbox has forgotten it."""
    (key,) = some(pushed, 1)
    event = pushed.event(key)
    post(pushed.inbox, *[event] * 1000)
    pushed.take()
    before = pushed.world.stored()
    pushed.world.sim.clock.advance(DAY)
    pushed.inbox.purge("done", before=pushed.world.sim.clock.now())
    post(pushed.inbox, *[event] * 3)
    assert pushed.drain().duplicates == 1
    pushed.world.normalise()
    assert len(pushed.raw()) == 1
    assert pushed.world.stored() == before


def test_a_differing_event_replaces_the_earlier_and_an_old_one_does_not_come_back(
    pushed: PushedWorld,
) -> None:
    """A, B, A: what came first and comes again is ignored."""
    (key,) = some(pushed, 1)
    clock = pushed.world.sim.clock
    first, second = pushed.event(key), pushed.event(key, missing_data_ratio=0.25)
    for event in (first, second, first):
        clock.advance(DAY)
        pushed.inbox.purge("done", before=clock.now())
        post(pushed.inbox, pushed_at(event, clock.now()))
        pushed.take()
    assert pushed.world.stored()[key]["missing_data_ratio"] == 0.25
    assert len(pushed.raw()) == 2


def pushed_at(event: Any, moment: Any) -> Any:
    """The same event, at another instant."""
    return type(event)(event.event, event.key_name, event.user_id, moment, event.body)


def test_an_older_event_that_waited_longer_says_nothing(pushed: PushedWorld) -> None:
    """What has arrived later counts, in whichever order they are taken."""
    (key,) = some(pushed, 1)
    now = pushed.world.sim.clock.now()
    late = pushed.event(key, at=now - timedelta(hours=1), missing_data_ratio=0.5)
    for event in (pushed.event(key), late):
        post(pushed.inbox, event)
        pushed.take()
    row = pushed.world.stored()[key]
    assert (row["missing_data_ratio"], row["fetched_at"]) != (0.5, late.received_at)
    assert row["pushed_at"] == late.received_at


def test_a_crash_before_marking_adds_nothing_twice(
    pushed: PushedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lake has the events, the inbox does not know: the next drain finds them in raw."""
    pushed.push(some(pushed))
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            pushed.drain()
    assert set(pushed.states()) == {"waiting"}
    pushed.world.normalise()
    before = (pushed.raw(), pushed.world.stored(), pushed.world.lake.snapshot_id())
    report = pushed.drain(reread=True)
    assert (report.taken, report.duplicates, report.reread.details) == (0, 3, 0)
    assert set(pushed.states()) == {"done"}
    assert (pushed.raw(), pushed.world.stored(), pushed.world.lake.snapshot_id()) == before


def test_strangers_wait_in_quarantine_until_they_are_adopted(pushed: PushedWorld) -> None:
    """Of somebody who is not on the roster nothing gets into the lake before."""
    (key,) = some(pushed, 1)
    stranger = "G-20250101000000-aaaaaaaaaaaaaaaaaaaa"
    post(pushed.inbox, pushed.event(key), pushed_to(pushed.event(key), stranger))
    report = pushed.drain()
    assert (report.triage.quarantined, report.taken) == (1, 1)
    assert pushed.states() == ["done", "quarantined"]
    assert pushed.inbox.events("quarantined")[0].problem == UNKNOWN
    assert [row["user_id"] for row in pushed.raw()] == [key[0]]
    adopt(pushed.world, stranger)
    report = pushed.drain()
    assert (report.triage.released, report.taken) == (1, 1)
    assert pushed.states() == ["done", "done"]


def pushed_to(event: Any, user_id: str) -> Any:
    """The same event of somebody else."""
    return type(event)(event.event, event.key_name, user_id, event.received_at, event.body)


def adopt(world: SmallWorld, user_id: str, org_id: str = "default") -> None:
    """Put a user on the roster."""
    roster = pl.DataFrame({"user_id": [user_id], "org_id": [org_id]})
    put_users(world.lake, roster, now=world.sim.clock.now())


def test_events_of_users_who_are_gone_wait_as_well(pushed: PushedWorld) -> None:
    """The API knows them no more; a roster that names them again lets them through."""
    (key,) = some(pushed, 1)
    pushed.world.sim.faults.deleted_users.add(key[0])
    pushed.world.pipeline().refresh_users()
    pushed.world.sim.faults.deleted_users.clear()
    pushed.push([key])
    pushed.drain()
    assert [(e.status, e.problem) for e in pushed.inbox.events()] == [("quarantined", GONE)]
    adopt(pushed.world, key[0])
    assert pushed.drain().taken == 1


def test_a_key_speaks_for_its_own_users_only(pushed: PushedWorld) -> None:
    """An organisation's key never brings an event of another one's user, nor the default key of its."""
    own = {"acme": {"api_key": "the-key-of-acme"}}
    world = PushedWorld(pushed.world.with_settings(organisations=own), pushed.inbox)
    theirs, ours = sorted({key[0]: key for key in some(world, 30)}.items())[:2]
    adopt(world.world, theirs[0], "acme")
    post(
        world.inbox,
        world.event(theirs[1], key_name="acme"),
        world.event(theirs[1], key_name="default"),
        world.event(ours[1], key_name="acme"),
        world.event(ours[1], key_name="default"),
    )
    world.drain()
    assert world.states() == ["done", "quarantined", "quarantined", "done"]
    assert {event.problem for event in world.inbox.events("quarantined")} == {FOREIGN}
    assert [(row["user_id"], row["org_id"]) for row in world.raw()] == [
        (theirs[0], "acme"),
        (ours[0], "default"),
    ]


def test_a_poison_event_dies_after_its_tries_and_the_others_flow(pushed: PushedWorld) -> None:
    """One that says that a session is complete, and not which."""
    (key,) = some(pushed, 1)
    nameless = {"event": SESSION_COMPLETE, "version": "V3", "data": {"user_id": key[0]}}
    post(pushed.inbox, pushed.arrival(nameless, key[0]), pushed.event(key))
    reports = [pushed.drain() for _ in range(6)]
    assert [report.failed for report in reports] == [1, 1, 1, 1, 1, 0]
    assert [report.dead for report in reports] == [0, 0, 0, 0, 1, 0]
    assert reports[0].taken == 1
    dead, done = pushed.inbox.events()
    assert (dead.status, dead.tries, dead.problem) == ("dead", 5, "It names no session.")
    assert done.status == "done"
    pushed.inbox.replay([dead.id], now=pushed.world.sim.clock.now())
    assert pushed.drain().failed == 1


def test_an_event_that_hinders_a_commit_is_found(
    pushed: PushedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is in the event that the lake refuses, the others of its batch get in."""
    keys = some(pushed)

    def picky(con: Any, table: Any, frame: pl.DataFrame) -> None:
        if keys[1][1] in frame["session_id"]:
            raise duckdb.ConversionException("not this one")
        insert(con, table, frame)

    monkeypatch.setattr(module, "insert", picky)
    pushed.push(keys)
    report = pushed.drain()
    assert (report.taken, report.failed) == (2, 1)
    assert pushed.states() == ["done", "waiting", "done"]
    assert pushed.inbox.events("waiting")[0].problem == "ConversionException: not this one"
    monkeypatch.undo()
    assert pushed.drain().taken == 1


@pytest.mark.parametrize("error", [LakeError("It is down."), duckdb.IOException("It is down.")])
def test_a_lake_that_is_down_is_nobodys_fault(
    pushed: PushedWorld, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """No try is counted; when it is up again everything gets in."""

    @contextmanager
    def down(*_: object) -> Iterator[NoReturn]:
        raise error
        yield

    pushed.push(some(pushed))
    with monkeypatch.context() as patch:
        patch.setattr(type(pushed.world.lake), "write", down)
        with pytest.raises(LakeError, match="It is down"):
            pushed.drain()
    assert {(e.status, e.tries, e.problem) for e in pushed.inbox.events()} == {("waiting", 0, None)}
    assert pushed.drain().taken == 3


def test_windows_of_stages_stay_out_of_the_lake(pushed: PushedWorld) -> None:
    """They are done at once; of strangers they wait like everything else."""
    (key,) = some(pushed, 1)
    post(pushed.inbox, arrival(3, user=key[0]), arrival(4, user=key[0]), arrival(3, user="nobody"))
    before = pushed.world.lake.snapshot_id()
    report = pushed.drain()
    assert (report.triage.settled, report.triage.quarantined, report.taken) == (2, 1, 0)
    assert pushed.states() == ["done", "done", "quarantined"]
    assert pushed.world.lake.snapshot_id() == before


def test_an_event_that_nobody_documented_is_kept_in_raw(pushed: PushedWorld) -> None:
    """On the date of its arrival; it changes no session."""
    (key,) = some(pushed, 1)
    post(pushed.inbox, arrival(None, user=key[0], name="SESSION_TAGGED", session=key[1]))
    assert pushed.drain(reread=True).reread.details == 0
    (row,) = pushed.raw("unknown_event")
    assert (row["user_id"], row["session_id"]) == key
    assert row["partition_date"] == row["fetched_at"].date()
    assert pushed.world.normalise().answers == 0


@pytest.mark.parametrize(
    ("session", "day"),
    [
        ({"start_time": "yesterday"}, None),
        ({"start_time": "0001-01-01T00:00:00+09:00"}, None),
        ({"start_time": "9999-12-31T23:59:59-09:00"}, None),
        ({"start_time": "2026-04-20T23:30:00-02:00"}, "2026-04-21"),
    ],
)
def test_a_session_whose_start_cannot_be_read_is_placed_by_its_id(
    pushed: PushedWorld, session: dict[str, str], day: str | None
) -> None:
    """Its first digits are the start in UTC; what it says otherwise is its partition."""
    (key,) = some(pushed, 1)
    said = pushed.complete()[key]["session"] | session
    post(pushed.inbox, pushed.event(key, session=said))
    pushed.drain()
    (row,) = pushed.raw()
    assert row["partition_date"].isoformat() == (day or f"{key[1][:4]}-{key[1][4:6]}-{key[1][6:8]}")


def test_an_event_that_breaks_the_contract_waits_in_quarantine_for_the_sync(
    pushed: PushedWorld,
) -> None:
    """No number of it gets into a row; the API's own answer replaces it."""
    unreadable, absurd = some(pushed, 2)
    post(
        pushed.inbox,
        pushed.event(unreadable, session={"id": unreadable[1]}),
        pushed.event(absurd, missing_data_ratio=-1),
    )
    pushed.take()
    assert pushed.world.stored() == {}
    rows = pushed.world.lake.frame("SELECT * FROM quarantine ORDER BY session_id").to_dicts()
    assert [(r["session_id"], r["endpoint"]) for r in rows] == [
        (unreadable[1], "session_complete"),
        (absurd[1], "session_complete"),
    ]
    assert all(row["partition_date"].isoformat() in ("2026-04-30", "2026-05-01") for row in rows)
    pushed.sync()
    pushed.world.assert_true(FIRST, TODAY)
    assert pushed.world.lake.frame("SELECT * FROM quarantine").is_empty()
    assert all(pushed.world.stored()[key]["pushed_at"] for key in (unreadable, absurd))


def test_what_the_plan_forbids_to_ask_is_asked_by_the_next_sync(pushed: PushedWorld) -> None:
    """The events are taken all the same."""
    pushed.push(some(pushed))
    pushed.world.sim.faults.plan_expired = True
    report = pushed.drain(reread=True)
    assert report.taken == 3
    assert isinstance(report.reread.stopped_by, PlanExpired)
    pushed.world.sim.faults.plan_expired = False
    pushed.world.normalise()
    assert pushed.world.stored().keys() == set(some(pushed))
    assert pushed.sync()["get_session"] == len(pushed.complete())
    pushed.world.assert_true(FIRST, TODAY)


def test_an_answer_that_is_not_final_yet_is_not_kept(pushed: PushedWorld) -> None:
    """The API lags behind its own webhook: the webhook's numbers stand until it has caught up."""
    keys = some(pushed)
    events = [pushed.event(key) for key in keys]
    pushed.world.sim.faults.changing_share = 1.0
    post(pushed.inbox, *events)
    report = pushed.drain(reread=True).reread
    assert (report.details, report.unfinished) == (0, 3)
    pushed.world.normalise()
    assert {row["state"] for row in pushed.world.stored().values()} == {"COMPLETE"}
    pushed.sync()
    pushed.sync()
    pushed.world.assert_true(FIRST, TODAY)


def test_a_session_that_is_gone_by_now_gets_no_row(pushed: PushedWorld) -> None:
    """Its webhook has come, and the API says that there is no such session."""
    gone, left = some(pushed, 2)
    pushed.push([gone, left])
    pushed.world.sim.faults.deleted_sessions.add(gone[1])
    assert pushed.drain(reread=True).reread.vanished == 1
    pushed.world.normalise()
    assert pushed.world.stored().keys() == {left}


def test_an_old_event_does_not_bring_back_what_was_deleted(pushed: PushedWorld) -> None:
    """It waited in the inbox while the pull noticed the deletion, with and without news."""
    known, unknown = some(pushed, 2)
    waiting = [pushed.event(key) for key in (known, unknown)]
    pushed.world.sim.faults.deleted_sessions.add(unknown[1])
    pushed.world.sim.clock.advance(timedelta(minutes=1))
    pushed.sync()
    pushed.world.sim.faults.deleted_sessions.add(known[1])
    pushed.sync()
    before = pushed.world.stored()
    assert not {known, unknown} & before.keys()
    post(pushed.inbox, *waiting)
    pushed.take()
    assert pushed.world.stored() == before
    pushed.world.sim.faults.deleted_sessions.clear()
    pushed.sync()
    pushed.world.assert_true(FIRST, TODAY)
    assert pushed.world.stored()[known]["pushed_at"] == waiting[0].received_at


def test_a_recomputed_night_that_could_not_be_read_again_is_asked_for_however_old(
    pushed: PushedWorld,
) -> None:
    """A webhook of a settled session is a sign that the list row lacks."""
    (key,) = some(pushed, 1)
    world = pushed.world
    pushed.sync()
    world.sim.clock.advance(20 * DAY)
    pushed.sync()
    world.sim.faults.recomputed[key[1]] = world.sim.clock.now()
    world.sim.clock.advance(DAY)
    event = pushed.event(key)
    post(pushed.inbox, event)
    pushed.take()
    assert pushed.sync()["get_session"] >= 1
    world.assert_true(FIRST, world.today)


def test_a_stale_event_says_nothing_against_what_was_read_again_since(pushed: PushedWorld) -> None:
    """Though the answer that was read again was the known one, and changed nothing."""
    (key,) = some(pushed, 1)
    world, stale = pushed.world, pushed.event(key)
    world.sim.faults.recomputed[key[1]] = world.sim.clock.now()
    world.sim.clock.advance(HOUR)
    pushed.sync()
    post(pushed.inbox, pushed_at(stale, world.sim.clock.now() + HOUR))
    world.sim.clock.advance(DAY)
    pushed.sync()
    before = world.stored()[key]
    pushed.take()
    assert world.stored()[key] == before | {"pushed_at": stale.received_at + 2 * HOUR}
    world.assert_true(FIRST, world.today)


def test_rebuild_makes_the_same_tables_of_what_was_pushed(pushed: PushedWorld) -> None:
    """Raw is all that it takes."""
    keys = some(pushed, 6)
    pushed.push(keys[:3])
    pushed.take(reread=True)
    pushed.sync()
    pushed.world.sim.faults.deleted_sessions.add(keys[0][1])
    pushed.sync()
    pushed.world.sim.clock.advance(timedelta(minutes=1))
    post(pushed.inbox, pushed.event(keys[3]), pushed.event(keys[4], missing_data_ratio=-1))
    pushed.take()
    tables = ("sessions", "quarantine")
    before = [pushed.world.lake.frame(f"SELECT * FROM {t} ORDER BY ALL") for t in tables]
    assert before[1].height == 1
    rebuild(pushed.world.lake, organisations={}, default_zone="UTC")
    after = [pushed.world.lake.frame(f"SELECT * FROM {t} ORDER BY ALL") for t in tables]
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


def test_one_drain_at_a_time(pushed: PushedWorld) -> None:
    """Another one returns at once and says so."""
    pushed.push(some(pushed))
    with only_drain(pushed.inbox) as is_alone:
        assert is_alone
        report = pushed.drain()
    assert (report.is_busy, report.taken) == (True, 0)
    assert pushed.drain().taken == 3


def test_only_the_shards_that_are_asked_for_are_taken(pushed: PushedWorld) -> None:
    """A run reads the answers of its own shards, so it takes no others."""
    pushed.push(some(pushed))
    lake, now = pushed.world.lake, pushed.world.sim.clock.now()
    report = module.drain(lake, pushed.inbox, pushed.world.platform.settings, now=now, shards={7})
    assert report.taken == 0
    assert set(pushed.states()) == {"waiting"}
