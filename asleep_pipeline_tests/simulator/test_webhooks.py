"""Webhooks of the simulator: which, when, in which words, and how they are sent."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.asleep import decode_session
from asleep_pipeline.asleep.events import read_event, read_inference, read_session
from asleep_pipeline.errors import UsageError
from asleep_pipeline.simulator import (
    Clock,
    Faults,
    Person,
    RunningSimulator,
    SimulatorOptions,
    World,
    running,
)
from asleep_pipeline.simulator.calendar import Slot
from asleep_pipeline.simulator.events import Event, Version, events_between, events_of
from asleep_pipeline.simulator.webhooks import posts_of
from asleep_pipeline_tests.simulator.receiver import Receiver, receiving

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
WEEK = (NOON - timedelta(days=7), NOON)
VERSIONS: tuple[Version, ...] = ("V1", "V2", "V3", "flat")


def new_world(now: datetime = NOON, faults: Faults | None = None) -> World:
    """Eight people with all plans, without a server."""
    return World(SimulatorOptions(people=8), Clock(now), faults or Faults())


WORLD = new_world()


@cache
def week(version: Version = "V3") -> list[Event]:
    """The webhooks of a week."""
    return events_between(WORLD, *WEEK, version)


def slot_of(event: Event) -> Slot:
    """The session of an event."""
    slot = WORLD.find_session(WORLD.person(event.user_id), event.session_id)
    assert slot
    return slot


def told(world: World, event: Event) -> dict[str, Any]:
    """What get-session says of an event's session, as of the world's clock."""
    slot = world.find_session(world.person(event.user_id), event.session_id)
    assert slot
    return world.result(slot, UTC, "UTC")


def some(events: list[Event], name: str, number: int) -> list[Event]:
    """A few events of a name, spread over all of them."""
    named = [event for event in events if event.name == name]
    return named[:: len(named) // number]


def person_with(blocks: int | None) -> Person:
    """Somebody whose plan calls after so many blocks."""
    return next(p for p in WORLD.people if p.plan.callback_blocks == blocks)


# Which, and when.


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 7 * 86_400), min_size=3, max_size=3).map(sorted))
def test_a_time_is_the_sum_of_its_parts(seconds: list[int]) -> None:
    """Whichever instants are asked for, each webhook falls due in exactly one of the stretches."""
    first, middle, last = (WEEK[0] + timedelta(seconds=s) for s in seconds)
    parts = [*events_between(WORLD, first, middle), *events_between(WORLD, middle, last)]
    assert parts == events_between(WORLD, first, last)


def test_webhooks_do_not_depend_on_the_clock() -> None:
    """A world whose clock stands elsewhere has the same."""
    assert events_between(new_world(NOON - timedelta(days=90)), *WEEK) == week()


def test_windows_add_up_to_what_polling_shows() -> None:
    """Without a gap: each window of 5 minutes begins where the one before ended."""
    series: dict[str, list[int]] = defaultdict(list)
    for event in week():
        if event.name == "INFERENCE_COMPLETE" and event.user_id == person_with(1).user_id:
            said = read_inference(event.body)
            assert said.sleep_stages
            assert len(said.sleep_stages) == 10
            series[event.session_id] += said.sleep_stages
            last = said.last_epoch
            assert len(series[event.session_id]) == last + 1 - 30
    assert len(series) > 4
    for event in week():
        if event.name == "SESSION_COMPLETE" and event.session_id in series:
            slot = slot_of(event)
            just_before = new_world(slot.complete_at - timedelta(seconds=1))
            shown = told(just_before, event)["session"]["sleep_stages"]
            assert series[event.session_id] in (shown[30:], shown[-len(series[event.session_id]) :])


def test_a_window_is_the_newest_that_polling_shows_then() -> None:
    """Sleep, breath and snoring, at the very instant at which it falls due."""
    for event in some(week(), "INFERENCE_COMPLETE", 40):
        shown = told(new_world(event.at), event)["session"]
        said = read_inference(event.body)
        assert len(shown["sleep_stages"]) == said.last_epoch + 1
        for name in ("sleep_stages", "breath_stages", "snoring_stages"):
            window = getattr(said, name)
            assert (list(window) if window else None) == (
                shown[name] and shown[name][-len(window) :]
            )


@pytest.mark.parametrize(("blocks", "first", "values"), [(1, 39, 10), (8, 79, 80)])
def test_plans_differ_in_their_cadence(blocks: int, first: int, values: int) -> None:
    """Every 5 minutes from chunk 39 on, or every 40 minutes, with as many values as are new."""
    places = defaultdict(list)
    for event in week():
        if event.user_id == person_with(blocks).user_id and event.name == "INFERENCE_COMPLETE":
            data = msgspec.json.decode(event.body)["data"]
            assert len(data["sleep_stages"]) == values
            assert data["inference_seq_num"] == data["seq_num"] // 10
            places[event.session_id].append(data["seq_num"])
    whole = [seqs for seqs in places.values() if seqs[0] == first]
    assert len(whole) > 3
    assert {b - a for seqs in places.values() for a, b in pairwise(seqs)} == {10 * blocks}


def test_a_plan_may_have_no_webhooks_in_progress() -> None:
    """Its sessions are told when they are complete."""
    user_id = person_with(None).user_id
    assert {event.name for event in week() if event.user_id == user_id} == {"SESSION_COMPLETE"}


def test_a_completion_is_what_get_session_says() -> None:
    """In UTC, from the instant at which the session is complete, and with the user."""
    for event in some(week(), "SESSION_COMPLETE", 12):
        result = told(new_world(event.at), event)
        assert result["session"]["state"] == "COMPLETE"
        assert msgspec.json.decode(event.body)["data"] == result | {"user_id": event.user_id}
        assert event.at == slot_of(event).complete_at


def test_a_recomputed_session_is_told_again() -> None:
    """With another body, at the instant from which the new result holds."""
    # On a plan of two stages another reading is often the same.
    user_id = person_with(1).user_id
    event = next(e for e in week() if e.name == "SESSION_COMPLETE" and e.user_id == user_id)
    again = event.at + timedelta(days=1)
    world = new_world(again, Faults(recomputed={event.session_id: again}))
    first, second = (
        e for e in events_of(world, slot_of(event), *WEEK) if e.name == "SESSION_COMPLETE"
    )
    assert (first.at, second.at) == (event.at, again)
    assert first.body == event.body != second.body
    assert read_session(second.body) == decode_session(
        msgspec.json.encode({"result": told(world, event)})
    )


def test_a_late_upload_has_no_windows() -> None:
    """Only its completion is told, five minutes after it came."""
    event = some(week(), "INFERENCE_COMPLETE", 1)[0]
    late = slot_of(event).end + timedelta(hours=9)
    world = new_world(faults=Faults(late_uploads={event.session_id: late}))
    found = [e for e in events_between(world, *WEEK) if e.session_id == event.session_id]
    assert [(e.name, e.at) for e in found] == [("SESSION_COMPLETE", late + timedelta(minutes=5))]


def test_most_sessions_are_told_of() -> None:
    """A tenth or two of them began without a callback URL: these only a pull finds."""
    world = World(SimulatorOptions(people=60), Clock(NOON), Faults())
    days = (WEEK[0].date(), date(2026, 4, 29))
    slots = [slot for person in world.people for slot in world.visible(person, UTC, *days)]
    complete = {slot.session_id for slot in slots if slot.complete_at <= NOON}
    events = events_between(world, WEEK[0] - timedelta(days=1), NOON)
    said = {event.session_id for event in events if event.name == "SESSION_COMPLETE"}
    assert 0.75 < len(complete & said) / len(complete) < 0.95


def test_who_is_gone_is_not_told_of() -> None:
    """Neither a deleted user nor a deleted session."""
    session, user = week()[0].session_id, week()[-1].user_id
    world = new_world(faults=Faults(deleted_sessions={session}, deleted_users={user}))
    found = events_between(world, *WEEK)
    left = [e for e in week() if e.session_id != session and e.user_id != user]
    assert found == left != []


# In which words.


@pytest.mark.parametrize("version", VERSIONS)
def test_every_envelope_is_read(version: Version) -> None:
    """Each says whom, what and where it is about, as the reader of the push path understands it."""
    for event, other in zip(week(version), week(), strict=True):
        said = read_event(event.body)
        assert (said.name, said.version) == (event.name, version)
        assert (said.user_id, said.session_id) == (event.user_id, event.session_id)
        assert said.block == read_event(other.body).block


@pytest.mark.parametrize("version", VERSIONS)
def test_every_envelope_tells_the_same_stages(version: Version) -> None:
    """Older ones repeat 20 minutes, and have no snoring."""
    for event, other in zip(
        some(week(version), "INFERENCE_COMPLETE", 30),
        some(week(), "INFERENCE_COMPLETE", 30),
        strict=True,
    ):
        said, newest = read_inference(event.body), read_inference(other.body)
        assert said.last_epoch == newest.last_epoch
        assert said.sleep_stages
        assert newest.sleep_stages
        assert said.sleep_stages[-len(newest.sleep_stages) :] == newest.sleep_stages
        if version in {"V1", "V2"}:
            assert len(said.sleep_stages) in {40, 80}
            assert said.snoring_stages is None


@pytest.mark.parametrize("version", ["V2", "flat"])
def test_a_completion_is_the_same_session_in_newer_envelopes(version: Version) -> None:
    """Whatever stands around it."""
    for event, other in zip(week(version), week(), strict=True):
        if event.name == "SESSION_COMPLETE":
            assert read_session(event.body) == read_session(other.body)


def test_a_completion_in_the_oldest_envelope_is_readable() -> None:
    """It has the stages and the sleep, but neither snoring, cycles nor score."""
    for event, other in zip(week("V1"), week(), strict=True):
        if event.name == "SESSION_COMPLETE":
            old, new = read_session(event.body), read_session(other.body)
            assert old.session.sleep_stages == new.session.sleep_stages
            assert old.session.breath_stages == new.session.breath_stages
            assert old.session.snoring_stages is None
            assert (old.stat is None) == (new.stat is None)
            if old.stat and new.stat:
                assert old.stat.time_in_sleep == new.stat.time_in_sleep
                assert old.stat.breathing_index == new.stat.breathing_index
                assert old.stat.sleep_index is None


# Faults.


def test_without_faults_each_event_is_sent_once_and_in_order() -> None:
    """All faults are off by default."""
    posts = posts_of(week(), Faults())
    assert [(post.event, post.due, post.has_wrong_key) for post in posts] == [
        (event, event.at, False) for event in week()
    ]


FAULTS = Faults(
    seed=3,
    webhook_loss_share=0.2,
    webhook_duplicate_share=0.1,
    webhook_wrong_key_share=0.05,
    webhook_delay_s=300,
    webhook_delay_share=0.5,
    webhook_reorder=True,
)


def test_faults_come_at_their_shares() -> None:
    """Give or take, over a week of some thousand events."""
    posts = posts_of(week(), FAULTS)
    times = Counter(id(post.event) for post in posts)
    assert 0.75 < len(times) / len(week()) < 0.85
    assert 0.07 < sum(n == 2 for n in times.values()) / len(times) < 0.13
    assert 0.03 < sum(post.has_wrong_key for post in posts) / len(posts) < 0.07
    assert all(post.due >= post.event.at for post in posts)


def test_faults_are_the_same_however_events_are_divided() -> None:
    """What becomes of an event is its own, and another seed decides otherwise."""
    middle = len(week()) // 2
    halves = [*posts_of(week()[:middle], FAULTS), *posts_of(week()[middle:], FAULTS)]
    assert sorted(halves, key=lambda post: post.due) == posts_of(week(), FAULTS)
    other = msgspec.structs.replace(FAULTS, seed=4)
    assert posts_of(week(), other) != posts_of(week(), FAULTS)


def test_events_overtake_each_other_on_request() -> None:
    """Within a session, by at most ten minutes."""
    posts = posts_of(week(), Faults(webhook_reorder=True))
    one = [p for p in posts if p.event.session_id == posts[0].event.session_id]
    assert [p.event for p in one] != sorted((p.event for p in one), key=lambda e: e.at)
    assert max(p.due - p.event.at for p in posts) < timedelta(minutes=10)


# Sending.


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of its own for each test."""
    with receiving() as started:
        yield started


