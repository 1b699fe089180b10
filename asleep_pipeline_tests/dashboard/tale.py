"""A warehouse for the dashboard, with nights that are easy to add up.

Two weeks from Monday, 2 November 2026. Everybody goes to bed at 23:00 UTC and sleeps 10 minutes
later. `acme` is large enough to be shown, `duo` is not.

| organisation | who | nights |
|---|---|---|
| acme | ann | 7 of 8 h with all stages; then 6 of 6 h, and one on which hardly a stage is known |
| acme | bob, cid, dot, eli | 14 of 7 h 30 min, all of it light sleep |
| duo | fay, gus | 7 of 8 h |

On Saturday ann naps for 30 min at 14:00, and on the first Monday the API contradicts her stages;
fay has a session that was never closed. The cohorts are `early` (ann to eli, who were born in 1980)
and `late` (fay and gus), which is too small to be compared, and `all` of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from asleep_pipeline.dashboard.queries.people import Span
from asleep_pipeline.lake.cohorts import Cohort, put_cohort
from asleep_pipeline_tests.hand_made import HandMade, Row, hand_made, session

MONDAY: Final = date(2026, 11, 2)
LAST: Final = MONDAY + timedelta(days=13)
ANN: Final = Span("ann", MONDAY, LAST)
ORGANISATIONS: Final = {"acme": ("ann", "bob", "cid", "dot", "eli"), "duo": ("fay", "gus")}
ALL_STAGES: Final = "20W 840L 60D 60R 20W"
SIX_HOURS: Final = "20W 600L 60D 60R 20W"
HARDLY_KNOWN: Final = "900U 100L"
SEVEN_AND_A_HALF: Final = "20W 900L 20W"
EIGHT_HOURS: Final = "20W 960L 20W"


def publish_tale(folder: Path) -> Path:
    """The published file."""
    with hand_made(folder) as made:
        made.put_users(*_people())
        made.put(*_sessions())
        _put_cohorts(made)
        made.publish()
        return made.path


def _people() -> Iterator[Row]:
    for org_id, people in ORGANISATIONS.items():
        born = 1980 if org_id == "acme" else 2000
        for who in people:
            yield {"user_id": who, "org_id": org_id, "timezone": "UTC", "birth_year": born}


def _sessions() -> Iterator[Row]:
    ann = [ALL_STAGES] * 7 + [SIX_HOURS] * 6 + [HARDLY_KNOWN]
    first, *others = _nights("acme", "ann", ann)
    yield first | {"has_stat": True, "time_in_light": 0}
    yield from others
    yield session("ann", "2026-11-07T14:00", "60L", org_id="acme")
    for who in ORGANISATIONS["acme"][1:]:
        yield from _nights("acme", who, [SEVEN_AND_A_HALF] * 14)
    for who in ORGANISATIONS["duo"]:
        yield from _nights("duo", who, [EIGHT_HOURS] * 7)
    yield session("fay", "2026-11-10T23:00", None, org_id="duo") | _OPEN


_OPEN: Final[Row] = {
    "state": "OPEN",
    "ended_at": None,
    "ended_at_local": None,
    "utc_offset_end_min": None,
    "night_date": None,
    "has_detail": False,
}


def _nights(org_id: str, user_id: str, series: list[str]) -> list[Row]:
    evenings = (MONDAY + timedelta(days=number - 1) for number in range(len(series)))
    return [
        session(user_id, f"{evening}T23:00", stages, org_id=org_id)
        for evening, stages in zip(evenings, series, strict=True)
    ]


def _put_cohorts(made: HandMade) -> None:
    for cohort in (
        Cohort("early", "birth_year < 1990"),
        Cohort("late", user_ids=ORGANISATIONS["duo"]),
        Cohort("all", "true"),
    ):
        put_cohort(made.lake, cohort, now=datetime(2026, 11, 1, tzinfo=UTC))
