"""Both published dialects of every answer (contract section 7, conflicts between sources)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest

from asleep_pipeline.asleep import (
    SessionItem,
    UnreadableAnswer,
    decode_average_stats,
    decode_session,
    decode_session_page,
    decode_user,
)

Plain = dict[str, Any]


def body(result: Any) -> bytes:
    """An answer with this result."""
    return json.dumps({"detail": "OK", "result": result}).encode()


def averages(**parts: Any) -> bytes:
    """An answer of average-stats with these parts."""
    period = {"timezone": "UTC", "start_date": "2026-01-01", "end_date": "2026-01-05"}
    return body({"period": period, "peculiarities": [], "average_stats": None} | parts)


AT_22 = "2026-01-01T22:00:00+00:00"
MOMENT = datetime(2026, 1, 1, 22, tzinfo=UTC)
CYCLES = [
    {"order": 1, "start_time": AT_22, "end_time": "2026-01-01T23:00:00+00:00"},
    {"order": 2, "start_time": AT_22, "end_time": "2026-01-02T00:00:00+00:00"},
]
CYCLE_MOMENTS = [MOMENT, MOMENT + timedelta(hours=1), MOMENT + timedelta(hours=2)]


@pytest.mark.parametrize(
    ("key", "value", "read", "reading"),
    [
        ("sleep_efficiency", 0.88, 0.88, ""),
        ("sleep_efficiency", 88.24, 0.8824, "stat.sleep_efficiency: 88.24 is a percent"),
        ("sleep_efficiency", 1.004, 1.004, ""),
        ("wake_ratio", 12, 0.12, "stat.wake_ratio: 12 is a percent"),
        ("snoring_ratio", 100.0, 1.0, "stat.snoring_ratio: 100.0 is a percent"),
        ("sleep_time", AT_22, MOMENT, ""),
        ("sleep_time", "2026-01-01T22:00:00Z", MOMENT, ""),
        ("sleep_time", "2026-01-01T22:00:00.000+00:00", MOMENT, ""),
        (
            "sleep_time",
            "2026-01-01T22:00:00",
            MOMENT,
            "stat.sleep_time: 2026-01-01T22:00:00 has no offset, read as UTC",
        ),
        (
            "sleep_time",
            "06:30:00",
            None,
            "stat.sleep_time: a clock time without a date, not a moment",
        ),
        ("wake_time", "6:30", None, "stat.wake_time: a clock time without a date, not a moment"),
        ("sleep_cycle", 5400, 5400, ""),
        (
            "sleep_cycle",
            CYCLES,
            None,
            "stat.sleep_cycle: a list of cycles, read as sleep_cycle_time",
        ),
        ("sleep_cycle_time", [AT_22], [MOMENT], ""),
        ("sleep_cycle_time", [], [], ""),
        ("sleep_cycle_time", [5400, 5300], None, "stat.sleep_cycle_time: numbers, not moments"),
        ("sleep_latency", 300.0, 300, ""),
        ("sleep_index", 12, 12, ""),
        ("breathing_pattern", "SOMETHING_NEW", "SOMETHING_NEW", ""),
    ],
)
def test_statistic_in_either_dialect(
    session: Plain, key: str, value: Any, read: Any, reading: str
) -> None:
    """A statistic has one meaning however it is written, and another dialect is named."""
    session["stat"] = {key: value}
    decoded = decode_session(body(session))
    assert decoded.stat is not None
    assert getattr(decoded.stat, key) == read
    assert decoded.readings == ((reading,) if reading else ())


@pytest.mark.parametrize(
    ("key", "value"),
    [("sleep_time", "06:30:00"), ("sleep_cycle", CYCLES), ("sleep_cycle_time", [5400, 5300])],
)
def test_value_with_another_meaning_is_kept_raw(session: Plain, key: str, value: Any) -> None:
    """What cannot be read as its key says is None, and stays in extra as it came."""
    session["stat"] = {key: value}
    decoded = decode_session(body(session))
    assert decoded.stat is not None
    assert decoded.stat.extra == {key: value}


def test_cycle_list_gives_the_cycle_moments(session: Plain) -> None:
    """A list of cycles becomes the start of the first and the end of each."""
    session["stat"] = {"sleep_cycle": CYCLES}
    stat = decode_session(body(session)).stat
    assert stat is not None
    assert stat.sleep_cycle_time == CYCLE_MOMENTS


@pytest.mark.parametrize("cycles", [[], [{"order": 1}], ["a"], [5400]])
def test_cycle_list_without_moments_spoils_nothing(session: Plain, cycles: list[Any]) -> None:
    """A list of cycles that tells no moments is only kept."""
    session["stat"] = {"sleep_cycle": cycles, "sleep_latency": 5}
    stat = decode_session(body(session)).stat
    assert stat is not None
    assert (stat.sleep_cycle, stat.sleep_cycle_time, stat.sleep_latency) == (None, None, 5)
    assert stat.extra == {"sleep_cycle": cycles}


def test_published_moments_win_over_a_cycle_list(session: Plain) -> None:
    """The key that holds moments in the contract is not overwritten by what is derived."""
    session["stat"] = {"sleep_cycle": CYCLES, "sleep_cycle_time": [AT_22]}
    stat = decode_session(body(session)).stat
    assert stat is not None
    assert stat.sleep_cycle_time == [MOMENT]


def test_missing_data_ratio_in_percent(session: Plain) -> None:
    """The share of lost data is a fraction as well."""
    decoded = decode_session(body(session | {"missing_data_ratio": 12.5}))
    assert decoded.missing_data_ratio == 0.125
    assert decoded.readings == ("missing_data_ratio: 12.5 is a percent",)


def test_percent_of_a_percent_is_refused(session: Plain) -> None:
    """What is no fraction even after division is not guessed at."""
    session["stat"] = {"sleep_ratio": 8824}
    with pytest.raises(UnreadableAnswer, match=r"stat\.sleep_ratio.*88\.24"):
        decode_session(body(session))


def test_session_under_the_names_of_the_list(session: Plain) -> None:
    """A session may carry the key names of the session list."""
    detail = session["session"]
    expected = decode_session(body(session)).session
    for old, new in (("id", "session_id"), ("start_time", "session_start_time")):
        detail[new] = detail.pop(old)
    detail["session_end_time"] = detail.pop("end_time")
    decoded = decode_session(body(session))
    assert decoded.session == expected
    assert decoded.readings == (
        "session.session_id: read as id",
        "session.session_start_time: read as start_time",
        "session.session_end_time: read as end_time",
    )


def test_session_under_the_names_of_the_older_version(session: Plain) -> None:
    """Stage keys of the v2 and webhook dialects are read under their names of today."""
    detail = session["session"]
    expected = decode_session(body(session)).session
    detail["osa_stages"] = detail.pop("breath_stages")
    detail["stage_list"] = detail.pop("sleep_stages")
    session["stat"] = {"estimated_ahi": 3.5}
    decoded = decode_session(body(session))
    assert decoded.session == expected
    assert decoded.stat is not None
    assert decoded.stat.breathing_index == 3.5


def test_zone_inside_the_session(session: Plain) -> None:
    """The zone may stand inside the session; beside it, it wins."""
    session["session"]["timezone"] = "Asia/Seoul"
    beside = decode_session(body(session))
    assert beside.timezone == "UTC"
    assert beside.session.extra == {"timezone": "Asia/Seoul"}
    del session["timezone"]
    inside = decode_session(body(session))
    assert inside.timezone == "Asia/Seoul"
    assert inside.session.extra == {}


def test_alias_beside_its_own_name_is_only_kept(session: Plain) -> None:
    """An alias never overwrites the key that the contract names."""
    session["session"]["session_id"] = "another"
    decoded = decode_session(body(session))
    assert decoded.session.id == session["session"]["id"]
    assert decoded.session.extra == {"session_id": "another"}


def test_list_rows_under_the_names_of_the_session() -> None:
    """A row of the list may carry the key names of a session."""
    row = {"id": "s", "state": "OPEN", "start_time": AT_22, "end_time": None}
    decoded = decode_session_page(body({"timezone": "UTC", "sleep_session_list": [row]}))
    assert decoded.sleep_session_list == [
        SessionItem(session_id="s", state="OPEN", session_start_time=MOMENT)
    ]
    assert "sleep_session_list[0].id: read as session_id" in decoded.readings


@pytest.mark.parametrize(
    ("value", "read", "has_reading"),
    [
        ("02:54:01", time(2, 54, 1), False),
        ("2026-01-02T02:54:01+09:00", time(2, 54, 1), True),
        ("2026-01-02T02:54:01", time(2, 54, 1), True),
        (None, None, False),
    ],
)
def test_average_clock_in_either_dialect(value: Any, read: time | None, has_reading: bool) -> None:
    """An average clock given as a moment is read as its local time."""
    decoded = decode_average_stats(averages(average_stats={"sleep_time": value}))
    assert decoded.average_stats is not None
    assert decoded.average_stats.sleep_time == read
    assert bool(decoded.readings) == has_reading


def test_averages_may_be_fractional() -> None:
    """Means of counts and seconds need not be whole."""
    decoded = decode_average_stats(
        averages(average_stats={"waso_count": 1.5, "sleep_cycle_count": 3, "time_in_bed": 900})
    )
    assert decoded.average_stats is not None
    stats = decoded.average_stats
    assert (stats.waso_count, stats.sleep_cycle_count, stats.time_in_bed) == (1.5, 3, 900)


@pytest.mark.parametrize("prefix", ["", "session_"])
def test_rows_of_the_averages_in_either_dialect(prefix: str) -> None:
    """Sessions of the averages are read under both sets of key names."""
    row = {"session_id" if prefix else "id": "s", f"{prefix}start_time": AT_22}
    decoded = decode_average_stats(
        averages(slept_sessions=[row | {"sleep_ratio": 0.9}], never_slept_sessions=[row])
    )
    (slept,), (never_slept,) = decoded.slept_sessions, decoded.never_slept_sessions
    assert (slept.id, slept.start_time, slept.extra) == ("s", MOMENT, {})
    assert (never_slept.id, never_slept.start_time, never_slept.extra) == ("s", MOMENT, {})
    assert decoded.slept_sessions[0].sleep_ratio == 0.9


def test_period_with_days_and_without_zone() -> None:
    """The other published shape of the period is read; what it adds is kept."""
    period = {"start_date": "2026-01-01", "end_date": "2026-01-05", "days": 5}
    decoded = decode_average_stats(averages(period=period)).period
    assert (decoded.start_date, decoded.timezone) == (date(2026, 1, 1), None)
    assert decoded.extra == {"days": 5}


@pytest.mark.parametrize(
    "last",
    [
        {"session_id": "s", "start_time": "2026-01-01T22:00:00", "complete_time": AT_22},
        {"session_id": "s", "start_time": "2026-01-01T22:00:00Z", "complete_time": AT_22},
        {"id": "s", "session_start_time": AT_22, "completed_time": AT_22},
    ],
)
def test_last_session_in_either_dialect(last: Plain) -> None:
    """Times of get-user are UTC with or without saying so, under either key."""
    user = decode_user(body({"user_id": "u", "last_session_info": last}))
    assert user.last_session_info is not None
    read = user.last_session_info
    assert (read.session_id, read.start_time, read.complete_time) == ("s", MOMENT, MOMENT)


def test_offset_is_kept(session: Plain) -> None:
    """A moment keeps the offset it was given with."""
    session["session"]["start_time"] = "2026-01-02T07:00:00+09:00"
    start = decode_session(body(session)).session.start_time
    assert start == MOMENT
    assert start.tzinfo == timezone(timedelta(hours=9))


def test_unknown_peculiarity_and_state_are_kept(session: Plain) -> None:
    """Words nobody documented are data, not errors."""
    session["peculiarities"] = ["NEW_ONE"]
    session["session"]["state"] = "PAUSED"
    decoded = decode_session(body(session))
    assert (decoded.peculiarities, decoded.session.state) == (["NEW_ONE"], "PAUSED")


def test_null_lists_are_empty(session: Plain) -> None:
    """A null where the contract has a list stands for none."""
    assert decode_session(body(session | {"peculiarities": None})).peculiarities == []
    assert decode_average_stats(averages(slept_sessions=None)).slept_sessions == []
