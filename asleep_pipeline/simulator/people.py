"""The people of a world: who they are, what their plan includes, how they sleep."""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, TypeVar

from asleep_pipeline.simulator.dice import dice
from asleep_pipeline.simulator.stages import Build

_T = TypeVar("_T")

# Cities with and without DST, with half-hour and 45-minute offsets, north and south.
_ZONES = {
    "Asia/Seoul": 6,
    "America/New_York": 3,
    "America/Los_Angeles": 2,
    "Europe/Berlin": 2,
    "Europe/London": 2,
    "Australia/Sydney": 2,
    "Asia/Kolkata": 2,
    "Asia/Tokyo": 1,
    "America/Sao_Paulo": 1,
    "America/St_Johns": 1,
    "Australia/Adelaide": 1,
    "Pacific/Auckland": 1,
    "Asia/Kathmandu": 1,
    "America/Santiago": 1,
    "Africa/Johannesburg": 1,
}
_GENDERS = {"female": 48, "male": 46, "non_binary": 3, "other": 1, "prefer_not_to_say": 2}
_FREE_DAYS = {(6, 7): 17, (5, 6): 2, (7,): 2, (1, 2): 2, (3, 7): 1}


@dataclass(frozen=True, slots=True)
class Plan:
    """What an account's plan lets the analysis say (contract section 6).

    Attributes:
        stage_levels: 4, or 2 where a stage of 1 only means asleep.
        breathing: Whether breathing is analysed.
        snoring: Whether snoring is analysed.
        realtime_polling: Whether a session can be read before it is complete.
        callback_blocks: 5-minute blocks from one webhook of a session in progress to the next: 1, 8
            (every 40 minutes), or None where the plan has none.
    """

    stage_levels: int = 4
    breathing: bool = True
    snoring: bool = True
    realtime_polling: bool = True
    callback_blocks: int | None = 1


# Every plan type is among the first eight people, so that small worlds have them all.
_PLANS = (
    Plan(),
    Plan(),
    Plan(breathing=False, callback_blocks=8),
    Plan(stage_levels=2),
    Plan(),
    Plan(snoring=False),
    Plan(realtime_polling=False, callback_blocks=None),
    Plan(),
)


@dataclass(frozen=True, slots=True)
class Habits:
    """How somebody sleeps.

    Attributes:
        bedtime_min: Usual time of going to bed, minutes after 12:00 local time.
        irregularity_min: Standard deviation of that time.
        free_delay_min: How much later it is before a free day.
        nap: Chance of a nap on a day.
        split: Chance that a night is split in two.
        missed: Chance that a night is not recorded.
        late_upload: Chance that a recording arrives hours or days late.
        travels: Chance of a trip in four weeks.
        unstable_per_h: Usual breathing events per hour of sleep.
        snoring_share: Usual share of the night spent snoring.
        build: Factors on the stage model.
    """

    bedtime_min: float
    irregularity_min: float
    free_delay_min: float
    nap: float
    split: float
    missed: float
    late_upload: float
    travels: float
    unstable_per_h: float
    snoring_share: float
    build: Build


@dataclass(frozen=True, slots=True)
class Person:
    """One simulated user.

    Attributes:
        user_id: As the API would issue it.
        org_id: Organisation, always `default`: one key serves one organisation.
        timezone: IANA zone of the home.
        free_days: ISO weekdays (Monday is 1) without work.
        sleep_need_s: Seconds of sleep a night that the person needs.
        birth_year: Year.
        gender: One of the API's five words, or None where unknown.
        height_cm: Centimetres.
        weight_kg: Kilograms.
        plan: What the account's plan includes.
        habits: How the person sleeps; None where nights are recordings.
    """

    user_id: str
    timezone: str
    org_id: str = "default"
    free_days: tuple[int, ...] = (6, 7)
    sleep_need_s: int = 8 * 3600
    birth_year: int | None = None
    gender: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    plan: Plan = Plan()
    habits: Habits | None = None

    def __hash__(self) -> int:
        """Hash by the id alone: people are keys of caches that are asked for every night."""
        return hash(self.user_id)

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The API's metadata object, or None where nothing is known."""
        known = {
            "birth_year": self.birth_year,
            "gender": self.gender,
            "height": self.height_cm,
            "weight": self.weight_kg,
        }
        return known if any(value is not None for value in known.values()) else None


def make_person(seed: int, index: int, first_date: date) -> Person:
    """Make person number `index` (from 0) of a world; earlier ones need not exist."""
    rng = dice(seed, "person", index)
    age = min(84, max(18, round(rng.gauss(41, 15))))
    gender = _weighted(rng, _GENDERS)
    height = round(rng.gauss(176 if gender == "male" else 164, 7), 1)
    return Person(
        user_id=make_user_id(rng, _joined(rng, first_date)),
        timezone=_weighted(rng, _ZONES),
        free_days=_weighted(rng, _FREE_DAYS),
        sleep_need_s=round(rng.gauss(7.9 - age / 160, 0.5) * 60) * 60,
        birth_year=first_date.year - age,
        gender=gender,
        height_cm=height,
        weight_kg=round((height / 100) ** 2 * max(18.0, rng.gauss(25, 3.5)), 1),
        plan=_PLANS[index % len(_PLANS)],
        habits=_make_habits(rng, age),
    )


def make_user_id(rng: Random, created_at: datetime) -> str:
    """Make an id in the shape that the API issues: creation time in UTC and 20 letters."""
    letters = "".join(rng.choices(string.ascii_letters, k=20))
    return f"G-{created_at:%Y%m%d%H%M%S}-{letters}"


def _joined(rng: Random, first_date: date) -> datetime:
    day = datetime.combine(first_date, time(), UTC) - timedelta(days=rng.randint(1, 60))
    return day + timedelta(seconds=rng.randrange(86_400))


def _make_habits(rng: Random, age: int) -> Habits:
    wake = rng.lognormvariate((age - 40) / 120 - 0.1, 0.2)
    return Habits(
        bedtime_min=rng.gauss(690 - (age - 40) * 0.8, 45),
        irregularity_min=rng.lognormvariate(math.log(28), 0.4),
        free_delay_min=max(0.0, rng.gauss(70 - age * 0.7, 25)),
        nap=rng.choice((0.01, 0.03, 0.08, 0.2)),
        split=rng.choice((0.01, 0.02, 0.05)),
        missed=rng.choice((0.02, 0.05, 0.1, 0.25)),
        late_upload=rng.choice((0.01, 0.03, 0.08)),
        travels=rng.choice((0.0, 0.15, 0.3, 0.6)),
        unstable_per_h=rng.lognormvariate(math.log(2.5) + (age - 40) / 50, 0.8),
        snoring_share=min(0.6, rng.lognormvariate(math.log(0.06) + (age - 40) / 60, 0.9)),
        build=Build(
            wake=wake, deep=rng.lognormvariate((40 - age) / 90, 0.2), rem=rng.gauss(1, 0.1)
        ),
    )


def _weighted(rng: Random, weights: dict[_T, int]) -> _T:
    return rng.choices(list(weights), list(weights.values()))[0]
