"""Push and pull together, in any order, with crashes: one row a session, and the latest state.

What must be known is worked out from the answers in `raw` and from what the simulator's sessions
were at those instants, by a rule as simple as the promise: of a session counts what was said last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from asleep_pipeline.errors import LakeError
from asleep_pipeline.extract.answers import sha256
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.tables import STAT_COLUMNS
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline.webhooks.inbox import Arrival, Inbox
from asleep_pipeline_tests.small_world import NOON, Key, SmallWorld, small_world
from asleep_pipeline_tests.webhooks.mail import post
from asleep_pipeline_tests.webhooks.pushes import PushedWorld, killed

Row = dict[str, Any]

FIRST = NOON.date() - timedelta(days=3)
WHAT_HAPPENS = (
    *("send", "send", "arrive", "drain", "drain", "drain", "pull", "pull"),
    *("wait", "recompute", "delete", "forget"),
)
CRASHES = ("none", "none", "before the commit", "before marking")
FEW, FOUND = 3, 200
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OF_DETAIL = (
    *(column.name for column in STAT_COLUMNS),
    *("sleep_stages", "breath_stages", "snoring_stages", "peculiarities", "missing_data_ratio"),
)


@dataclass
class Known:
    """What was said last of one session: its state, and its numbers while they hold."""

    state: str | None = None
    numbers: Row | None = None

    def is_gone(self) -> bool:
        """Whether there is no such session."""
        return self.state is None


@dataclass
class Chronicle:
    """The truth about all sessions at each instant at which something was said.

    Attributes:
        at: Rows by session, by the instant of the simulator's clock.
        pushed: Rows that the bodies of webhooks tell, by their hash.
    """

    at: dict[datetime, dict[Key, Row]] = field(default_factory=dict)
    pushed: dict[str, Row] = field(default_factory=dict)

    def note(self, world: SmallWorld) -> None:
        """Remember the present."""
        self.at[world.sim.clock.now()] = world.truth(FIRST, world.today)

    def known(self, lake: Lake) -> dict[Key, Known]:
        """What the answers in the lake say of each session, read in the order of their instants."""
        told: dict[Key, Known] = {}
        for said in sorted(_answers(lake), key=lambda row: row["said_at"]):
            if said["endpoint"] == "list_sessions":
                self._read_listing(told, said)
            else:
                key = (said["user_id"], said["session_id"])
                self._read_detail(told.setdefault(key, Known()), key, said)
        return told

    def _read_listing(self, told: dict[Key, Known], said: Row) -> None:
        truth = self.at[said["said_at"].replace(microsecond=0)]
        listed = {key: row for key, row in truth.items() if key[0] == said["user_id"]}
        for key, known in told.items():
            if key[0] == said["user_id"] and key not in listed:
                known.state = known.numbers = None
        for key, row in listed.items():
            known = told.setdefault(key, Known())
            known.state = row["state"]
            if row["state"] != "COMPLETE":
                known.numbers = None

    def _read_detail(self, known: Known, key: Key, said: Row) -> None:
        if said["status"] != FOUND:
            known.state = known.numbers = None
        elif said["endpoint"] == "session_complete":
            known.state, known.numbers = "COMPLETE", self.pushed[said["body_sha256"]]
        else:
            moment = said["said_at"].replace(microsecond=0)
            known.state, known.numbers = "COMPLETE", self.at[moment][key]


def _answers(lake: Lake) -> list[Row]:
    return lake.frame(
        """
        SELECT *, coalesce(listed_at, fetched_at) AS said_at FROM raw
        WHERE endpoint IN ('list_sessions', 'get_session', 'session_complete')
        """
    ).to_dicts()


class PushAndPull(RuleBasedStateMachine):
    """A company of two people over a few days."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(mkdtemp(prefix="asleep-pipeline-"))
        self.chronicle = Chronicle()
        self.sent: list[Arrival] = []

    @initialize()
    def begin(self) -> None:
        """An empty lake and an empty inbox, in the night."""
        options: Row = {"people": 2, "first_date": FIRST, "now": NOON - 15 * HOUR}
        world = self.stack.enter_context(small_world(self.folder, **options))
        self.patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.pushed = PushedWorld.of(world)
        self.chronicle.note(world)

    @property
    def world(self) -> SmallWorld:
        """What is simulated."""
        return self.pushed.world

    # One rule of many kinds: of several, hypothesis would leave some out of each history.
    @rule(what=st.sampled_from(WHAT_HAPPENS), data=st.data())
    def happen(self, what: str, data: st.DataObject) -> None:
        """Anything, in any order."""
        getattr(self, what)(data)

    def send(self, data: st.DataObject) -> None:
        """Asleep has something to say of some sessions; it arrives now, later, or never."""
        keys = st.sampled_from(sorted(self.pushed.complete()))
        for key in data.draw(st.lists(keys, min_size=1, max_size=4, unique=True)):
            event = self.pushed.event(key)
            self.sent.append(event)
            told = self.chronicle.at[event.received_at][key]
            self.chronicle.pushed.setdefault(sha256(event.body), told)
            if data.draw(st.booleans()):
                self._post(event)

    def arrive(self, data: st.DataObject) -> None:
        """Something that was sent arrives, for the first time or not, once or often."""
        if self.sent:
            self._post(
                data.draw(st.sampled_from(self.sent)), data.draw(st.sampled_from([1, 2, 40]))
            )

    def _post(self, event: Arrival, times: int = 1) -> None:
        now = self.world.sim.clock.now()
        arrival = Arrival(event.event, event.key_name, event.user_id, now, event.body)
        post(self.pushed.inbox, *[arrival] * times)

    def wait(self, data: st.DataObject) -> None:
        """Time passes: sessions end, others begin; not so long that a recomputation is too old."""
        if self.world.sim.clock.now() < NOON + 3 * DAY:
            self.world.sim.clock.advance(data.draw(st.sampled_from([1, 5, 12, 26])) * HOUR)
        self.chronicle.note(self.world)

    def forget(self, _data: st.DataObject) -> None:
        """The inbox deletes what is done."""
        self.pushed.inbox.purge("done", before=self.world.sim.clock.now() + HOUR)

    def recompute(self, data: st.DataObject) -> None:
        """Asleep works out one session of the last day anew, and sends nothing by itself."""
        self.world.sim.clock.advance(MINUTE)
        since = (self.world.sim.clock.now() - DAY).isoformat()
        sessions = self.pushed.complete().items()
        young = sorted(key for key, said in sessions if said["session"]["end_time"] > since)
        if young:
            key = data.draw(st.sampled_from(young))
            self.world.sim.faults.recomputed.setdefault(key[1], self.world.sim.clock.now())
        self.chronicle.note(self.world)

    def delete(self, data: st.DataObject) -> None:
        """Somebody deletes a session, of which something was sent if there is one."""
        self.world.sim.clock.advance(MINUTE)
        present = self.pushed.complete().keys()
        sent = {(event.user_id, event.event.session_id or "") for event in self.sent}
        keys = sorted(present & sent or present)
        if len(present) > FEW:
            self.world.sim.faults.deleted_sessions.add(data.draw(st.sampled_from(keys))[1])
        self.chronicle.note(self.world)

    def drain(self, data: st.DataObject) -> None:
        """Take what waits; the process may end at the worst instants."""
        crash = data.draw(st.sampled_from(CRASHES))
        with self.patch.context() as patched, suppress(KeyboardInterrupt, LakeError):
            if crash == "before the commit":
                patched.setattr(Lake, "write", _refuse)
            if crash == "before marking":
                patched.setattr(Inbox, "settle", killed)
            self.pushed.drain(reread=data.draw(st.booleans()))
        self._maybe_read(data)

    def pull(self, data: st.DataObject) -> None:
        """A sync, whose answers are read at once or later."""
        days = timedelta(days=self.world.platform.settings.lookback_days + 1)
        self.world.pull(self.world.today - days, self.world.today)
        self._maybe_read(data)

    def _maybe_read(self, data: st.DataObject) -> None:
        """Then `sessions` is what was said last, one row a session."""
        if data.draw(st.booleans()):
            self.world.normalise()
            _assert_known(self.chronicle.known(self.world.lake), self.world.stored())
            _assert_once(self.world.lake)

    def teardown(self) -> None:
        """The sync of the next day makes it the truth; a rebuild makes the same."""
        with self.stack:
            if hasattr(self, "pushed"):
                self.pushed.take()
                self.world.sim.clock.advance(DAY)
                self.pushed.sync()
                self.world.assert_true(FIRST, self.world.today)
                assert set(self.pushed.states()) <= {"done"}
                before = self.world.lake.frame("SELECT * FROM sessions ORDER BY ALL")
                rebuild(self.world.lake, organisations={}, default_zone="UTC")
                assert self.world.lake.frame("SELECT * FROM sessions ORDER BY ALL").equals(before)
        rmtree(self.folder)


