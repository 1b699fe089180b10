"""Sessions in progress: what is published of the events in the inbox, and for how long."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.asleep.events import Inference, started_by_id
from asleep_pipeline.lake import Lake
from asleep_pipeline.settings import load_settings
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.live import FOLLOWED, _place_of
from asleep_pipeline.webhooks.live_board import QUIET
from asleep_pipeline.webhooks.live_sessions import (
    LiveSession,
    Seen,
    after,
    gaps_of,
    padded,
    values_of,
)
from asleep_pipeline.webhooks.live_table import LIVE_SESSIONS
from asleep_pipeline_tests.small_world import close
from asleep_pipeline_tests.webhooks.nights_live import (
    SESSION,
    START,
    Nights,
    complete,
    inference,
    nights,
    wait_for,
)

KEY = ("default", "ann", SESSION)
OPAQUE = ("default", "ann", "opaque")
TEN_EPOCHS_LATER = START + timedelta(minutes=5)


@pytest.fixture
def bedtime(tmp_path: Path) -> Iterator[Nights]:
    """A deployment with ann and bob of acme, and fay of duo."""
    with nights(tmp_path) as made:
        yield made


def window(last_epoch: int, *stages: int) -> Inference:
    """Sleep stages that end at an epoch."""
    return Inference(last_epoch, stages, None, None)


def folded(*seen: Seen) -> LiveSession:
    """What events say together."""
    session: LiveSession | None = None
    for event in seen:
        session = after(session, event)
    assert session
    return session


def told(*windows: Inference | None, key: tuple[str, str, str] = KEY) -> LiveSession:
    """What windows say together that came one a minute."""
    return folded(
        *(
            Seen(number, key, START + timedelta(minutes=number), said)
            for number, said in enumerate(windows, start=1)
        )
    )


def sleep(session: LiveSession) -> list[int | None]:
    """Its sleep stages so far."""
    return values_of(padded(session.series[0], session.epochs))


def test_windows_follow_each_other() -> None:
    """A window stands where its last chunk says."""
    session = told(window(2, 0, 0, 1), window(5, 2, 2, 3))
    assert sleep(session) == [0, 0, 1, 2, 2, 3]
    assert session.epochs == 6


def test_a_lost_window_is_a_gap_and_unknown_is_none() -> None:
    """What no event has told is None, and what the API could not tell is -1."""
    session = told(window(1, 0, -1), window(5, 1, 1))
    assert sleep(session) == [0, -1, None, None, 1, 1]
    assert gaps_of(padded(session.series[0], session.epochs)) == [(2, 4)]


def test_the_window_that_reaches_furthest_counts() -> None:
    """Of an epoch that was told twice, the later inference counts, in whatever order they came."""
    early, late = window(3, 0, 0, 0, 0), window(5, 1, 1, 1, 1)
    assert sleep(told(early, late)) == sleep(told(late, early)) == [0, 0, 1, 1, 1, 1]


def test_what_lies_before_the_start_is_left_out() -> None:
    """A window longer than the session so far is cut."""
    assert sleep(told(window(1, 3, 3, 3, 1, 2))) == [1, 2]


def test_a_plan_without_sleep_stages() -> None:
    """An event without a series still says how far the session is."""
    session = told(Inference(9, None, None, (1,) * 10))
    assert (session.epochs, session.series[0]) == (10, None)
    assert sleep(session) == [None] * 10


@pytest.mark.parametrize(
    ("session_id", "start"),
    [
        (SESSION, START),
        ("20261126220000", START),
        ("20261326220000_aaaaa", None),
        ("202611262200001_aaaaa", None),
        ("opaque", None),
        ("", None),
    ],
)
def test_start_by_the_session_id(session_id: str, start: datetime | None) -> None:
    """An id begins with the start in UTC; one that does not, says nothing."""
    assert started_by_id(session_id) == start


def test_start_by_arrival() -> None:
    """Without it the start is as late as the events allow; the source says so."""
    early = Seen(1, OPAQUE, TEN_EPOCHS_LATER + timedelta(minutes=1), window(9, *[1] * 10))
    late = Seen(2, OPAQUE, TEN_EPOCHS_LATER + timedelta(minutes=9), window(19, *[1] * 10))
    assert folded(early, late).session_start == (START + timedelta(minutes=1), "arrival")
    assert folded(Seen(1, OPAQUE, START, None)).session_start == (None, None)


_EVENTS = st.lists(
    st.builds(
        Seen,
        id=st.integers(1, 50),
        key=st.sampled_from([KEY, OPAQUE]),
        received_at=st.datetimes(
            min_value=START.replace(tzinfo=None),
            max_value=START.replace(tzinfo=None) + timedelta(days=2),
            timezones=st.just(UTC),
        ),
        inference=st.none()
        | st.builds(
            Inference,
            last_epoch=st.integers(0, 40),
            sleep_stages=st.none() | st.lists(st.integers(-1, 3), max_size=15).map(tuple),
            breath_stages=st.none() | st.lists(st.integers(0, 1), max_size=15).map(tuple),
            snoring_stages=st.none(),
        ),
    ),
    min_size=1,
    max_size=12,
)


def state(events: Sequence[Seen]) -> list[Any]:
    """All that is known of all sessions."""
    sessions: dict[tuple[str, str, str], LiveSession] = {}
    for seen in events:
        sessions[seen.key] = after(sessions.get(seen.key), seen)
    return [
        [getattr(s, name) for name in LiveSession.__slots__ if name != "series"]
        + [None if codes is None else codes.tolist() for codes in s.series]
        for _, s in sorted(sessions.items())
    ]


@given(st.data())
def test_any_order_and_repetition_gives_the_same_state(data: st.DataObject) -> None:
    """Events that come late, twice or in another order change nothing."""
    events = data.draw(_EVENTS)
    mixed = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events)))))
    assert state(mixed) == state(events)


@given(_EVENTS)
def test_a_value_that_was_told_is_never_a_gap_again(events: list[Seen]) -> None:
    """What comes later adds to what is there, and takes nothing away."""
    before = after(None, events[0])
    for seen in events[1:]:
        now = after(before, Seen(seen.id, before.key, seen.received_at, seen.inference))
        known = [value is not None for value in sleep(before)]
        assert all(b >= a for a, b in zip(known, sleep_known(now), strict=False))
        before = now


def sleep_known(session: LiveSession) -> list[bool]:
    """Which epochs have a value."""
    return [value is not None for value in sleep(session)]


def test_an_event_is_queryable(bedtime: Nights) -> None:
    """Whoever opens the file sees the stages so far, without an extension."""
    bedtime.arrive("ann", inference("ann", 0, (0, 0, 1, 1, 2, 2, 3, 3, -1, -1)))
    bedtime.arrive("ann", inference("ann", 2, (1,) * 10))
    with bedtime.followed():
        bedtime.publishes(("ann", 30))
    (row,) = bedtime.rows("COLUMNS(*)")
    assert dict(zip(LIVE_SESSIONS.column_names, row, strict=True)) == {
        "user_id": "ann",
        "org_id": "acme",
        "session_id": SESSION,
        "started_at": START,
        "started_at_source": "session_id",
        "last_event_at": bedtime.now,
        "completed_at": None,
        "epochs": 30,
        "missing_epochs": 10,
        "stage_now": "light",
        "asleep_s": 480,
        "sleep_stages": [0, 0, 1, 1, 2, 2, 3, 3, -1, -1, *[None] * 10, *[1] * 10],
        "breath_stages": None,
        "snoring_stages": [*[0] * 10, *[None] * 10, *[0] * 10],
    }


def test_the_file_describes_itself(bedtime: Nights) -> None:
    """Table and columns carry their description, in the order in which they are described."""
    with bedtime.followed():
        bedtime.publishes()
    with duckdb.connect(str(bedtime.settings.live_path), read_only=True) as con:
        columns = con.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        ((about,),) = con.execute("SELECT comment FROM duckdb_tables()").fetchall()
    assert columns == [(c.name, c.comment) for c in LIVE_SESSIONS.columns]
    assert about == LIVE_SESSIONS.description


def test_events_while_it_follows(bedtime: Nights) -> None:
    """What arrives later is published later, and what is the same does not come twice."""
    with bedtime.followed():
        bedtime.arrive("bob", inference("bob", 0))
        bedtime.publishes(("bob", 10))
        bedtime.arrive("bob", inference("bob", 1), inference("bob", 1), inference("bob", 0))
        bedtime.arrive("ann", inference("ann", 0))
        bedtime.publishes(("ann", 10), ("bob", 20))


def test_a_complete_session_is_marked_then_gone(bedtime: Nights) -> None:
    """It is marked when its webhook comes, and goes when the published file has it."""
    with bedtime.followed():
        bedtime.arrive("ann", inference("ann", 0))
        bedtime.arrive("ann", complete("ann"))
        bedtime.publishes(("ann", bedtime.now), columns="user_id, completed_at")
        bedtime.complete_in_warehouse("ann")
        bedtime.publishes()
        bedtime.arrive("ann", inference("ann", 1))
        bedtime.arrive("bob", inference("bob", 0))
        bedtime.publishes(("bob", 10))


def test_a_session_that_is_complete_before_the_start(bedtime: Nights) -> None:
    """After a restart, what is published as complete is not in progress again."""
    bedtime.arrive("ann", inference("ann", 0))
    bedtime.arrive("bob", inference("bob", 0))
    bedtime.complete_in_warehouse("ann")
    with bedtime.followed():
        bedtime.publishes(("bob", 10))


def test_a_quiet_session_is_gone_after_a_day(bedtime: Nights) -> None:
    """A session whose end was lost does not stay for ever."""
    bedtime.arrive("ann", inference("ann", 0))
    bedtime.now += QUIET - timedelta(minutes=1)
    bedtime.arrive("bob", inference("bob", 0))
    with bedtime.followed():
        bedtime.publishes(("ann", 10), ("bob", 10))
    bedtime.now += timedelta(minutes=1)
    with bedtime.followed():
        bedtime.publishes(("bob", 10))


def test_nobody_outside_the_roster_is_shown(bedtime: Nights) -> None:
    """An unknown user is not shown, until the roster has them."""
    bedtime.arrive("eve", inference("eve", 0))
    bedtime.arrive("ann", inference("ann", 0))
    with bedtime.followed():
        bedtime.publishes(("ann", 10))
        bedtime.adopt(eve="acme")
        bedtime.publishes(("ann", 10), ("eve", 10))


def test_the_key_must_be_the_organisations(tmp_path: Path) -> None:
    """Events that came with another organisation's key are not shown."""
    with nights(tmp_path, organisations={"duo": {"api_key": "key-of-duo"}}) as made:
        made.arrive("ann", inference("ann", 0), key_name="duo")
        made.arrive("fay", inference("fay", 0), key_name="default")
        made.arrive("bob", inference("bob", 0), key_name="default")
        made.arrive("fay", inference("fay", 0), inference("fay", 1), key_name="duo")
        with made.followed():
            made.publishes(("bob", 10), ("fay", 20))


