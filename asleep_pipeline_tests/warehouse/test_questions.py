"""Named questions: each answers, with figures that can be had another way as well."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

import duckdb
import pytest

from asleep_pipeline.errors import UsageError
from asleep_pipeline.lake.users import LakeUser, mark_gone
from asleep_pipeline.questions_page import made_up_warehouse, questions_page
from asleep_pipeline.warehouse.questions import questions
from asleep_pipeline_tests.hand_made import LONG_AGO, HandMade, Row, hand_made, session

PAGE = Path(__file__).resolve().parents[2] / "docs" / "questions.md"
VENV = Path(sys.prefix)
NAMES = sorted(questions())
OF_USERS = [
    name
    for name in NAMES
    if "user" in questions()[name].parameters and name not in {"leaderboard", "transition-matrix"}
]
"""Questions whose answer names users."""

NEWEST = date(2026, 3, 20)


class File:
    """A published file, asked in SQL or by a question's name."""

    def __init__(self, path: Path) -> None:
        self.con = duckdb.connect(str(path), read_only=True)
        self.con.execute("SET TimeZone = 'UTC'")

    def rows(self, sql: str, values: dict[str, object] | None = None) -> list[Row]:
        """The answer of one query."""
        result = self.con.execute(sql, values or [])
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def ask(self, name: str, **given: str | None) -> list[Row]:
        """The answer of a question."""
        question = questions()[name]
        return self.rows(question.sql, question.values(**given))

    def by_user(self, name: str) -> dict[str, Row]:
        """The answer of a question that has one row a user."""
        rows = self.ask(name)
        found = {row["user_id"]: row for row in rows}
        assert len(found) == len(rows)
        return found

    def nights(self, days: int = 10_000) -> dict[str, list[Row]]:
        """Every user's nights of the last dates of the file, by date."""
        newest = max(row["night_date"] for row in self.rows("SELECT night_date FROM fct_night"))
        found: dict[str, list[Row]] = {}
        for row in self.rows("SELECT * FROM fct_night WHERE is_night ORDER BY user_id, night_date"):
            if row["night_date"] > newest - timedelta(days=days):
                found.setdefault(row["user_id"], []).append(row)
        return found


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file behind the page: 24 people, made by the real pipeline."""
    return made_up_warehouse(tmp_path_factory.mktemp("questions"))


@pytest.fixture(scope="module")
def file(warehouse: Path) -> Iterator[File]:
    opened = File(warehouse)
    yield opened
    opened.con.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[HandMade]:
    with hand_made(tmp_path) as empty:
        yield empty


def night(user_id: str, days_ago: int, hours: float, *, awake_h: float = 0, **more: Any) -> Row:
    """A session from 23:00 that ends so many days before the newest night."""
    start = NEWEST - timedelta(days=days_ago + 1)
    series = f"{round(awake_h * 120)}W {round(hours * 120)}L"
    return session(user_id, f"{start}T23:00", series, **more)


def answers(made: HandMade, *names: str, **given: str | None) -> dict[str, list[Row]]:
    """The answers of questions to what a test has put in."""
    made.publish()
    with closing((opened := File(made.path)).con):
        return {name: opened.ask(name, **given) for name in names}


def answer(made: HandMade, name: str, **given: str | None) -> list[Row]:
    """The answer of one question."""
    return answers(made, name, **given)[name]


def test_page_is_up_to_date(warehouse: Path) -> None:
    """Questions, SQL, columns and values on the page are those of today: `make docs` writes it."""
    assert questions_page(warehouse) == PAGE.read_text(encoding="utf-8")


def test_there_are_twenty() -> None:
    """Names are words joined by hyphens; every question ends with its mark."""
    assert len(NAMES) == 20
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in NAMES)
    assert all(q.text.endswith("?") and q.rests_on.endswith(".") for q in questions().values())


@pytest.mark.parametrize("name", NAMES)
def test_question_is_one_select(name: str) -> None:
    """Nothing but one SELECT, with no other parameters than a user and an organisation."""
    (statement,) = duckdb.extract_statements(questions()[name].sql)
    assert statement.type == duckdb.StatementType.SELECT
    assert statement.named_parameters == set(questions()[name].parameters)
    assert statement.named_parameters <= {"user", "organisation"}


@pytest.mark.parametrize("name", NAMES)
def test_question_answers(file: File, name: str) -> None:
    """Every question has an answer on a file of the real pipeline, within bounds if it is a share."""
    rows = file.ask(name)
    assert rows
    shares = [v for row in rows for column, v in row.items() if column.endswith("_pct")]
    assert all(share is None or 0 <= share <= 100 for share in shares)


@pytest.mark.parametrize("name", OF_USERS)
def test_question_about_one_user(file: File, name: str) -> None:
    """A user's answer is that user's part of the answer about all of them."""
    everything = file.ask(name)
    user = everything[-1]["user_id"]
    own = [row for row in everything if row["user_id"] == user]
    assert file.ask(name, user=user) == own
    assert file.ask(name, user="nobody") == []


@pytest.mark.parametrize("name", [n for n in NAMES if "organisation" in questions()[n].parameters])
def test_question_about_one_organisation(file: File, name: str) -> None:
    """The only organisation's answer is everybody's; another one has none."""
    assert file.ask(name, organisation="default") == file.ask(name)
    assert file.ask(name, organisation="elsewhere") == []


def test_question_refuses_what_it_does_not_take() -> None:
    """A user, given to a question that knows none, is not left out silently."""
    with pytest.raises(UsageError, match="takes no user"):
        questions()["organisation-trend"].values(user="ada")


def test_last_night_is_the_newest(file: File) -> None:
    """Everybody's newest night of the last week, as it stands in the table."""
    newest = {user: nights[-1] for user, nights in file.nights(7).items()}
    found = file.by_user("last-night")
    assert found.keys() == newest.keys()
    for user, row in found.items():
        assert row["night_date"] == newest[user]["night_date"]
        assert row["sleep_h"] == pytest.approx(newest[user]["tst_s"] / 3600, abs=0.0051)
        minutes = round(newest[user]["bed_min"]) % 1440
        assert row["bed"] == f"{minutes // 60:02}:{minutes % 60:02}"