def _assert_known(known: dict[Key, Known], stored: dict[Key, Row]) -> None:
    assert stored.keys() == {key for key, said in known.items() if not said.is_gone()}
    for key, row in stored.items():
        assert row["state"] == known[key].state
        numbers = known[key].numbers or {}
        assert {name: row[name] for name in OF_DETAIL} == {
            name: numbers.get(name) for name in OF_DETAIL
        }


def _refuse(*_: object) -> Iterator[None]:
    raise LakeError("The disk is full.")


def _assert_once(lake: Lake) -> None:
    """An event stands in raw once, and a row knows the first of its session."""
    pushes = lake.frame("SELECT * FROM raw WHERE endpoint = 'session_complete'")
    assert not pushes.select("user_id", "session_id", "body_sha256").is_duplicated().any()
    first = {
        (user_id, session_id): rows["fetched_at"].min()
        for (user_id, session_id), rows in pushes.group_by("user_id", "session_id")
    }
    rows = lake.frame("SELECT user_id, session_id, pushed_at FROM sessions").iter_rows()
    assert all(pushed_at == first.get(tuple(key)) for *key, pushed_at in rows)


TestPushAndPull = PushAndPull.TestCase
TestPushAndPull.settings = settings(
    max_examples=4,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    # An example takes seconds; that of a failing history cannot be made smaller.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