@pytest.fixture
def pushing(sim: RunningSimulator, receiver: Receiver) -> Iterator[RunningSimulator]:
    """The simulator, sending to the receiver."""
    sim.webhooks.target(receiver.url)
    yield sim
    sim.webhooks.target(None)


def test_a_stretch_of_time_is_sent_on_request(
    pushing: RunningSimulator, receiver: Receiver
) -> None:
    """Every event once, those of a session in their order, with key and user."""
    sent = pushing.webhooks.send(NOON - timedelta(days=1), NOON)
    events = events_between(pushing.world, NOON - timedelta(days=1), NOON)
    assert [delivery.event for delivery in sent] == events
    assert {(delivery.status, delivery.tries) for delivery in sent} == {(200, 1)}
    assert sorted(got.body for got in receiver.got) == sorted(event.body for event in events)
    one = events[0].session_id
    assert [got.body for got in receiver.got if read_event(got.body).session_id == one] == [
        event.body for event in events if event.session_id == one
    ]
    for got in receiver.got:
        assert got.path == "/hook"
        assert got.headers["x-api-key"] == pushing.api_key
        assert got.headers["x-user-id"] == read_event(got.body).user_id
        assert got.headers["content-type"] == "application/json"


def test_a_clock_that_is_moved_sends_what_fell_due(
    pushing: RunningSimulator, receiver: Receiver
) -> None:
    """All of it before the move returns; a move that finds nothing sends nothing."""
    for hours in (3, 0, 2):
        pushing.clock.advance(timedelta(hours=hours))
    events = events_between(pushing.world, NOON, NOON + timedelta(hours=5))
    assert events
    assert sorted(got.body for got in receiver.got) == sorted(event.body for event in events)