def test_thirty_nights_are_those_up_to_the_newest(file: File) -> None:
    """Averages are of the nights of 30 dates up to a user's newest."""
    nights = file.nights()
    for user, row in file.by_user("thirty-night-averages").items():
        first = row["until"] - timedelta(days=29)
        chosen = [n for n in nights[user] if n["night_date"] >= first]
        assert row["nights"] == len(chosen)
        wanted = fmean(n["tst_s"] for n in chosen) / 3600 if len(chosen) >= 15 else None
        assert row["sleep_h"] == (wanted and pytest.approx(wanted, abs=0.0051))


def test_short_nights_are_counted(made: HandMade) -> None:
    """Six hours are not under six hours, naps count, and three short nights are needed."""
    made.put(
        *(night("ada", ago, 5.9) for ago in (0, 3, 6)),
        *(night("bea", ago, hours) for ago, hours in ((0, 5.9), (1, 5.9), (2, 6.0), (7, 5.0))),
        *(night("cem", ago, 5.5) for ago in (0, 1, 2)),
        session("cem", f"{NEWEST}T14:00", "60L"),
    )
    (row,) = answer(made, "short-nights-this-week")
    assert (row["user_id"], row["nights"], row["nights_under_6_h"]) == ("ada", 3, 3)
    assert row["shortest_h"] == 5.9


