"""The one job that all who are compared do, as arguments of a child process.

All sessions of all users that start in the window, with their details, and the averages of every
month of the window in each user's zone.
"""

from __future__ import annotations

import calendar
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of whom, and where the result belongs.

    Attributes:
        base_url: Of the API.
        api_key: Its key.
        roster: CSV file of the users.
        first: First start date, in UTC.
        last: Last start date, inclusive.
        out: An empty folder.
    """

    base_url: str
    api_key: str
    roster: Path
    first: date
    last: date
    out: Path

    def command(self, module: str) -> list[str]:
        """How a module of this folder is told to do it."""
        told = (self.base_url, self.api_key, self.roster, self.first, self.last, self.out)
        return [sys.executable, "-m", f"benchmarks.{module}", *map(str, told)]

    def users(self) -> dict[str, str]:
        """The zone of each user."""
        with self.roster.open(encoding="utf-8") as file:
            return {row["user_id"]: row["timezone"] or "UTC" for row in csv.DictReader(file)}

    def months(self) -> list[tuple[date, date]]:
        """First and last day of each calendar month that the window touches."""
        count = 12 * (self.last.year - self.first.year) + self.last.month - self.first.month + 1
        places = [divmod(self.first.month - 1 + n, 12) for n in range(count)]
        firsts = [date(self.first.year + years, month + 1, 1) for years, month in places]
        return [(day, min(_month_end(day), self.last)) for day in firsts]


def read_job() -> Job:
    """The job that the arguments of this process tell."""
    return job_from(sys.argv[1:])


def job_from(arguments: Sequence[str]) -> Job:
    """The job that six arguments tell."""
    base_url, api_key, roster, first, last, out = arguments
    window = date.fromisoformat(first), date.fromisoformat(last)
    return Job(base_url, api_key, Path(roster), *window, Path(out))


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])
