"""Which events may be taken: sorts what waits in the inbox, and touches nothing of the lake.

Windows of stages (INFERENCE_COMPLETE) are provisional and stay out of the lake, so they are done at
once; `live_sessions` shows them. Events of users who are not on the roster, or who belong to another
key, wait in quarantine until the roster says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from asleep_pipeline.access.organisations import organisations
from asleep_pipeline.asleep.events import INFERENCE_COMPLETE
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline.privacy.keeping import Policy
from asleep_pipeline.settings import Organisation, Settings
from asleep_pipeline.webhooks.inbox import Head, Inbox
from asleep_pipeline.webhooks.keyring import DEFAULT_KEY
from asleep_pipeline.webhooks.pushed import started_on

UNKNOWN: Final = "Its user is not on the roster."
GONE: Final = "The API says that its user is gone."
FOREIGN: Final = "It came with the key of another organisation than its user's."

_AT_A_TIME: Final = 2_000


@dataclass(slots=True)
class Triage:
    """What was sorted.

    Attributes:
        released: Events that came out of quarantine.
        quarantined: Events that went into it.
        settled: Windows of stages that are done, and events of nights that are not kept.
    """

    released: int = 0
    quarantined: int = 0
    settled: int = 0


@dataclass(slots=True)
class Gate:
    """Says whose events may pass, by the roster; each user is looked up once."""

    lake: Lake
    settings: Settings
    _known: dict[str, tuple[LakeUser, bool]] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _organisations: dict[str, Organisation] = field(init=False)

    def __post_init__(self) -> None:
        """Read whose keys are whose.

        Raises:
            AccessError: The settings of organisations cannot be read.
        """
        self._organisations = organisations(self.settings)

    def look_up(self, user_ids: Iterable[str]) -> None:
        """Ask the lake about users who were not asked about yet.

        Raises:
            LakeError: The lake cannot be read.
        """
        new = set(user_ids) - self._asked
        if not new:
            return
        with self.lake.read() as con:
            rows = con.execute(
                "SELECT user_id, org_id, timezone, deleted_at IS NOT NULL FROM lake.users "
                "WHERE user_id IN (SELECT unnest($1))",
                [sorted(new)],
            ).fetchall()
        self._known |= {user_id: (LakeUser(user_id, *more), gone) for user_id, *more, gone in rows}
        self._asked |= new

    def user_of(self, event: Head) -> LakeUser | None:
        """The user of an event that may pass; None of any other."""
        return None if self.objection(event) else self._known[event.user_id][0]

    def objection(self, event: Head) -> str:
        """Why an event may not pass; "" when it may."""
        user, is_gone = self._known.get(event.user_id, (None, False))
        if user is None:
            return UNKNOWN
        if is_gone:
            return GONE
        return "" if event.key_name in key_names_of(self._organisations, user.org_id) else FOREIGN

    def is_over(self, event: Head, now: datetime) -> bool:
        """Whether a session began before those that its user's organisation keeps."""
        user = self.user_of(event)
        first = user and Policy.of(self.settings, now=now).first_answer(user.org_id)
        began = started_on(event.session_id)
        return bool(first and began and began < first)

    def key_names(self, user_id: str) -> set[str]:
        """With which keys a user's events may come."""
        user, is_gone = self._known.get(user_id, (None, True))
        return set() if user is None or is_gone else key_names_of(self._organisations, user.org_id)


def triage(inbox: Inbox, gate: Gate, *, now: datetime) -> Triage:
    """Release whose user has been adopted, lay strangers aside, and settle windows of stages.

    Raises:
        InboxError: The inbox cannot be read or written.
        LakeError: The lake cannot be read.
    """
    done = Triage(released=_release(inbox, gate, now))
    for events in waiting(inbox):
        gate.look_up(event.user_id for event in events)
        objections = [(event.id, gate.objection(event)) for event in events]
        strangers = [(event_id, reason) for event_id, reason in objections if reason]
        aside = {event_id for event_id, _ in strangers}
        windows = [e.id for e in events if e.name == INFERENCE_COMPLETE and e.id not in aside]
        inbox.quarantine(strangers, now=now)
        over = [e.id for e in events if e.id not in aside and gate.is_over(e, now)]
        settled = sorted({*windows, *over})
        inbox.settle(settled, "done", now=now)
        done.quarantined += len(strangers)
        done.settled += len(settled)
    return done


def waiting(inbox: Inbox) -> Iterator[list[Head]]:
    """What waits, in order of arrival, some at a time; what is sorted meanwhile is not repeated."""
    after = 0
    while events := inbox.heads("waiting", after=after, limit=_AT_A_TIME):
        yield events
        if len(events) < _AT_A_TIME:
            break
        after = events[-1].id


def key_names_of(found: Mapping[str, Organisation], org_id: str) -> set[str]:
    """The names of the keys that an organisation's events may come with.

    Args:
        found: The organisations whose settings hold.
        org_id: One of them, or one that has no settings.
    """
    organisation = found.get(org_id, Organisation())
    own = organisation.api_key or organisation.api_key_file
    previous = organisation.previous_api_key or organisation.previous_api_key_file
    return ({org_id} if own or previous else set()) | (set() if own else {DEFAULT_KEY})


def _release(inbox: Inbox, gate: Gate, now: datetime) -> int:
    users: Collection[str] = inbox.users_in_quarantine()
    gate.look_up(users)
    return sum(
        inbox.release(user_id, key_name, now=now)
        for user_id in users
        for key_name in gate.key_names(user_id)
    )