def test_latency_quantiles(file: File) -> None:
    """Median, and the value that nine of ten nights stay below."""
    nights = file.nights(30)
    found = file.by_user("latency-p50-p90")
    assert found.keys() == nights.keys()
    for user, row in found.items():
        latencies = sorted(n["sol_s"] / 60 for n in nights[user])
        assert row["latency_p50_min"] == pytest.approx(median(latencies), abs=0.051)
        beyond = quantiles(latencies, n=10, method="inclusive")[-1]
        assert row["latency_p90_min"] == pytest.approx(beyond, abs=0.051)


def test_long_wake_nights(file: File) -> None:
    """Thirty minutes are not over thirty minutes."""
    nights = file.nights(30)
    for user, row in file.by_user("long-wake-nights").items():
        assert row["nights"] == len(nights[user])
        assert row["long_wake_nights"] == sum(n["waso_s"] > 1800 for n in nights[user])


def test_naps_are_counted(file: File) -> None:
    """As many as the nights of the same dates have."""
    rows = file.rows(
        """
        SELECT user_id, sum(naps) AS naps, count(*) FILTER (WHERE naps > 0) AS days
        FROM fct_night WHERE night_date > (SELECT max(night_date) FROM fct_night) - 30
        GROUP BY user_id HAVING sum(naps) > 0
        """
    )
    wanted = {row["user_id"]: (row["naps"], row["days"]) for row in rows}
    found = file.by_user("naps")
    assert {u: (row["naps"], row["days_with_nap"]) for u, row in found.items()} == wanted


def test_naps_around_noon_start_at_noon(made: HandMade) -> None:
    """The usual start is a mean of clock times."""
    made.put(
        *(night("ada", ago, 8) for ago in (0, 1)),
        session("ada", f"{NEWEST}T11:00", "60L"),
        session("ada", f"{NEWEST - timedelta(days=1)}T13:00", "60L"),
    )
    (row,) = answer(made, "naps")
    assert (row["usual_start"], row["nap_mean_min"]) == ("12:00", 30)


def test_free_days_agree_with_the_rolling_window(file: File) -> None:
    """Social jetlag is that of fct_user_day, where its window ends with the file's newest night."""
    rows = file.rows(
        """
        SELECT user_id, social_jetlag_min, nights_free, nights_work FROM fct_user_day
        WHERE window_days = 30 AND night_date = (SELECT max(night_date) FROM fct_night)
            AND social_jetlag_min IS NOT NULL
        """
    )
    found = file.by_user("free-days-and-social-jetlag")
    assert len(rows) > 5
    for row in rows:
        answered = found[row["user_id"]]
        assert answered["social_jetlag_min"] == pytest.approx(row["social_jetlag_min"], abs=0.51)
        assert answered["nights_free"] == row["nights_free"]
        assert answered["nights_work"] == row["nights_work"]


def test_most_irregular_come_first(file: File) -> None:
    """Ten users, the lowest index first."""
    indices = [row["sri"] for row in file.ask("most-irregular")]
    assert indices == sorted(indices)
    assert len(indices) == 10


def test_hypnogram_is_that_of_the_view(file: File) -> None:
    """The rows of fct_stage_run of the user's newest night, without unfolding the others."""
    for user, nights in file.nights().items():
        columns = "user_id, session_id, run, stage, started_local, length_s / 60 AS length_min"
        wanted = file.rows(
            f"SELECT {columns} FROM fct_stage_run "
            "WHERE user_id = $user AND session_id = $session ORDER BY run",
            {"user": user, "session": nights[-1]["main_session_id"]},
        )
        assert wanted
        assert file.ask("hypnogram", user=user) == wanted


