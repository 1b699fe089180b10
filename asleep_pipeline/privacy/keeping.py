"""For how long what is kept of whom, as dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from asleep_pipeline.access.organisations import organisations
from asleep_pipeline.settings import Retention, Settings

UNDER_WAY: Final = timedelta(days=2)
"""So much longer answers stay: a pull that began yesterday compares with them what it has listed."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What organisations have decided, at one date.

    Attributes:
        today: The date, UTC, from which days are counted back.
        by_org: The organisations that do not keep everything for ever.
    """

    today: date
    by_org: Mapping[str, Retention] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, *, now: datetime) -> Policy:
        """What holds now.

        Raises:
            AccessError: The settings of organisations cannot be read.
        """
        found = {name: org.retention for name, org in organisations(settings).items()}
        return cls(now.date(), {name: kept for name, kept in found.items() if kept != Retention()})

    def first_night(self, org_id: str) -> date | None:
        """The first start date (UTC) of sessions that are kept; None when all are."""
        return self._first(self._of(org_id).sessions)

    def first_answer(self, org_id: str) -> date | None:
        """The first date of which answers of the API are kept, and asked for; None when all are.

        A night that is not kept is not asked for either, and its answers go with it.
        """
        kept = self._of(org_id)
        return self._first(min(filter(None, (kept.raw, kept.sessions)), default=None))

    def first_nights(self) -> Iterator[tuple[str, date]]:
        """Organisations that do not keep all nights, with the first date that is kept."""
        yield from ((org_id, day) for org_id in self.by_org if (day := self.first_night(org_id)))

    def first_answers(self) -> Iterator[tuple[str, date]]:
        """The same of answers."""
        yield from ((org_id, day) for org_id in self.by_org if (day := self.first_answer(org_id)))

    def _of(self, org_id: str) -> Retention:
        return self.by_org.get(org_id, Retention())

    def _first(self, days: int | None) -> date | None:
        return None if days is None else self.today - timedelta(days=days)