def test_a_key_that_is_changed_during_a_night(tmp_path: Path) -> None:
    """A session whose events come with the old key and the new is one row."""
    organisations = {"duo": {"previous_api_key": "key-of-duo-before"}}
    with nights(tmp_path, organisations=organisations) as made:
        made.arrive("fay", inference("fay", 0), key_name="duo")
        made.arrive("fay", inference("fay", 1), key_name="default")
        with made.followed():
            made.publishes(("fay", 20))


def test_without_a_lake_nobody_is_shown(tmp_path: Path) -> None:
    """Before the first import there is nobody to show, and the file says so."""
    made = Nights(load_settings(data_dir=tmp_path))
    made.arrive("ann", inference("ann", 0))
    with made.followed() as live:
        made.publishes()
        wait_for(lambda: live.counts.events == 1)
        made.adopt(ann="acme")
        made.publishes(("ann", 10))
    close(Lake.open(made.settings.lake_dir))


def test_unreadable_events_are_counted(bedtime: Nights) -> None:
    """An event that says nothing usable holds up no other."""
    far = json.loads(inference("ann", 0))
    far["data"] |= {"seq_num": 9_000_000, "inference_seq_num": 900_000}
    no_stage = inference("ann", 3, (9,) * 10)
    no_session = json.dumps({"event": "INFERENCE_COMPLETE", "data": {"seq_num": 9}}).encode()
    other = json.dumps({"event": "SOMETHING_ELSE", "data": {"user_id": "ann"}}).encode()
    bedtime.arrive("ann", json.dumps(far).encode(), no_stage, no_session, other)
    bedtime.arrive("ann", inference("ann", 0))
    with bedtime.followed() as live:
        bedtime.publishes(("ann", 10))
    assert (live.counts.events, live.counts.unreadable) == (4, 3)


