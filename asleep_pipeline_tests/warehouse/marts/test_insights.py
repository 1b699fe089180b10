"""Insights: each rule holds for somebody, not for somebody else just short of it, and says why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from asleep_pipeline.warehouse.insights import RULES
from asleep_pipeline_tests.hand_made import HandMade, Row, hand_made, session

FIRST = date(2026, 6, 1)

HELD: dict[str, tuple[str, dict[str, float]]] = {
    "short_of_need": (
        (
            "Over 10 nights of the last two weeks sleep came to 5 h 00 min less than needed: "
            "7 h 30 min on average, of 8 h 00 min."
        ),
        {
            "sleep_debt_s": 18_000,
            "sleep_24h_mean_s": 27_000,
            "sleep_need_s": 28_800,
            "nights_observed": 10,
        },
    ),
    "need_met": (
        "Sleep met its need over 7 nights of the last two weeks: 8 h 00 min on average, of 8 h 00 min.",
        {"sleep_24h_mean_s": 28_800, "sleep_need_s": 28_800, "nights_observed": 7},
    ),
    "short_nights": (
        "3 of 4 nights of the last week were short; the average was 7 h 15 min.",
        {"short_nights": 3, "nights_observed": 4, "sleep_24h_mean_s": 26_077.5},
    ),
    "irregular_bedtime": (
        "Going to bed varied by 60 min around 23:00 over 8 nights.",
        {"bed_sd_min": 60.349, "bed_mean_min": -60, "nights_observed": 8},
    ),
    "regular_bedtime": (
        "Going to bed was regular: within 29 min of 23:30 on most of 8 nights.",
        {"bed_sd_min": 29.039, "bed_mean_min": -30, "nights_observed": 8},
    ),
    "social_jetlag": (
        "The middle of sleep lies 2 h 00 min apart between free days (05:00) and work days (03:00).",
        {
            "social_jetlag_min": 120,
            "free_midpoint_min": 300,
            "work_midpoint_min": 180,
            "nights_free": 4,
            "nights_work": 12,
        },
    ),
    "long_latency": (
        "Falling asleep took 30 min on average over 7 nights.",
        {"sol_mean_s": 1800, "nights_observed": 7},
    ),
    "broken_sleep": (
        "Wake after falling asleep came to 60 min a night over 7 nights, in 2 awakenings.",
        {
            "waso_mean_s": 3600,
            "awakenings_mean": 2,
            "efficiency_mean_fraction": 0.875,
            "nights_observed": 7,
        },
    ),
    "much_snoring": (
        "Snoring was heard in 35 % of the sleep period, on average over 7 nights.",
        {"snoring_of_spt_mean_fraction": 0.35, "nights_observed": 7},
    ),
}


def nights(user: str, *each: str) -> Iterator[Row]:
    """Nights from the first date on, each a clock and a series; from 18:00 on of the evening before."""
    for day, night in enumerate(each):
        clock, series = night.split(" ", 1)
        start = FIRST + timedelta(days=day - (clock >= "18:00"))
        yield session(user, f"{start}T{clock}", series)


def snorer(user: str, snoring: int) -> Iterator[Row]:
    """Seven nights with so many epochs of snoring of 800."""
    series = [1] * snoring + [0] * (800 - snoring)
    yield from (row | {"snoring_stages": series} for row in nights(user, *["23:00 800L"] * 7))


def jetlagged(user: str, clock: str) -> Iterator[Row]:
    """16 nights that begin later on the two nights of the weekend."""
    is_free = [(FIRST + timedelta(days=day)).isoweekday() > 5 for day in range(16)]
    yield from nights(user, *(f"{clock if free else '23:00'} 960L" for free in is_free))


PEOPLE = {
    "short_of_need": nights("short_of_need", *["23:00 900L"] * 10),
    "not short_of_need": nights("not short_of_need", *["23:00 900L"] * 9),
    "need_met": nights("need_met", *["23:00 960L"] * 7),
    "not need_met": nights("not need_met", *["23:00 959L"] * 7),
    "short_nights": nights("short_nights", *["23:00 839L"] * 3, "23:00 960L"),
    "not short_nights": nights("not short_nights", *["23:00 839L"] * 2, *["23:00 840L"] * 2),
    "irregular_bedtime": nights("irregular_bedtime", *["22:00 960L", "00:00 960L"] * 4),
    "not irregular_bedtime": nights("not irregular_bedtime", *["22:01 960L", "23:59 960L"] * 4),
    "regular_bedtime": nights("regular_bedtime", *["23:01 960L", "23:59 960L"] * 4),
    "not regular_bedtime": nights("not regular_bedtime", *["23:00 960L", "00:00 960L"] * 4),
    "social_jetlag": jetlagged("social_jetlag", "01:00"),
    "not social_jetlag": jetlagged("not social_jetlag", "23:59"),
    "long_latency": nights("long_latency", *["23:00 60W 800L"] * 7),
    "not long_latency": nights("not long_latency", *["23:00 59W 800L"] * 7),
    "broken_sleep": nights("broken_sleep", *["23:00 400L 60W 200L 60W 240L"] * 7),
    "not broken_sleep": nights("not broken_sleep", *["23:00 400L 60W 200L 59W 240L"] * 7),
    "much_snoring": snorer("much_snoring", 280),
    "not much_snoring": snorer("not much_snoring", 239),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """Somebody for whom each rule holds, and somebody for whom it does not."""
    with hand_made(tmp_path_factory.mktemp("insights")) as empty:
        empty.put(*(row for rows in PEOPLE.values() for row in rows))
        empty.publish()
        yield empty


def told(made: HandMade, user: str) -> dict[str, Row]:
    """What is told of the last night date, by rule."""
    rows = made.rows(
        """
        SELECT * REPLACE (map_keys(evidence) AS evidence), map_values(evidence) AS figures FROM insight
        WHERE user_id = $1 AND night_date = (SELECT max(night_date) FROM fct_night WHERE user_id = $1)
        """,
        user,
    )
    return {row["rule"]: row for row in rows}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
def test_a_rule_holds_and_names_its_evidence(made: HandMade, rule: dict[str, Any]) -> None:
    """One sentence with the figures it rests on."""
    text, evidence = HELD[rule["name"]]
    row = told(made, rule["name"])[rule["name"]]
    assert row["text"] == text
    seen = dict(zip(row["evidence"], row["figures"], strict=True))
    assert seen == {name: pytest.approx(value, abs=1e-3) for name, value in evidence.items()}
    assert list(seen) == rule["evidence"]


@pytest.mark.parametrize("rule", HELD)
def test_just_short_of_it_nothing_is_told(made: HandMade, rule: str) -> None:
    """A limit is a limit."""
    assert rule not in told(made, f"not {rule}")


def test_nothing_is_told_of_too_few_nights(made: HandMade) -> None:
    """Three nights are no week, and six no two weeks."""
    early = made.rows("SELECT rule FROM insight WHERE night_date < $1", FIRST + timedelta(days=3))
    assert early == []
    rules = made.rows(
        "SELECT DISTINCT rule FROM insight WHERE night_date < $1", FIRST + timedelta(days=6)
    )
    assert [row["rule"] for row in rules] == ["short_nights"]


def test_texts_judge_nobody() -> None:
    """They tell what was measured, in whole sentences, and never of an illness."""
    for rule in RULES:
        assert rule["text"].endswith(".")
        assert rule["text"].count("{}") == len(rule["values"])
        for word in ("insomnia", "apnea", "disorder", "should", "bad", "unhealthy", "risk"):
            assert word not in rule["text"].lower()
