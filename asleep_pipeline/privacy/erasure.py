"""Erasing a person: asked for once, carried out step by step, finished only when a search finds nothing.

What is asked for is on the disk before anything happens, with a tombstone that keeps the person away from
that moment on. Whoever is killed on the way leaves an erasure that goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any, Final

import structlog
from filelock import FileLock

from asleep_pipeline.errors import AsleepPipelineError, UsageError
from asleep_pipeline.privacy.journal import Erasure, Journal, Subject
from asleep_pipeline.privacy.receipts import keep, sign
from asleep_pipeline.privacy.scrub import scrub
from asleep_pipeline.privacy.secret import derived_key, pseudonym
from asleep_pipeline.privacy.steps import (
    SCAN,
    STEPS,
    UPSTREAM,
    WAREHOUSE,
    Counts,
    NotCleanError,
    Step,
    Work,
    lake_of,
    look_up,
    traces_of,
)
from asleep_pipeline.privacy.tombstones import PURPOSE, Tombstones
from asleep_pipeline.privacy.traces import Traces
from asleep_pipeline.settings import Settings
from asleep_pipeline.webhooks.inbox import Inbox

log = structlog.get_logger(__name__)

LOOK_UP: Final = "look_up"
_REPEATED: Final = [step.name for step in STEPS if step.name != UPSTREAM]


def request_erasure(
    settings: Settings, *, org_id: str, user_id: str, upstream: bool, by: str, now: datetime
) -> Erasure:
    """Ask for a person to be erased; holds at once for whatever would bring them back.

    Args:
        settings: Of the deployment.
        org_id: Organisation of the user.
        user_id: Of the person.
        upstream: Whether to delete the user at Asleep as well.
        by: Who asks, without a secret.
        now: The present, UTC.

    Returns:
        The erasure, durable; that which is under way already, if there is one.

    Raises:
        ErasureError: It cannot be written down.
    """
    journal = Journal(settings.erasures_path)
    person = _person(settings, user_id)
    erasure_id = journal.add(user_id, person, org_id, upstream=upstream, by=by, now=now)
    erasure = journal.one(erasure_id)
    assert erasure, "it has just been added"
    log.info("erasure_requested", erasure=erasure.id, organisation=org_id)
    return erasure


def is_being_erased(settings: Settings, user_id: str) -> bool:
    """Whether a user is being erased, or was: nobody may see anything of them any more.

    Raises:
        ErasureError: It cannot be read.
    """
    return Tombstones(settings.erasures_path, settings.secret_path).hold(user_id)


def users_being_erased(settings: Settings) -> frozenset[str]:
    """The users whose erasures are under way, so that what is published may still hold them.

    Raises:
        ErasureError: It cannot be read.
    """
    return frozenset(s.user_id for s in Journal(settings.erasures_path).subjects())


def is_any_under_way(settings: Settings) -> bool:
    """Whether there is something for `run_erasures` to do.

    Raises:
        ErasureError: It cannot be read.
    """
    return bool(Journal(settings.erasures_path).subjects())


def erasures(settings: Settings, org_id: str | None = None) -> list[Erasure]:
    """All erasures, the newest first; those of one organisation, or all.

    Raises:
        ErasureError: They cannot be read.
    """
    return Journal(settings.erasures_path).all(org_id)


def erasure_of(settings: Settings, user_id: str) -> Erasure | None:
    """The newest erasure of a user, or None.

    Raises:
        ErasureError: It cannot be read.
    """
    return Journal(settings.erasures_path).of_person(_person(settings, user_id))


def organisation_of(settings: Settings, user_id: str) -> str:
    """Whose user somebody is, by the roster, by what was stored, or by the key of their webhooks.

    Raises:
        UsageError: Nothing is stored of them.
    """
    if lake := lake_of(settings):
        for table in ("users", "raw"):
            sql = f"SELECT org_id FROM lake.{table} WHERE user_id = $1 LIMIT 1"
            if not (found := lake.frame(sql, [user_id])).is_empty():
                return str(found.item())
    if settings.inbox_path.exists():
        for event in Inbox(settings.inbox_path).events(user_id=user_id, limit=1):
            return event.key_name
    raise UsageError(
        "Nothing is stored of such a user.", fix="Give the id as Asleep has issued it."
    )


def request_for_returned(settings: Settings, now: datetime) -> int:
    """Ask for everybody to be erased again whom a restored backup has brought back; how many.

    Raises:
        ErasureError: It cannot be written down.
        LakeError: The lake cannot be read.
    """
    lake = lake_of(settings)
    if lake is None or not settings.erasures_path.exists():
        return 0
    sql = "SELECT user_id, org_id FROM lake.users UNION SELECT user_id, org_id FROM lake.raw"
    there = dict(lake.frame(sql).iter_rows())
    tombstones = Tombstones(settings.erasures_path, settings.secret_path)
    returned = tombstones.among(there) - users_being_erased(settings)
    for user_id in returned:
        request_erasure(
            settings,
            org_id=there[user_id],
            user_id=user_id,
            upstream=False,
            by="a restored backup",
            now=now,
        )
    return len(returned)


def run_erasures(settings: Settings, now: datetime) -> list[Erasure]:
    """Carry out all erasures that are under way, as far as possible; one process at a time.

    What hinders one is written down with it, and hinders no other.

    Args:
        settings: Of the deployment.
        now: The present, UTC.

    Returns:
        They, done or still open.

    Raises:
        ErasureError: The journal cannot be used.
    """
    journal = Journal(settings.erasures_path)
    if not journal.subjects():
        return []
    with _alone(settings):
        asked = journal.subjects()
        _Round(settings, journal, now).all()
        return [e for s in asked if (e := journal.one(s.erasure_id))]


@dataclass(slots=True)
class _Round:
    """One go at everything that is under way.

    Attributes:
        began: When it began, UTC.
    """

    settings: Settings
    journal: Journal
    began: datetime
    _since: float = field(default_factory=time.monotonic)
    _traces: dict[str, Traces] = field(default_factory=dict)

    def all(self) -> None:
        for subject in self.journal.subjects():
            if subject.session_ids is None:
                self._attempt(
                    subject, LOOK_UP, partial(look_up, self.settings, self.journal, subject)
                )
        for step in STEPS:
            self._carry_out(step)
        for subject in self.journal.subjects():
            self._finish(subject)

    @property
    def _now(self) -> datetime:
        return self.began + timedelta(seconds=time.monotonic() - self._since)

    def _carry_out(self, step: Step) -> None:
        """One step for everybody whose turn it is."""
        shared: Counts | None = None
        for subject in self.journal.subjects():
            erasure = self._erasure(subject)
            if not _is_due(erasure, step):
                continue
            work = Work(self.settings, subject, erasure, self._traces_of(subject))
            do = partial(step.do, work) if shared is None else partial(dict, shared)
            counts = self._attempt(subject, step.name, do)
            shared = counts if step.is_shared else None

    def _attempt(self, subject: Subject, step: str, do: Callable[[], Counts]) -> Counts | None:
        """What a step found to do; None when it is hindered, which is written down."""
        try:
            counts = do()
        except AsleepPipelineError as error:
            self._hindered(subject, step, error)
            return None
        self.journal.mark(subject.erasure_id, step, counts, self._now)
        return counts

    def _hindered(self, subject: Subject, step: str, error: AsleepPipelineError) -> None:
        again = _REPEATED if isinstance(error, NotCleanError) else []
        problem = self._traces_of(subject).without(f"{step}: {error}".encode(), b"...").decode()
        self.journal.unmark(subject.erasure_id, again, problem)
        log.warning(
            "erasure_hindered", erasure=subject.erasure_id, step=step, kind=type(error).__name__
        )

    def _finish(self, subject: Subject) -> None:
        """Sign the receipt, and forget whom it was about."""
        erasure = self._erasure(subject)
        if not all(erasure.has_done(step.name) for step in STEPS):
            return
        traces, at = self._traces_of(subject), self._now
        receipt = sign(self.settings, _said(erasure, at))
        keep(self.settings, erasure.id, receipt)
        self.journal.finish(erasure.id, receipt, at)
        scrub([self.settings.erasures_path], traces)
        log.info("erasure_done", erasure=erasure.id, organisation=erasure.org_id)

    def _erasure(self, subject: Subject) -> Erasure:
        erasure = self.journal.one(subject.erasure_id)
        assert erasure, "an erasure is never deleted"
        return erasure

    def _traces_of(self, subject: Subject) -> Traces:
        if subject.erasure_id not in self._traces:
            self._traces[subject.erasure_id] = traces_of(self.settings, subject)
        return self._traces[subject.erasure_id]


def _is_due(erasure: Erasure, step: Step) -> bool:
    """Whether what comes before it is done: all of it, but for what Asleep has to do."""
    if erasure.has_done(step.name):
        return False
    free = {UPSTREAM} if step.name != SCAN else set()
    before = {LOOK_UP, *(s.name for s in STEPS[: STEPS.index(step)])}
    return all(erasure.has_done(name) for name in before - free)


def _said(erasure: Erasure, finished_at: datetime) -> dict[str, Any]:
    """What a receipt says."""
    counts = {step.name: step.counts for step in erasure.steps}
    return {
        "erasure": erasure.id,
        "person": erasure.person,
        "org_id": erasure.org_id,
        "deleted_at_asleep": erasure.is_upstream,
        "asked_by": erasure.asked_by,
        "requested_at": erasure.requested_at.isoformat(),
        "finished_at": finished_at.isoformat(),
        "steps": [
            {"name": s.name, "done_at": s.done_at.isoformat(), "counts": s.counts}
            for s in erasure.steps
        ],
        "lake_snapshot": counts[WAREHOUSE].get("lake_snapshot"),
        "version": version("asleep-pipeline"),
    }


def _person(settings: Settings, user_id: str) -> str:
    return pseudonym(derived_key(settings.secret_path, PURPOSE), user_id)


def _alone(settings: Settings) -> AbstractContextManager[object]:
    return FileLock(settings.erasures_path.with_name("erasures.lock"))
