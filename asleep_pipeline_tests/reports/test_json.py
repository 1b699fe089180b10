"""The JSON of reports: keys that programs can rely on."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import msgspec
import pytest

from asleep_pipeline.reports import OrganisationReport, UserReport, organisation_report, user_report
from asleep_pipeline.reports.files import report_json
from asleep_pipeline_tests.reports.story import WEEK

PERIOD = {"kind", "key", "start_date", "end_date"}
SCORE = {"score", "parts", "version"}
BASIS = {
    *("lake_snapshot", "snapshot_at", "published_at", "pipeline_version", "tzdata_version"),
    *("last_night_date", "parameters"),
}
QUALITY = {
    *("sessions", "good_sessions", "fair_sessions", "poor_sessions", "unjudged_sessions"),
    *("good_fraction", "fair_fraction", "poor_fraction", "unknown_mean_fraction"),
}
USER_KEYS = {
    "report": None,
    "subject": {"user_id", "org_id", "timezone", "free_days", "sleep_need_s", "is_gone"},
    "period": PERIOD,
    "status": None,
    "nights_possible": None,
    "nights_observed": None,
    "figures": None,
    "score": SCORE,
    "comparison": {"period", "figures", "change", "sleep_24h_s"},
    "best_night_date": None,
    "shortest_night_date": None,
    "insights": {"rule", "text", "evidence", "night_date"},
    "quality": QUALITY,
    "nights": None,
    "sleeps": {"night_date", "kind", "onset_local", "final_wake_local", "tst_s"},
    "hypnograms": {"night_date", "stage_levels", "runs"},
    "trend": None,
    "basis": BASIS,
}
ORGANISATION_KEYS = {
    "report": None,
    "subject": {"org_id"},
    "period": PERIOD,
    "status": None,
    "users_possible": None,
    "nights_possible": None,
    "nights_observed": None,
    "figures": None,
    "score": SCORE,
    "comparison": {"period", "is_suppressed", "figures", "change"},
    "insights": set(),
    "quality": QUALITY,
    "trend": None,
    "basis": BASIS,
}
UNITS = ("_s", "_min", "_fraction", "_per_h", "_h", "_date", "_at", "_local")


def keys(value: Any) -> set[str]:
    """Of an object, or of the first one in a list."""
    if isinstance(value, list):
        return keys(value[0]) if value else set()
    return set(value)


def numbers(value: Any, key: str = "") -> set[str]:
    """The keys under which a fraction or a large number stands."""
    if isinstance(value, dict):
        return {name for k, v in value.items() for name in numbers(v, k)}
    if isinstance(value, list):
        return {name for v in value for name in numbers(v, key)}
    return {key} if isinstance(value, float) and not value.is_integer() else set()


@pytest.mark.parametrize(("subject", "expected"), [("ada", USER_KEYS), ("acme", ORGANISATION_KEYS)])
def test_the_keys_stay_as_they_are(
    con: duckdb.DuckDBPyConnection, subject: str, expected: dict[str, set[str] | None]
) -> None:
    """In this order, each of them always there."""
    tell = user_report if subject == "ada" else organisation_report
    said = json.loads(report_json(tell(con, subject, WEEK)))
    assert list(said) == list(expected)
    for key, inner in expected.items():
        assert inner is None or keys(said[key]) == inner


def test_the_same_keys_are_there_without_data(con: duckdb.DuckDBPyConnection) -> None:
    """Null stands for what is not known."""
    empty = json.loads(report_json(user_report(con, "hal", WEEK)))
    assert list(empty) == list(USER_KEYS)
    assert (empty["figures"], empty["score"], empty["best_night_date"]) == (None, None, None)
    assert empty["comparison"]["change"]["tst_mean_s"] is None
    suppressed = json.loads(report_json(organisation_report(con, "tiny", WEEK)))
    assert list(suppressed) == list(ORGANISATION_KEYS)


def test_numbers_carry_their_unit_in_the_name(con: duckdb.DuckDBPyConnection) -> None:
    """But for counts, scores of 0 to 100 and the regularity index, which have none."""
    said = json.loads(report_json(user_report(con, "ada", WEEK)))
    unitless = {name for name in numbers(said) if not name.endswith(UNITS)}
    scores = {"points", "sri", "score", "score_efficiency", "score_consistency", "score_duration"}
    weights = {"efficiency_weight", "consistency_weight", "duration_weight"}
    assert unitless <= scores | weights


@pytest.mark.parametrize(("subject", "kind"), [("ada", UserReport), ("acme", OrganisationReport)])
def test_a_report_can_be_read_back(
    con: duckdb.DuckDBPyConnection, subject: str, kind: type[UserReport | OrganisationReport]
) -> None:
    """The types of the model are the types of the JSON."""
    told = (user_report if subject == "ada" else organisation_report)(con, subject, WEEK)
    assert msgspec.json.decode(report_json(told), type=kind) == told
