"""Publications after any history of changes hold what one from scratch would hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from asleep_pipeline.lake.cohorts import Cohort, drop_cohort, put_cohort
from asleep_pipeline.sleep.parameters import OwnParameters, Parameters
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.marts import build
from asleep_pipeline.warehouse.marts.tables import MARTS, PARAMETERS
from asleep_pipeline.warehouse.views.tables import (
    DQ_SESSION,
    FCT_SLEEP_CYCLE,
    FCT_STAGE_RUN,
    INSIGHT,
)
from asleep_pipeline_tests.hand_made import LONG_AGO, HandMade, Row, hand_made, session

USERS = ("ada", "bea", "cem", "dan", "eve", "fay")
ZONES = ("Europe/Berlin", "Europe/Berlin", "America/New_York", "America/New_York", "Asia/Seoul")
"""Clocks change on 8 March in New York, on 29 March in Berlin."""

FIRST = datetime(2026, 2, 27)  # noqa: DTZ001 - a date, in whatever zone
DAYS = 40
SMALL_GROUPS = Parameters(min_group_size=2)
COMPARED = (*MARTS, PARAMETERS, DQ_SESSION, FCT_STAGE_RUN, FCT_SLEEP_CYCLE, INSIGHT)
CONDITIONS = (
    "org_id = 'east'",
    "sleep_need_s > 28000",
    "list_contains(free_days, 5) AND NOT is_gone",
    "timezone IS NULL",
    "true",
)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HandMade]:
    """An empty lake, whose marts are built in several parts."""
    monkeypatch.setattr(build, "_SESSIONS_A_PART", 50)
    with hand_made(tmp_path) as empty:
        yield empty


@pytest.mark.parametrize("seed", [1, 2])
def test_many_small_publications_equal_one_from_scratch(made: HandMade, seed: int) -> None:
    """Sessions come, change, move and go; so do users, days off, cohorts, and organisations' own."""
    history = History(made, Random(seed))
    history.begin()
    assert made.publish(history.parameters).is_full
    for _ in range(4):
        history.go_on()
        assert not made.publish(history.parameters).is_full
        assert_as_from_scratch(made, history)


def assert_as_from_scratch(made: HandMade, history: History) -> None:
    """Compare all marts with those of a file that is built anew from the lake."""
    anew = made.path.parent / "anew" / made.path.name
    parameters = history.parameters
    assert publish(made.lake, anew, parameters=parameters, from_scratch=True).is_full
    for (name, frame), expected in zip(content(made.path), content(anew), strict=True):
        try:
            assert_frame_equal(frame, expected[1], abs_tol=1e-9, rel_tol=0)
        except AssertionError as error:
            error.add_note(f"{name}, after {history.told}")
            raise