def test_transitions_are_those_of_the_stages(file: File) -> None:
    """Counted in the stages themselves, from one epoch to the next."""
    rows = file.rows(
        """
        SELECT sleep_stages FROM sessions JOIN fct_session USING (user_id, session_id)
        WHERE is_main_sleep AND stage_levels = 4 AND quality <> 'poor'
            AND fct_session.night_date > (SELECT max(night_date) FROM fct_night) - 30
        """
    )
    names = {0: "wake", 1: "light", 2: "deep", 3: "rem"}
    pairs = Counter(
        (names[a], names[b])
        for row in rows
        for a, b in pairwise(row["sleep_stages"])
        if a != b and a >= 0 and b >= 0
    )
    answered = file.ask("transition-matrix")
    assert [row["from_stage"] for row in answered] == list(names.values())
    for row in answered:
        total = sum(n for (origin, _), n in pairs.items() if origin == row["from_stage"])
        assert row["transitions"] == total
        for stage in names.values():
            share = 100 * pairs[row["from_stage"], stage] / total
            wanted = None if stage == row["from_stage"] else pytest.approx(share, abs=0.051)
            assert row[f"to_{stage}_pct"] == wanted


def test_data_quality_adds_up_to_the_days(file: File) -> None:
    """A whole week has the sessions and the qualities of its days."""
    rows = file.rows(
        """
        SELECT date_trunc('week', night_date)::DATE AS week, sum(sessions) AS sessions,
            sum(good_sessions) AS good, sum(fair_sessions) AS fair, sum(poor_sessions) AS poor,
            sum(stage_length_wrong_sessions) AS wrong
        FROM dq_day GROUP BY week ORDER BY week
        """
    )
    wanted = {row["week"]: row for row in rows}
    for row in file.ask("data-quality-by-week")[1:]:
        days = wanted[row["week"]]
        judged = days["good"] + days["fair"] + days["poor"]
        assert (row["sessions"], row["wrong_length"]) == (days["sessions"], days["wrong"])
        assert row["good_pct"] == pytest.approx(100 * days["good"] / judged, abs=0.051)


def test_contradiction_of_the_api_is_counted(made: HandMade) -> None:
    """A session whose time asleep is another by the API differs; one that is OPEN is incomplete."""
    open_one = night("ada", 2, 8, state="OPEN", night_date=None, ended_at=None)
    open_one |= dict.fromkeys(("ended_at_local", "utc_offset_end_min", "sleep_stages"))
    made.put(
        night("ada", 0, 8, has_stat=True, time_in_sleep=8 * 3600 - 30),
        night("ada", 1, 8, has_stat=True, time_in_sleep=8 * 3600),
        open_one,
    )
    (row,) = answer(made, "data-quality-by-week")
    assert (row["sessions"], row["incomplete"], row["differing"]) == (3, 1, 1)


def test_adherence_counts_from_the_first_night(made: HandMade) -> None:
    """Possible are all dates since the first night; the gone are left out, the new have none."""
    made.put_users(
        *({"user_id": user, "org_id": "default"} for user in ("ada", "bea", "cem", "dan"))
    )
    mark_gone(made.lake, [LakeUser("dan", "default", None)], LONG_AGO)
    made.put(
        *(night("ada", ago, 7) for ago in (9, 8, 5, 2)),
        *(night("bea", ago, 7) for ago in (1, 0)),
        night("dan", 0, 7),
    )
    cem, ada, bea = answer(made, "adherence")
    assert (cem["user_id"], cem["nights"], cem["adherence_pct"]) == ("cem", 0, None)
    assert (ada["nights"], ada["nights_possible"], ada["adherence_pct"]) == (4, 10, 40)
    assert (bea["nights"], bea["nights_possible"], bea["adherence_pct"]) == (2, 2, 100)


def test_streaks_of_made_up_people(file: File) -> None:
    """Counted night by night."""
    newest = max(n["night_date"] for nights in file.nights().values() for n in nights)
    found = file.by_user("streaks")
    for user, nights in file.nights().items():
        longest, current, before = 0, 0, date.min
        for n in nights:
            follows = n["night_date"] == before + timedelta(days=1)
            enough = n["sleep_24h_s"] >= 7 * 3600
            current = (current if follows else 0) + 1 if enough else 0
            longest, before = max(longest, current), n["night_date"]
        reaches = nights[-1]["night_date"] >= newest - timedelta(days=1)
        assert found[user]["longest_streak"] == longest
        assert found[user]["current_streak"] == (current if reaches else 0)