def test_a_reader_keeps_its_state(bedtime: Nights) -> None:
    """Who has the file open is not disturbed by what is published meanwhile, and holds up nobody."""
    bedtime.arrive("ann", inference("ann", 0))
    with bedtime.followed() as live:
        bedtime.publishes(("ann", 10))
        with duckdb.connect(str(bedtime.settings.live_path), read_only=True) as reader:
            before = live.counts.published_at
            bedtime.now += timedelta(minutes=5)
            bedtime.arrive("ann", inference("ann", 1))
            wait_for(lambda: live.counts.published_at != before)
            assert reader.execute("SELECT epochs FROM live_sessions").fetchall() == [(10,)]
        assert bedtime.rows() == [("ann", 20)]


def test_trouble_is_survived(bedtime: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses for a while costs a delay, and no event."""
    monkeypatch.setattr("asleep_pipeline.webhooks.live._TROUBLE_S", 0.05)
    bedtime.settings.live_path.with_name("live.duckdb.unfinished").mkdir()
    with bedtime.followed() as live:
        bedtime.arrive("ann", inference("ann", 0))
        wait_for(lambda: live.counts.events == 1)
        bedtime.arrive("ann", inference("ann", 1))
        assert not bedtime.settings.live_path.exists()
        bedtime.settings.live_path.with_name("live.duckdb.unfinished").rmdir()
        bedtime.publishes(("ann", 20))


def test_a_published_file_that_cannot_be_opened_is_no_trouble(bedtime: Nights) -> None:
    """A tool that holds the published file open for writing keeps no night from being shown."""
    bedtime.settings.warehouse_path.write_bytes(b"no database")
    with bedtime.followed() as live:
        for block in range(500):
            bedtime.arrive("ann", inference("ann", block))
        wait_for(lambda: live.counts.events == 500)
        bedtime.publishes(("ann", 5_000))


def test_old_events_are_not_read(bedtime: Nights) -> None:
    """At the start, only what a session in progress can rest on is read."""
    for _ in range(5):
        bedtime.arrive("ann", inference("ann", 0, session_id=f"{bedtime.now:%Y%m%d%H%M%S}"))
        bedtime.now += timedelta(hours=11)
    with bedtime.followed() as live:
        wait_for(live.caught_up.is_set)
    # Their ages: 55, 44, 33, 22 and 11 hours.
    assert live.counts.events == 4


@given(st.lists(st.integers(0, 9), max_size=12), st.sets(st.integers(1, 12)), st.integers(-1, 10))
def test_the_place_to_begin(gaps: list[int], purged: set[int], cut: int) -> None:
    """It is just before the first event of the time that is followed, whatever was purged."""
    con = sqlite3.connect(":memory:", isolation_level=None)
    con.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, received_at INTEGER)")
    events = [(i, 1_000_000 * t) for i, t in enumerate(sorted(gaps), 1) if i not in purged]
    con.executemany("INSERT INTO event VALUES (?, ?)", events)
    place = _place_of(con, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=cut))
    con.close()
    later = [i for i, at in events if at >= 1_000_000 * cut]
    assert [i for i, _ in events if i > place] == later


def test_the_inbox_is_kept_longer_than_it_is_followed() -> None:
    """What a restart needs is not purged before."""
    least = load_settings(webhook_keep_days=2).webhook_keep_days
    assert timedelta(days=least) >= FOLLOWED
    assert FOLLOWED >= 2 * QUIET


def test_the_inbox_must_be_usable(tmp_path: Path) -> None:
    """Each deployment has one; it is made where it is missing."""
    settings = load_settings(data_dir=tmp_path)
    made = Nights(settings)
    assert Inbox(settings.inbox_path).depth().waiting == 0
    assert made.rows() == []