def content(path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    """Every mart, in the order of its key."""
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        for table in COMPARED:
            frame = con.execute(f"FROM {table.name}").pl().drop("evidence", strict=False)
            yield table.name, frame.sort(table.key) if table.key else frame


@dataclass
class History:
    """Changes a lake at random, and remembers what it holds."""

    made: HandMade
    random: Random
    sessions: dict[tuple[str, str], Row] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    parameters: Parameters = SMALL_GROUPS

    def begin(self) -> None:
        """A roster, and three nights of four for each user."""
        for user in USERS[:5]:
            self.made.put_users(self._person(user))
        nights = [
            self._night(user, day)
            for user in USERS[:5]
            for day in range(DAYS)
            if self.random.random() < 0.75
        ]
        self._put(*nights)
        put_cohort(self.made.lake, Cohort("all", "true"), now=LONG_AGO)

    def go_on(self) -> None:
        """Up to three changes before the next publication."""
        for _ in range(self.random.randint(1, 3)):
            change = self.random.choice(self._changes())
            self.told.append(change.__name__)
            change()

    def _changes(self) -> list[Callable[[], None]]:
        of_sessions = [
            self._new_nights,
            self._nap,
            self._other_stages,
            self._other_date,
            self._other_zone,
            self._other_quality,
            self._reopened,
            self._deleted,
            self._swapped_main_sleep,
        ]
        of_groups = [self._other_person, self._own_settings, self._cohort, self._no_cohort]
        return [*of_sessions, *of_groups, *of_groups]

    def _own_settings(self) -> None:
        pick = self.random.choice
        own = OwnParameters(
            free_days=pick([None, (1,), (), (5, 6)]), min_group_size=pick([None, 1, 3])
        )
        others = self.parameters.own | {pick(["east", "west", "nobody"]): own}
        self.parameters = self.parameters.model_copy(update={"own": others})

    def _put(self, *rows: Row) -> None:
        self.sessions |= {(row["user_id"], row["session_id"]): row for row in rows}
        self.made.put(*rows)

    def _some(self, at_most: int = 3) -> list[Row]:
        rows = [self.sessions[key] for key in sorted(self.sessions)]
        return self.random.sample(rows, self.random.randint(1, at_most))

    def _person(self, user: str) -> Row:
        pick = self.random.choice
        return {
            "user_id": user,
            "org_id": pick(["east", "west"]),
            "free_days": pick([None, [6, 7], [1], [5, 6], [], [1, 2, 3, 4, 5, 6, 7], [3, 4, 5]]),
            "sleep_need_s": pick([6, 7.5, 8, 9]) * 3600,
            "timezone": pick([*ZONES, ""]) or None,
        }

    def _night(self, user: str, day: int) -> Row:
        start = FIRST + timedelta(days=day, hours=self.random.gauss(23, 1.5))
        return self._session(user, start, self._stages(self.random.randint(500, 1200)))

    def _session(self, user: str, start: datetime, series: list[int] | None) -> Row:
        zone = self.random.choice(ZONES)
        org = self.random.choice(["east", "west", "west"])
        length = timedelta(hours=7) if series is None else None
        name = f"{start:%Y%m%d%H%M%S}_{self.random.randrange(10**6):06}"
        return session(
            user, start.isoformat(), series, zone=zone, session_id=name, org_id=org, length=length
        ) | self._snoring(series)

    def _snoring(self, series: list[int] | None) -> Row:
        if series is None or self.random.random() < 0.3:
            return {}
        return {
            name: [self.random.choice([0, 0, 1])] * len(series)
            for name in ("snoring_stages", "breath_stages")
        }

    def _stages(self, epochs: int) -> list[int] | None:
        kind = self.random.random()
        if kind < 0.05:
            return None
        alphabet = (
            [[0], [0, 1], [-1, 0, 1, 1, 1]][int(kind * 20) - 1]
            if kind < 0.2
            else [0, 1, 1, 1, 2, 3, 3]
        )
        series: list[int] = []
        while len(series) < epochs:
            series += [self.random.choice(alphabet)] * self.random.randint(1, 60)
        return series[:epochs]

    def _new_nights(self) -> None:
        user = self.random.choice(USERS)
        first = self.random.randrange(DAYS)
        self._put(*(self._night(user, first + day) for day in range(self.random.randint(1, 5))))

    def _nap(self) -> None:
        start = FIRST + timedelta(
            days=self.random.randrange(DAYS), minutes=self.random.randrange(1440)
        )
        self._put(
            self._session(
                self.random.choice(USERS), start, self._stages(self.random.randint(1, 500))
            )
        )

    def _other_stages(self) -> None:
        for old in self._some():
            series = self._stages(self.random.randint(1, 2800))
            self._put(self._again(old, old["started_at"], series, old["timezone"]))

    def _other_date(self) -> None:
        for old in self._some():
            moved = old["started_at"] + timedelta(minutes=self.random.randint(-3000, 3000))
            self._put(self._again(old, moved, old["sleep_stages"], old["timezone"]))

    def _other_zone(self) -> None:
        for old in self._some():
            zone = self.random.choice(ZONES)
            self._put(self._again(old, old["started_at"], old["sleep_stages"], zone))

    def _again(self, old: Row, start: datetime, series: list[int] | None, zone: str) -> Row:
        """The same session as it is told anew."""
        local = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        more = {"session_id": old["session_id"], "org_id": old["org_id"]}
        if series is None:
            more["length"] = timedelta(hours=self.random.randint(1, 23))
        return session(old["user_id"], local.isoformat(), series, zone=zone, **more)

    def _other_quality(self) -> None:
        lost = self.random.choice([0.0, 0.1, 0.5])
        said = self.random.choice([[], ["TOO_LONG_FOR_ANALYSIS"]])
        self._put(
            *(old | {"missing_data_ratio": lost, "peculiarities": said} for old in self._some())
        )

    def _reopened(self) -> None:
        gone = ["ended_at", "ended_at_local", "night_date", "utc_offset_end_min"]
        gone += ["sleep_stages", "snoring_stages", "breath_stages"]
        self._put(*(old | dict.fromkeys(gone) | {"state": "OPEN"} for old in self._some(1)))

    def _deleted(self) -> None:
        gone = self._some(5)
        self.made.drop(gone)
        for old in gone:
            del self.sessions[(old["user_id"], old["session_id"])]

    def _swapped_main_sleep(self) -> None:
        """Of a night and a nap of the same date, the nap becomes the longer one."""
        for night in self._some():
            if night["ended_at"]:
                after = night["ended_at"] + timedelta(hours=self.random.choice([0.1, 1.9, 2.1]))
                local = after.astimezone(ZoneInfo(night["timezone"])).replace(tzinfo=None)
                short = [1] * self.random.choice([1, 100, 999])
                more = {"zone": night["timezone"], "session_id": f"{night['session_id']}x"}
                self._put(session(night["user_id"], local.isoformat(), short, **more))

    def _other_person(self) -> None:
        self.made.put_users(self._person(self.random.choice(USERS)))

    def _cohort(self) -> None:
        name = self.random.choice(["all", "one", "two"])
        listed = tuple(self.random.sample(USERS, self.random.randint(0, 5)))
        cohort = self.random.choice(
            [Cohort(name, self.random.choice(CONDITIONS)), Cohort(name, None, listed)]
        )
        put_cohort(self.made.lake, cohort, now=datetime(2026, 4, 1, tzinfo=UTC))

    def _no_cohort(self) -> None:
        drop_cohort(self.made.lake, self.random.choice(["all", "one", "two"]))


def test_one_changed_session_costs_its_night_and_what_looks_back_at_it(made: HandMade) -> None:
    """Not the rest of a long history."""
    nights = [f"{FIRST + timedelta(days=day)}" for day in range(2 * DAYS)]
    made.put(*(session(user, night, "900L") for user in USERS[:2] for night in nights))
    made.publish(SMALL_GROUPS)
    made.put(session(USERS[0], nights[DAYS], "600L"))
    written = made.publish(SMALL_GROUPS).rows_changed
    assert written["fct_session"] == 1
    # The comparison with the day before reaches three nights further.
    assert written["fct_night"] == 4
    assert written["fct_user_day"] == (7 + 14 + 30) + 3 * 3
    assert written["mart_user_week"] <= 2
    assert written["mart_org_week"] <= 2


def test_sleep_over_noon_counts_for_the_day_before_its_night(made: HandMade) -> None:
    """A session from 10:00 to 1:00 makes the day that ended at noon different, and the pair of it."""
    made.put(*(session("ada", f"2026-06-{day:02}T00:00", "840L") for day in (1, 2)))
    long = session("ada", "2026-06-02T10:00", "1800L")
    same = "SELECT same_state_s FROM fct_night WHERE user_id = 'ada' AND night_date = '2026-06-02'"
    made.publish(SMALL_GROUPS)
    seen = [made.row(same)["same_state_s"]]
    for change in (partial(made.put, long), partial(made.drop, [long])):
        change()
        made.publish(SMALL_GROUPS)
        seen.append(made.row(same)["same_state_s"])
    assert seen == [86_400, 86_400 - 7200, 86_400]


def test_what_one_organisation_changes_costs_only_what_it_touches(made: HandMade) -> None:
    """Another smallest group is read without a night made anew; other days off, without another's nights."""
    nights = [f"{FIRST + timedelta(days=day)}" for day in range(14)]
    for user, org in zip(USERS, ["east", "east", "east", "west", "west"], strict=False):
        made.put_users({"user_id": user, "org_id": org})
        made.put(*(session(user, night, "900L", org_id=org) for night in nights))
    assert made.publish(SMALL_GROUPS).is_full
    shown = "SELECT org_id, bool_and(is_suppressed) FROM mart_org_week GROUP BY 1 ORDER BY 1"
    assert made.frame(shown).rows() == [("east", False), ("west", False)]
    larger = {"west": OwnParameters(min_group_size=3)}
    report = made.publish(SMALL_GROUPS.model_copy(update={"own": larger}))
    assert not report.is_full
    assert report.rows_changed.get("fct_night", 0) == 0
    assert report.rows_changed["dim_organisation"] == 2
    assert made.frame(shown).rows() == [("east", False), ("west", True)]
    free = larger | {"east": OwnParameters(free_days=(1,))}
    report = made.publish(SMALL_GROUPS.model_copy(update={"own": free}))
    assert report.rows_changed["fct_night"] == 3 * 14
    days = "SELECT DISTINCT org_id, free_days FROM dim_user ORDER BY 1"
    assert made.frame(days).rows() == [("east", [1]), ("west", [6, 7])]
    assert (
        made.publish(SMALL_GROUPS.model_copy(update={"own": free})).rows_changed.get("fct_night")
        is None
    )


def test_a_cohort_is_as_large_as_the_strictest_of_its_organisations_asks(made: HandMade) -> None:
    """Those of an organisation are not told of in a smaller group because others are with them."""
    nights = [f"{FIRST + timedelta(days=day)}" for day in range(14)]
    for user, org in zip(USERS, ["east", "east", "west", "west"], strict=False):
        made.put_users({"user_id": user, "org_id": org})
        made.put(*(session(user, night, "900L", org_id=org) for night in nights))
    for name, condition in {"east": "org_id = 'east'", "all": "true"}.items():
        put_cohort(made.lake, Cohort(name, condition), now=LONG_AGO)
    made.publish(SMALL_GROUPS)
    shown = "SELECT cohort, bool_and(is_suppressed) FROM mart_cohort_week GROUP BY 1 ORDER BY 1"
    assert made.frame(shown).rows() == [("all", False), ("east", False)]
    strict = {"west": OwnParameters(min_group_size=5)}
    made.publish(SMALL_GROUPS.model_copy(update={"own": strict}))
    assert made.frame(shown).rows() == [("all", True), ("east", False)]