def test_a_clock_that_is_set_back_sends_again(
    pushing: RunningSimulator, receiver: Receiver
) -> None:
    """Time that is lived twice is told twice."""
    pushing.clock.advance(timedelta(hours=3))
    once = len(receiver.got)
    pushing.clock.set(NOON)
    assert len(receiver.got) == once > 0
    pushing.clock.advance(timedelta(hours=3))
    assert len(receiver.got) == 2 * once


def test_a_late_event_waits_for_the_clock(pushing: RunningSimulator, receiver: Receiver) -> None:
    """With an hour of delay, the events of three hours have come after four."""
    pushing.faults.webhook_delay_s = 3600
    pushing.clock.advance(timedelta(hours=3))
    pushing.clock.advance(timedelta(hours=1))
    events = events_between(pushing.world, NOON - timedelta(hours=1), NOON + timedelta(hours=3))
    assert sorted(got.body for got in receiver.got) == sorted(event.body for event in events)


def test_real_time_is_followed(receiver: Receiver) -> None:
    """What falls due while the simulator runs is sent without being asked for."""
    with running(SimulatorOptions(people=1)) as sim:
        days = [datetime.now(UTC).date() - timedelta(days=ago) for ago in (12, 4)]
        session_id = next(sim.world.calling_slots(sim.world.people[0], *days)).session_id
        sim.webhooks.target(receiver.url)
        while session_id not in {read_event(got.body).session_id for got in receiver.got}:
            # A computer that is busy may have missed the last second.
            sim.faults.recomputed = {session_id: datetime.now(UTC) + timedelta(seconds=1)}
            receiver.wait(3)