def test_streak_ends_with_a_missing_or_short_night(made: HandMade) -> None:
    """Seven hours are enough, naps add to them; of two streaks as long the newer one is told."""
    made.put(
        *(night("ada", ago, 7) for ago in (9, 8, 7, 5, 4, 3, 1)),
        night("ada", 0, 6.8),
        session("ada", f"{NEWEST}T14:00", "30L"),
        *(night("bea", ago, 6.9) for ago in (1, 0)),
        *(night("cem", ago, 8) for ago in (4, 3, 2)),
    )
    ada, cem, bea = answer(made, "streaks")
    assert (ada["longest_streak"], ada["longest_until"]) == (3, NEWEST - timedelta(days=3))
    assert ada["current_streak"] == 2
    assert (cem["user_id"], cem["longest_streak"], cem["current_streak"]) == ("cem", 3, 0)
    assert (bea["longest_streak"], bea["longest_until"], bea["current_streak"]) == (0, None, 0)


def test_clock_change_is_told_from_the_wall_clock(made: HandMade) -> None:
    """The clocks go ahead: the two wall clocks are an hour further apart than the time in bed."""
    made.put(
        session("ada", "2026-03-28T23:00", "960L", zone="Europe/Berlin"),
        session("ada", "2026-03-27T23:00", "960L", zone="Europe/Berlin"),
    )
    (row,) = answer(made, "clock-change-nights")
    assert (row["night_date"], row["clock_step_min"]) == (date(2026, 3, 29), 60)
    assert (row["in_bed_min"], row["by_wall_clock_min"], row["sleep_h"]) == (480, 540, 8)


def test_debt_is_the_sum_over_the_nights_there_are(made: HandMade) -> None:
    """Need minus sleep of a fortnight, with a need of one's own; nothing below 7 nights."""
    made.put_users(
        {"user_id": "ada", "org_id": "default", "sleep_need_s": None},
        {"user_id": "bea", "org_id": "default", "sleep_need_s": 7 * 3600},
        {"user_id": "cem", "org_id": "default", "sleep_need_s": None},
    )
    made.put(
        *(night("ada", ago, 7) for ago in range(14)),
        *(night("bea", ago, 6.5) for ago in range(0, 14, 2)),
        *(night("cem", ago, 4) for ago in range(6)),
    )
    ada, bea, cem = answer(made, "sleep-debt")
    assert (ada["need_h"], ada["nights"], ada["debt_h"]) == (8, 14, 14)
    assert (bea["need_h"], bea["nights"], bea["debt_h"]) == (7, 7, 3.5)
    assert (cem["nights"], cem["debt_h"]) == (6, None)


def company(users: int) -> list[Row]:
    """Fifteen nights each, of users who sleep less and worse the later their letter."""
    return [
        night(chr(ord("a") + number), ago, 8.9 - 0.6 * number, awake_h=0.1 * number)
        for number in range(users)
        for ago in range(15)
    ]


def test_leaderboard_shows_the_upper_half_without_names(made: HandMade) -> None:
    """No user is named; the place of the one that is asked for is shown as well."""
    made.put(*company(5))
    rows = answer(made, "leaderboard")
    assert [(row["place"], row["users"], row["is_user"]) for row in rows] == [
        (1, 5, False),
        (2, 5, False),
    ]
    assert all("user_id" not in row for row in rows)
    own = answer(made, "leaderboard", user="e")
    assert [(row["place"], row["is_user"]) for row in own] == [(1, False), (2, False), (5, True)]


