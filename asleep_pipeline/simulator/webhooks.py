"""Sends the webhooks of a simulated world as its clock goes on, with faults on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event as Signal
from threading import RLock, Thread
from zlib import crc32

import structlog

from asleep_pipeline.errors import UsageError
from asleep_pipeline.simulator.clock import Clock
from asleep_pipeline.simulator.dice import chance
from asleep_pipeline.simulator.events import Event, Version, events_between
from asleep_pipeline.simulator.faults import Faults
from asleep_pipeline.simulator.posting import Answer, Poster, is_answered, is_on_this_machine
from asleep_pipeline.simulator.world import World

log = structlog.get_logger(__name__)

_CONNECTIONS = 8
_TICK_S = 1.0
_REPEATED_WITHIN_S = 60
_OVERTAKING_WITHIN_S = 600
_WRONG_KEY = "not-the-key"


@dataclass(frozen=True, slots=True)
class Post:
    """One event on its way.

    Attributes:
        due: When it is sent, UTC.
        event: What is sent.
        has_wrong_key: Whether it comes with another key.
    """

    due: datetime
    event: Event
    has_wrong_key: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event that was sent.

    Attributes:
        event: What was sent.
        status: HTTP status of the answer; None when none came.
        tries: How often it was sent, until then.
    """

    event: Event
    status: int | None
    tries: int


@dataclass(frozen=True, slots=True)
class _Target:
    url: str
    version: Version
    patience_s: float


def check_target(url: str) -> None:
    """Refuse what made-up events must not be sent to.

    Raises:
        UsageError: It is no URL, or that of another computer.
    """
    if not is_on_this_machine(url):
        raise UsageError(
            f"The simulator sends no webhooks to {url!r}.",
            fix="It sends to this computer only, such as http://127.0.0.1:8710/webhooks/asleep.",
        )


def posts_of(events: Sequence[Event], faults: Faults) -> list[Post]:
    """Return what the faults make of some events, in the order of sending.

    What becomes of an event depends on itself and the faults' seed alone.
    """
    posts = [post for event in events for post in _posts(event, faults)]
    return sorted(posts, key=lambda post: post.due)


def _posts(event: Event, faults: Faults) -> Iterator[Post]:
    def draw(what: str) -> float:
        return chance(faults.seed, event.session_id, event.name, event.at, what)

    if draw("loss") < faults.webhook_loss_share:
        return
    late_s = faults.webhook_delay_s if draw("delay") < faults.webhook_delay_share else 0
    if faults.webhook_reorder:
        late_s += _OVERTAKING_WITHIN_S * draw("reorder")
    due = event.at + timedelta(seconds=late_s)
    yield Post(due, event, draw("wrong key") < faults.webhook_wrong_key_share)
    if draw("duplicate") < faults.webhook_duplicate_share:
        yield Post(due + timedelta(seconds=_REPEATED_WITHIN_S * draw("repeated")), event)


def _longest_delay(faults: Faults) -> timedelta:
    reordering_s = _OVERTAKING_WITHIN_S if faults.webhook_reorder else 0
    return timedelta(seconds=faults.webhook_delay_s + reordering_s + _REPEATED_WITHIN_S)


class Webhooks:
    """Sends webhooks to one URL on this computer, in order for each session.

    Nothing is sent before `target`. From then on events are sent as they fall due: with a clock that
    stands still, whenever it is set to a later instant, and before that returns.

    Args:
        world: What the events are about.
        clock: The simulator's clock.
        faults: Read whenever something is sent.
        api_key: Sent with each event.
    """

    def __init__(self, world: World, clock: Clock, faults: Faults, api_key: str) -> None:
        self._world = world
        self._clock = clock
        self._faults = faults
        self._api_key = api_key
        self._target: _Target | None = None
        self._reached = clock.now()
        self._turn = RLock()
        self._stopping = Signal()
        clock.watch(self.catch_up)

    def target(self, url: str | None, *, version: Version = "V3", patience_s: float = 30.0) -> None:
        """Send what falls due from now on to a URL; None sends nothing.

        Args:
            url: Where to, on this computer.
            version: The envelope.
            patience_s: Seconds for which a 5xx or no answer is followed by another attempt.

        Raises:
            UsageError: It is no URL, or that of another computer.
        """
        if url is not None:
            check_target(url)
        with self._turn:
            self._target = None if url is None else _Target(url, version, patience_s)
            self._reached = self._clock.now()

    def send(self, since: datetime, until: datetime) -> list[Delivery]:
        """Send now all that falls due after `since` and until `until`, inclusive, whatever the clock.

        Late events are sent too, in the order in which they would come.

        Returns:
            What was sent, in order; lost events are missing, repeated ones are there twice.

        Raises:
            UsageError: There is no target.
        """
        target = self._target
        if target is None:
            raise UsageError(
                "There is nowhere to send webhooks to.",
                fix="Start the simulator with --webhooks URL.",
            )
        events = events_between(self._world, since, until, target.version)
        return self._deliver(target, posts_of(events, self._faults))

    def catch_up(self) -> list[Delivery]:
        """Send what fell due by the clock since the last time.

        A clock that was set back sends again what falls due again.
        """
        with self._turn:
            since, self._reached = self._reached, self._clock.now()
            if self._target is None or self._reached <= since:
                return []
            return self._deliver(self._target, self._due(self._target, since, self._reached))

    def _due(self, target: _Target, since: datetime, until: datetime) -> list[Post]:
        earliest = since - _longest_delay(self._faults)
        events = events_between(self._world, earliest, until, target.version)
        return [post for post in posts_of(events, self._faults) if since < post.due <= until]

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow real time during the block."""
        thread = Thread(target=self._follow, name="simulator-webhooks", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def _follow(self) -> None:
        while not self._stopping.wait(_TICK_S):
            self.catch_up()

    def _deliver(self, target: _Target, posts: Sequence[Post]) -> list[Delivery]:
        """Send posts over some connections at a time, those of one session over the same."""
        lines: list[list[int]] = [[] for _ in range(_CONNECTIONS)]
        for number, post in enumerate(posts):
            lines[crc32(post.event.session_id.encode()) % _CONNECTIONS].append(number)
        filled = [line for line in lines if line]
        answers: dict[int, Answer] = {}
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            for part in pool.map(lambda line: self._post(target, posts, line), filled):
                answers |= part
        sent = [Delivery(p.event, answers[n].status, answers[n].tries) for n, p in enumerate(posts)]
        _warn_of_failed(target, sent)
        return sent

    def _post(self, target: _Target, posts: Sequence[Post], line: list[int]) -> dict[int, Answer]:
        poster = Poster(target.url, patience_s=target.patience_s, stopping=self._stopping)
        with closing(poster):
            return {n: poster.post(posts[n].event.body, self._headers(posts[n])) for n in line}

    def _headers(self, post: Post) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "x-api-key": _WRONG_KEY if post.has_wrong_key else self._api_key,
            "x-user-id": post.event.user_id,
        }


def _warn_of_failed(target: _Target, sent: Sequence[Delivery]) -> None:
    failed = [delivery.status for delivery in sent if not is_answered(delivery.status)]
    if failed:
        log.warning("webhooks_given_up", events=len(failed), url=target.url, status=failed[-1])
