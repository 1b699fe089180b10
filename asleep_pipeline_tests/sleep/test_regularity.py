"""Regularity from day to day: the Sleep Regularity Index, social jetlag and chronotype."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from asleep_pipeline_tests.hand_made import HandMade, Row, hand_made, session
from asleep_pipeline_tests.sleep.conftest import Evaluate
from asleep_pipeline_tests.sleep.references import made_up, needs_recordings, recorded, recordings

HALF_A_DAY = timedelta(hours=12)
H = 3600

SRI_OF_DAYS = """
    SELECT sleep_regularity_index(sum(same_state_s), sum(valid_pair_s)) AS sri, count(*) AS pairs
    FROM fct_night
    WHERE user_id = $1 AND night_date > $2 AND night_date < $3 AND valid_pair_s IS NOT NULL
"""


@pytest.fixture(scope="module")
def sleepers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """Somebody for every made-up case, published.

    All is 12 h earlier than in the cases: their days run from midnight to midnight, and ours from
    noon to noon; the index is the same. An always awake person is no session.
    """
    cases = made_up("regularity")["cases"]
    with hand_made(tmp_path_factory.mktemp("regularity")) as made:
        made.put(
            *(row for name, case in cases.items() for row in sessions_of(name, case["intervals"]))
        )
        made.publish()
        yield made


def sessions_of(user_id: str, intervals: list[list[str]]) -> list[Row]:
    """A session asleep for each interval, or for each day of a longer one."""
    rows = []
    for start, end in (map(datetime.fromisoformat, interval) for interval in intervals):
        days = max((end - start) // timedelta(days=1), 1)
        length = (end - start) / days
        for day in range(days):
            begins = start + day * length - HALF_A_DAY
            rows.append(
                session(user_id, begins.isoformat(), [1] * round(length.total_seconds() / 30))
            )
    return rows


@pytest.mark.parametrize("name", sorted(made_up("regularity")["cases"].keys() - {"always_awake"}))
def test_made_up_weeks(sleepers: HandMade, name: str) -> None:
    """Perfect and reversed days, shifted bedtimes, late weekends and naps."""
    case = made_up("regularity")["cases"][name]
    first = datetime.fromisoformat(case["start"]).date()
    seen = sleepers.row(SRI_OF_DAYS, name, first, first + timedelta(days=case["days"]))
    assert seen["pairs"] == case["days"] - 1
    assert seen["sri"] == pytest.approx(case["sri"], abs=1e-6)


def test_a_window_of_14_days(sleepers: HandMade) -> None:
    """Its first day has its pair before the window."""
    seen = sleepers.row(
        """
        SELECT sri, sri_valid_fraction FROM fct_user_day
        WHERE user_id = 'weekend_2h_later' AND night_date = '2024-01-14' AND window_days = 14
        """
    )
    assert seen == {"sri": pytest.approx(91.666667, abs=1e-6), "sri_valid_fraction": 1}


def test_whoever_recorded_nothing_has_no_index(sleepers: HandMade) -> None:
    """Without a night there is no day to compare: not 100, as for somebody awake all the time."""
    assert sleepers.rows("FROM fct_user_day WHERE user_id = 'always_awake'") == []


@needs_recordings
def test_a_recorded_week(tmp_path: Any) -> None:
    """Split nights and daytime sleep of one person, with unknown epochs taken for wake."""
    said = recorded("regularity")["real_record"]
    nights = recordings().filter(source="saa").select("start_time", "sleep_stages")
    rows = [
        session("saa", _earlier(start), [max(stage, 0) for stage in stages], zone="Etc/GMT+8")
        for start, stages in nights.iter_rows()
    ]
    assert len(rows) == 10
    with hand_made(tmp_path) as made:
        made.put(*rows)
        made.publish()
        first, after = (datetime.fromisoformat(text).date() for text in said["window"])
        seen = made.row(SRI_OF_DAYS, "saa", first, after)
    assert seen == {"sri": pytest.approx(said["sri"], abs=1e-6), "pairs": 4}


def _earlier(start: str) -> str:
    return (datetime.fromisoformat(start).replace(tzinfo=None) - HALF_A_DAY).isoformat()


@pytest.mark.parametrize(
    ("same", "valid", "sri"),
    [
        (86_400, 86_400, 100),
        (0, 86_400, -100),
        (43_200, 86_400, 0),
        (0, 0, None),
        (None, 0, None),
        (None, None, None),
    ],
)
def test_index(evaluate: Evaluate, same: int | None, valid: int | None, sri: float | None) -> None:
    """From -100 to 100; nothing compared is NULL."""
    assert evaluate("sleep_regularity_index($1::BIGINT, $2::BIGINT)", same, valid) == sri


@pytest.mark.parametrize(
    ("free", "work", "jetlag"),
    [
        (300, 180, 120),
        (180, 300, 120),
        (30, -30, 60),
        (-700, 700, 40),
        (0, 720, 720),
        (None, 1, None),
        (1, None, None),
    ],
)
def test_social_jetlag(
    evaluate: Evaluate, free: float | None, work: float | None, jetlag: float | None
) -> None:
    """The distance on the clock, over midnight the short way."""
    assert evaluate("social_jetlag($1::DOUBLE, $2::DOUBLE)", free, work) == jetlag


@pytest.mark.parametrize(
    ("free_sleep_s", "work_sleep_s", "free_days", "expected"),
    [
        # Free days 9 h, work days 7 h, 2 free days: a mean of 53/7 h, 10/7 h less than on free days.
        (9 * H, 7 * H, 2, 300 - 60 * 10 / 7 / 2),
        (7 * H, 7 * H, 2, 300),
        # Whoever sleeps less on free days has no debt to make up for.
        (6 * H, 7 * H, 2, 300),
        (9 * H, 7 * H, 3, 300 - 60 * 8 / 7 / 2),
        (9 * H, None, 2, None),
        (None, 7 * H, 2, None),
        (9 * H, 7 * H, None, None),
    ],
)
def test_chronotype_is_corrected_for_what_is_made_up_for(
    evaluate: Evaluate,
    free_sleep_s: float | None,
    work_sleep_s: float | None,
    free_days: int | None,
    expected: float | None,
) -> None:
    """Half of the sleep beyond the mean of the week is taken off the midpoint at 5:00."""
    macro = "chronotype_msfsc(300.0, $1::DOUBLE, $2::DOUBLE, $3::INTEGER)"
    value = evaluate(macro, free_sleep_s, work_sleep_s, free_days)
    assert value == (None if expected is None else pytest.approx(expected))