def test_shared_place_does_not_show_the_lower_half(made: HandMade) -> None:
    """Of five users with the same score, two are shown, both in the first place."""
    made.put(*(night(user, ago, 8) for user in "abcde" for ago in range(15)))
    assert [row["place"] for row in answer(made, "leaderboard")] == [1, 1]


def test_nothing_is_shown_of_a_small_group(made: HandMade) -> None:
    """Four users are too few, five are enough."""
    rows = company(5)
    for row in rows:
        row["sleep_stages"] = [*row["sleep_stages"][:-2], 2, 1]
    made.put(*(row for row in rows if row["user_id"] < "e"))
    names = ("leaderboard", "transition-matrix", "short-sleeper-share")
    assert not any(answers(made, *names).values())
    made.put(*rows)
    assert all(answers(made, *names).values())


def test_group_by_age_needs_enough_users(made: HandMade) -> None:
    """Ages and genders with fewer users than the setting are left out, the others averaged."""
    made.put_users(
        *(
            {
                "user_id": chr(ord("a") + n),
                "org_id": "default",
                "birth_year": year,
                "gender": "female",
            }
            for n, year in enumerate([1990] * 5 + [1960] * 4)
        )
    )
    rows = [
        night(chr(ord("a") + number), ago, 8, sleep_stages=[1] * 600 + [2] * 240 + [3] * 120)
        for number in range(9)
        for ago in range(15)
    ]
    made.put(*rows)
    (row,) = answer(made, "stages-by-age-and-gender")
    assert (row["age"], row["gender"], row["users"]) == ("35 to 54", "female", 5)
    assert (row["sleep_h"], row["light_pct"], row["deep_pct"], row["rem_pct"]) == (
        8,
        62.5,
        25,
        12.5,
    )


def test_suppressed_week_says_so(made: HandMade) -> None:
    """The trend keeps the week, without a figure."""
    made.put(*(row for row in company(4)))
    rows = answer(made, "organisation-trend")
    assert rows
    for row in rows:
        assert row["is_suppressed"]
        shown = row.keys() - {"org_id", "week", "is_suppressed"}
        assert {row[name] for name in shown} == {None}


def test_short_sleepers_are_a_share_of_the_users(made: HandMade) -> None:
    """Users whose mean of a week is below 7 hours, of those with half of its nights."""
    made.put(*company(5))
    rows = answer(made, "short-sleeper-share")
    assert rows
    assert {(row["users"], row["short_sleepers_pct"]) for row in rows} == {(5, 20)}


def test_score_change_is_that_from_the_week_before(file: File) -> None:
    """The difference of two scores of the mart."""
    scores = [row["score_mean"] for row in file.rows("FROM mart_org_week ORDER BY week")]
    changes = [row["score_change"] for row in file.ask("organisation-trend")]
    wanted = [b - a for a, b in pairwise(scores)]
    assert changes == [None, *(pytest.approx(change, abs=0.051) for change in wanted)]


@pytest.mark.parametrize("release", ["1.4", "2"])
def test_questions_answer_in_other_releases_of_duckdb(warehouse: Path, release: str) -> None:
    """An analyst's own DuckDB answers each question with as many rows as ours."""
    folder = VENV / f"duckdb-{release}"
    if not folder.is_dir():
        pytest.skip(f"DuckDB {release} is not in {folder}; `make test` installs it")
    code = (
        "import duckdb, json, sys\n"
        "con = duckdb.connect(sys.argv[1], read_only=True)\n"
        "asked = json.load(sys.stdin)\n"
        "print(json.dumps([len(con.execute(*a).fetchall()) for a in asked]))\n"
    )
    asked = [(q.sql, q.values()) for q in questions().values()]
    done = subprocess.run(
        [sys.executable, "-c", code, str(warehouse)],
        env=os.environ | {"PYTHONPATH": str(folder)},
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    with closing((opened := File(warehouse)).con):
        wanted = [len(opened.con.execute(*each).fetchall()) for each in asked]
    assert json.loads(done.stdout) == wanted