def test_faults_are_seen_by_the_receiver(pushing: RunningSimulator, receiver: Receiver) -> None:
    """Lost events do not come, others come twice or with another key."""
    pushing.faults.become(FAULTS)
    sent = pushing.webhooks.send(NOON - timedelta(days=1), NOON)
    posts = posts_of(events_between(pushing.world, NOON - timedelta(days=1), NOON), FAULTS)
    assert [delivery.event for delivery in sent] == [post.event for post in posts]
    wrong = sum(got.headers["x-api-key"] != pushing.api_key for got in receiver.got)
    assert (len(receiver.got), wrong) == (len(posts), sum(post.has_wrong_key for post in posts))


def test_a_failing_receiver_is_tried_again(pushing: RunningSimulator, receiver: Receiver) -> None:
    """A 5xx is followed by the same body; a refusal is not."""
    event = week()[0]
    since = event.at - timedelta(microseconds=1)
    receiver.statuses.extend([503, 500])
    assert [(d.status, d.tries) for d in pushing.webhooks.send(since, event.at)] == [(200, 3)]
    assert {got.body for got in receiver.got} == {event.body}
    receiver.statuses.append(401)
    assert [(d.status, d.tries) for d in pushing.webhooks.send(since, event.at)] == [(401, 1)]


def test_a_receiver_that_stays_away_is_given_up(pushing: RunningSimulator) -> None:
    """After the patience, with no status; the events after it are sent once each."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    pushing.webhooks.target(f"http://127.0.0.1:{port}/hook", patience_s=0.25)
    session = [e for e in week() if e.session_id == week()[0].session_id][:3]
    sent = [
        d
        for d in pushing.webhooks.send(session[0].at - timedelta(seconds=1), session[-1].at)
        if d.event.session_id == session[0].session_id
    ]
    assert {delivery.status for delivery in sent} == {None}
    assert [delivery.tries for delivery in sent] == [2, 1, 1]


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1/hook", "https://example.org/hook", "http://127.0.0.1.example.org", "no url"],
)
def test_only_this_computer_is_sent_to(sim: RunningSimulator, url: str) -> None:
    """Another address is refused, with its name."""
    with pytest.raises(UsageError, match=url):
        sim.webhooks.target(url)


def test_without_a_target_nothing_is_sent(sim: RunningSimulator) -> None:
    """The clock moves on quietly, and a request says what is missing."""
    sim.clock.advance(timedelta(hours=1))
    with pytest.raises(UsageError, match="--webhooks"):
        sim.webhooks.send(*WEEK)


# From another process.


def test_events_can_be_asked_for_over_http(
    pushing: RunningSimulator, receiver: Receiver, api: Any
) -> None:
    """The answer tells each event and how the receiver answered."""
    hour = {"since": "2026-05-01T06:00:00Z", "until": "2026-05-01T15:00:00+09:00"}
    assert api.client.post("/_simulator/webhooks", json=hour).json() == []
    hour["until"] = "2026-05-01T16:00:00+09:00"
    sent = api.client.post("/_simulator/webhooks", json=hour).json()
    assert len(sent) == len(receiver.got) > 0
    assert {(one["status"], one["tries"]) for one in sent} == {(200, 1)}
    assert sent[0].keys() == {"at", "name", "user_id", "session_id", "status", "tries"}


@pytest.mark.parametrize(
    "body", [{}, {"since": "2026-05-01T06:00:00", "until": "2026-05-02T00:00"}]
)
def test_a_request_without_instants_is_refused(
    pushing: RunningSimulator, api: Any, body: Any
) -> None:
    """Both are needed, with an offset."""
    assert api.client.post("/_simulator/webhooks", json=body).status_code == 422


def test_a_request_without_a_target_is_refused(api: Any) -> None:
    """The answer says what is missing."""
    hour = {"since": "2026-05-01T06:00:00Z", "until": "2026-05-01T07:00:00Z"}
    answer = api.client.post("/_simulator/webhooks", json=hour)
    assert answer.status_code == 409
    assert "--webhooks" in answer.json()["detail"]


def test_the_receiver_may_ask_the_simulator_meanwhile(
    pushing: RunningSimulator, receiver: Receiver, api: Any
) -> None:
    """While a move of the clock sends an event, its session can be read."""
    states = []
    seen = contextlib.ExitStack()
    reader = seen.enter_context(httpx.Client(base_url=pushing.base_url))

    def read(got: Any) -> None:
        event = read_event(got.body)
        headers = {"x-api-key": pushing.api_key, "x-user-id": event.user_id or ""}
        answer = reader.get(f"/data/v3/sessions/{event.session_id}", headers=headers)
        states.append(answer.json()["result"]["session"]["state"])

    receiver.on_request = read
    with seen:
        api.client.put("/_simulator/clock", json={"now": "2026-05-01T14:00:00Z"}, timeout=60)
    assert len(states) == len(receiver.got) > 0
