"""Organisations of many hand-made people, for figures of groups and for analysts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

from asleep_pipeline.lake.cohorts import Cohort, put_cohort
from asleep_pipeline.settings import Settings, load_settings
from asleep_pipeline_tests.hand_made import LONG_AGO, HandMade, Row, hand_made, session

MONDAY = date(2026, 3, 2)
"""Nights are of the 17 dates from it on."""
SIZES = {"large": 52, "small": 6, "tiny": 4}
"""People of each organisation."""
COHORTS = {
    # 40 people of the large organisation, and of the small one some as well.
    "many": "user_id < 'large-40' OR org_id = 'small'",
    # All of the large organisation but two.
    "nearly all": "org_id = 'large' AND user_id < 'large-50'",
    # As `many`, but for one of the large organisation.
    "many but one": "user_id < 'large-39'",
    "few": "user_id < 'large-04' OR org_id = 'tiny'",
    "others only": "org_id = 'tiny'",
}


@dataclass(frozen=True, slots=True)
class Crowd:
    """Three organisations, whose nights are published.

    Attributes:
        made: The lake and the file.
        settings: Of the deployment.
    """

    made: HandMade
    settings: Settings


@contextmanager
def crowd(folder: Path) -> Iterator[Crowd]:
    """Make and publish them."""
    with hand_made(folder) as made:
        made.put_users(*people())
        made.put(*nights())
        for name, condition in COHORTS.items():
            put_cohort(made.lake, Cohort(name, condition), now=LONG_AGO)
        made.publish()
        yield Crowd(made, load_settings(data_dir=folder))


def people() -> Iterator[Row]:
    """Everybody, with all that a roster knows."""
    for org_id, size in SIZES.items():
        for number in range(size):
            yield {
                "user_id": f"{org_id}-{number:02}",
                "org_id": org_id,
                "timezone": ("Asia/Seoul", "Europe/Berlin")[number % 2],
                "birth_year": 1930 + number,
                "gender": ("male", "female", "non_binary", None)[number % 4],
                "height_cm": 150.5 + number,
                "weight_kg": 51.3 + number,
            }


def nights() -> Iterator[Row]:
    """17 nights of everybody; each sleeps another length, and the first people naps too."""
    dice = Random(7)
    for person in people():
        user_id, zone = person["user_id"], person["timezone"]
        hours = 5.5 + 0.05 * int(user_id[-2:])
        for day in range(17):
            start = f"{MONDAY + timedelta(days=day - 1)}T23:{dice.randrange(10, 50)}:07"
            asleep = round(dice.gauss(hours, 0.2) * 120)
            series = f"{dice.randrange(60)}W {asleep}L 20W 60D 60R"
            more: Row = {"org_id": person["org_id"], "has_stat": True, "time_in_light": 1}
            yield session(user_id, start, series, zone=zone, **more)
            if user_id.endswith("00"):
                nap = f"{MONDAY + timedelta(days=day)}T15:00:11"
                yield session(user_id, nap, "10W 60L", zone=zone, **more)
