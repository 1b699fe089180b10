"""A warehouse of nights that are easy to add up, for the reports of the weeks 45 to 47 of 2026.

| organisation | who | week 45 | week 46 | week 47 |
|---|---|---|---|---|
| acme | ada | 4 nights of 8 h | 4 nights of 8 h | 8 h, unknown, 6 h, 8 h and a nap of 30 min, 8 h 10 min, 8 h, 8 h |
| acme | bea | 4 nights of 8 h | 7 nights of 7 h 30 min | 7 nights of 8 h |
| acme | cem, dan, eve | | 7 nights of 7 h 30 min | 7 nights of 8 h |
| tiny | fay, gus | | | 7 nights of 8 h |
| void | hal | | | |

Everybody goes to bed at 23:00 UTC and sleeps 10 minutes later; only ada has stages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.reports.period import read_week
from asleep_pipeline.sleep.parameters import Parameters
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline_tests.hand_made import HandMade, Row, hand_made, session

WEEK: Final = read_week("2026-W47")
BEFORE: Final = read_week("2026-W46")
ORGANISATIONS: Final = {
    "acme": ("ada", "bea", "cem", "dan", "eve"),
    "tiny": ("fay", "gus"),
    "void": ("hal",),
}
EIGHT_HOURS: Final = "20W 960L 20W"
SEVEN_AND_A_HALF: Final = "20W 900L 20W"
STAGES: Final = "20W 840L 60D 60R 20W"
_ADA: Final = (
    STAGES,
    "900U 100L",
    "20W 600L 60D 60R 20W",
    STAGES,
    "10W 860L 60D 60R 10W",
    STAGES,
    STAGES,
)


def night(user_id: str, of: date, series: str) -> Row:
    """The night before a date, from 23:00."""
    return session(
        user_id, f"{of - timedelta(days=1)}T23:00", series, org_id=_organisation(user_id)
    )


def nights(user_id: str, first: date, *series: str) -> list[Row]:
    """One after the other."""
    return [night(user_id, first + timedelta(days=n), one) for n, one in enumerate(series)]


def publish_story(folder: Path) -> Path:
    """The published file of the story."""
    monday, before, earlier = (WEEK.before(n).start_date for n in range(3))
    with hand_made(folder) as made:
        _put_people(made)
        made.put(
            *nights("ada", earlier, *[STAGES] * 4),
            *nights("ada", before, *[STAGES] * 4),
            *nights("ada", monday, *_ADA),
            session("ada", "2026-11-19T14:00", "60L", org_id="acme"),
            *nights("bea", earlier, *[EIGHT_HOURS] * 4),
            *(
                row
                for who in "bcde"
                for row in nights(_named(who), before, *[SEVEN_AND_A_HALF] * 7)
            ),
            *(row for who in "bcdefg" for row in nights(_named(who), monday, *[EIGHT_HOURS] * 7)),
        )
        made.publish()
        return made.path


def publish_two_kinds(folder: Path) -> Path:
    """Two who sleep 6 h and two who sleep 8 h, in an organisation where two are enough to hide in."""
    people = {"kim": "20W 720L 20W", "lea": "20W 720L 20W", "mia": EIGHT_HOURS, "noa": EIGHT_HOURS}
    with hand_made(folder) as made:
        made.put_users(*({"user_id": who, "org_id": "duo"} for who in people))
        for who, series in people.items():
            rows = nights(who, BEFORE.start_date, *[series] * 14)
            made.put(*(row | {"org_id": "duo"} for row in rows))
        made.publish(Parameters(min_group_size=2))
        return made.path


def publish_hostile(folder: Path, user_id: str, org_id: str) -> Path:
    """One user with a week of nights, whose ids try to be HTML."""
    with hand_made(folder) as made:
        made.put_users({"user_id": user_id, "org_id": org_id})
        rows = nights(user_id, WEEK.start_date, *_ADA)
        made.put(*(row | {"org_id": org_id} for row in rows))
        made.publish()
        return made.path


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection."""
    with read_warehouse(path) as con:
        yield con


def _put_people(made: HandMade) -> None:
    made.put_users(
        *(
            {"user_id": who, "org_id": org_id, "timezone": "UTC"}
            for org_id, people in ORGANISATIONS.items()
            for who in people
        )
    )


def _organisation(user_id: str) -> str:
    return next((o for o, people in ORGANISATIONS.items() if user_id in people), "default")


def _named(letter: str) -> str:
    return next(who for people in ORGANISATIONS.values() for who in people if who[0] == letter)
