"""Rows of sessions: nothing of an answer is lost, and each night has its own local time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.asleep import UnreadableAnswer, decode_session, decode_session_page
from asleep_pipeline.asleep.models import LeanSession, Session
from asleep_pipeline.extract.plan import list_hash
from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.tables import SESSIONS, STAT_COLUMNS
from asleep_pipeline.normalise.details import Detail, read_detail, whole
from asleep_pipeline.normalise.fold import Detailed, Entry, Listed
from asleep_pipeline.normalise.rows import SessionParts, session_rows
from asleep_pipeline.normalise.rules import broken_by_detail
from asleep_pipeline.normalise.stored import PULLED, Body
from asleep_pipeline.zones.fallbacks import ZoneFallbacks
from asleep_pipeline_tests.vendor_answers import Json, Mailbag, detail, envelope, list_item

NOW = datetime(2026, 2, 1, tzinfo=UTC)
RULES = pl.DataFrame(
    {"tz": ["UTC", "Asia/Seoul"], "utc_from": [datetime(1, 1, 1)] * 2, "offset_s": [0, 32_400]},  # noqa: DTZ001 - naive UTC, as in tz_rules
    schema_overrides={"utc_from": pl.Datetime("us"), "offset_s": pl.Int32},
)
ANYWHERE = ZoneFallbacks({}, {}, "UTC")

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
moments = st.integers(1_640_995_200, 1_893_456_000).map(
    lambda second: datetime.fromtimestamp(second, UTC).isoformat()
)
seconds = st.integers(0, 86_400)
fractions = st.integers(0, 100).map(lambda hundredths: hundredths / 100)
counts = st.integers(0, 1000)
unknown = st.dictionaries(
    st.sampled_from(["new_key", "another", "extra", "Ünïcode"]),
    st.recursive(st.none() | st.booleans() | counts | text, st.lists, max_leaves=4),
    max_size=2,
)


def values_of(column: str) -> st.SearchStrategy[Any]:
    """Values that a statistic may have."""
    if column in {"sleep_time", "wake_time"}:
        return moments
    if column == "sleep_cycle_time":
        return st.lists(moments, max_size=5)
    if column == "breathing_pattern":
        return text
    if column.endswith("_ratio") or column == "sleep_efficiency":
        return fractions
    if column == "breathing_index":
        return st.floats(0, 1000)
    return st.integers(0, 100) if column == "sleep_index" else seconds


stats = st.fixed_dictionaries({c.name: st.none() | values_of(c.name) for c in STAT_COLUMNS})
stages = {"sleep_stages": (-1, 3), "breath_stages": (0, 2), "snoring_stages": (0, 1)}
sessions = st.fixed_dictionaries(
    {
        "id": st.just("20260110230000_aaaaa"),
        "state": st.just("COMPLETE"),
        "start_time": moments,
        "end_time": st.just("2031-01-01T00:00:00+00:00"),
        "unexpected_end_time": st.none() | moments,
        "created_timezone": st.sampled_from(["UTC", "Asia/Seoul", "Mars/Olympus"]),
    }
    | {
        name: st.none() | st.lists(st.integers(*bounds), max_size=30)
        for name, bounds in stages.items()
    }
)


@st.composite
def results(draw: st.DrawFn) -> Json:
    """A get-session result that keeps the contract, with keys that nobody knows."""
    stat = draw(st.none() | stats)
    own = {
        "timezone": "UTC",
        "peculiarities": draw(st.lists(text, max_size=3)),
        "missing_data_ratio": draw(st.none() | fractions),
        "session": draw(unknown) | draw(sessions),
        "stat": stat if stat is None else draw(unknown) | stat,
    }
    return draw(unknown) | own


@settings(max_examples=150, deadline=None, derandomize=True)
@given(said=results())
def test_an_answer_can_be_rebuilt_from_its_row(said: Json) -> None:
    """Every statistic, stage, moment and unknown key stands in the row, up to formatting."""
    body = envelope(said)
    for found in (whole(decode_session(body)), read(body), read(msgspec.json.format(body))):
        assert rebuilt(row_of(found)) == said


def read(body: bytes) -> Detail:
    """A detail as the lake's answers are read."""
    return read_detail(Body(PULLED, body))


def row_of(detail: Detail) -> Json:
    """The row of a detail of which nothing else is known."""
    entry = Entry("org", detailed=Detailed("digest", NOW))
    parts = SessionParts("u", detail.session.id, entry, detail, is_quarantined=False)
    (row,) = session_rows([parts], shard=0, fallbacks=ANYWHERE, rules=RULES).to_dicts()
    return row


in_words = list_item()
plain_lists = st.lists(st.integers(-1, 9), max_size=4)
odd_lists: st.SearchStrategy[Any] = st.lists(
    st.sampled_from([-1, 0, 3, 4, 10, -12, 100, 1.0, 1.5, "1", "[0]", None, True, [], [1], {}]),
    max_size=4,
)
odd_stages: st.SearchStrategy[Any] = (
    st.sampled_from([None, [], "", "[1]", 1, {}]) | plain_lists | odd_lists
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    stages=st.fixed_dictionaries({}, optional=dict.fromkeys(stages, odd_stages)),
    indent=st.booleans(),
)
def test_packed_stages_are_read_as_lists_are(stages: Json, *, indent: bool) -> None:
    """Whatever stands for stages makes the same row, breaks the same rules, or is as unreadable."""
    body = envelope(detail(in_words, session=stages))
    body = msgspec.json.format(body) if indent else body
    assert outcome(lambda: read(body)) == outcome(lambda: whole(decode_session(body)))


def outcome(reader: Callable[[], Detail]) -> Any:
    """The error of a reading, else the broken rules, else the row."""
    try:
        found = reader()
    except UnreadableAnswer as error:
        return str(error)
    return list(broken_by_detail(found, asked_for=in_words["session_id"])) or row_of(found)


def test_an_answer_in_the_contract_s_words_is_read_without_its_numbers() -> None:
    """The stages of a common answer become bytes; those of an odd one are decoded whole."""
    body = envelope(detail(in_words, session={"sleep_stages": [0, -1, 3]}))
    assert isinstance(read(body).result, LeanSession)
    assert read(body).stages["sleep_stages"] == b"\0\xff\3"
    odd = envelope(detail(in_words, session={"sleep_stages": [0, 7]}))
    assert isinstance(read(odd).result, Session)


def rebuilt(row: Json) -> Json:
    """The get-session result that a row stands for."""
    extra: Json = msgspec.json.decode(row["extra"] or "{}")
    session = {
        "id": row["session_id"],
        "state": row["state"],
        "start_time": written(row["started_at"]),
        "end_time": written(row["ended_at"]),
        "unexpected_end_time": written(row["unexpected_ended_at"]),
        "created_timezone": row["created_timezone"],
    } | {name: row[name] for name in stages}
    stat = {column.name: written(row[column.name]) for column in STAT_COLUMNS}
    unknown_keys: Json = extra.get("result", {})
    return unknown_keys | {
        "timezone": "UTC",
        "peculiarities": row["peculiarities"],
        "missing_data_ratio": row["missing_data_ratio"],
        "session": extra.get("session", {}) | session,
        "stat": extra.get("stat", {}) | stat if row["has_stat"] else None,
    }


def written(value: Any) -> Any:
    """A moment, or a list of them, as the API writes it; anything else as it is."""
    if isinstance(value, list):
        return [written(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value


def test_a_list_row_is_kept_whole() -> None:
    """Its own two numbers have columns, and its unknown keys are kept beside the detail's."""
    said = list_item(last_received_seq_num=540, time_in_bed=16_237, battery=0.5)
    (item,) = decode_session_page(envelope({"sleep_session_list": [said]})).sleep_session_list
    entry = Entry("org", Listed(item, list_hash(item), NOW))
    parts = SessionParts("u", item.session_id, entry, None, is_quarantined=False)
    (row,) = session_rows([parts], shard=0, fallbacks=ANYWHERE, rules=RULES).to_dicts()
    assert (row["last_received_seq_num"], row["listed_time_in_bed_s"]) == (540, 16_237)
    assert msgspec.json.decode(row["extra"]) == {"list": {"battery": 0.5}}
    assert (row["has_detail"], row["peculiarities"]) == (False, None)


def test_rows_have_the_table_s_schema() -> None:
    """So that no insert has to guess a type, even of no rows."""
    frame = session_rows([], shard=0, fallbacks=ANYWHERE, rules=RULES)
    assert frame.schema == SESSIONS.schema


@pytest.mark.parametrize(
    ("created", "user_id", "org_id", "expected"),
    [
        ("Asia/Seoul", "known", "acme", ("Asia/Seoul", "session")),
        (None, "known", "acme", ("Europe/Oslo", "roster")),
        ("Mars/Olympus", "known", "acme", ("Europe/Oslo", "roster")),
        (None, "unknown", "acme", ("America/Lima", "organisation")),
        (None, "unknown", "unknown", ("Pacific/Apia", "default")),
    ],
)
def test_a_missing_or_unknown_zone_falls_back(
    created: str | None, user_id: str, org_id: str, expected: tuple[str, str]
) -> None:
    """Session, then roster, organisation and default; the source is told."""
    fallbacks = ZoneFallbacks({"known": "Europe/Oslo"}, {"acme": "America/Lima"}, "Pacific/Apia")
    assert fallbacks.zone_of(created, user_id, org_id) == expected


@pytest.mark.parametrize(
    ("evening", "offsets", "wall_hours"),
    [("20260328220000_aaaaa", (60, 120), 8), ("20261024220000_aaaaa", (120, 60), 6)],
)
def test_a_night_of_a_clock_change_keeps_its_real_length(
    lake: Lake, evening: str, offsets: tuple[int, int], wall_hours: int
) -> None:
    """Seven hours in bed are seven, though the clock on the wall shows eight or six."""
    bag = Mailbag(lake)
    item = list_item(evening, created_timezone="Europe/Berlin")
    day = date.fromisoformat(evening[:8])
    bag.send(bag.listing(item, window=(day, day)), bag.detail(item))
    row = bag.sessions()[evening]
    assert row["ended_at"] - row["started_at"] == timedelta(hours=7)
    assert row["ended_at_local"] - row["started_at_local"] == timedelta(hours=wall_hours)
    assert (row["utc_offset_start_min"], row["utc_offset_end_min"]) == offsets
    assert (row["start_date_local"], row["night_date"]) == (
        row["started_at_local"].date(),
        day + timedelta(days=1),
    )


def test_another_dialect_is_read_and_told(lake: Lake) -> None:
    """A percent is stored as a fraction, a clock without a date is kept aside; both are named."""
    bag = Mailbag(lake)
    item = list_item()
    odd = detail(item, stat={"sleep_efficiency": 88.24, "sleep_time": "06:30:00"})
    bag.send(bag.listing(item), bag.detail(item, odd))
    row = bag.sessions()[item["session_id"]]
    assert (row["sleep_efficiency"], row["sleep_time"]) == (0.8824, None)
    assert [reading.partition(":")[0] for reading in sorted(row["readings"])] == [
        "stat.sleep_efficiency",
        "stat.sleep_time",
    ]
    assert msgspec.json.decode(row["extra"]) == {"stat": {"sleep_time": "06:30:00"}}


def test_a_session_is_as_old_as_its_newest_word(lake: Lake) -> None:
    """What list and detail both say comes from whichever was read last and said something new."""
    bag = Mailbag(lake)
    first, moved = list_item(), list_item(created_timezone="Europe/Oslo")
    bag.send(bag.listing(first), bag.detail(first))
    bag.send(bag.listing(moved))
    assert bag.sessions()[first["session_id"]]["timezone"] == "Europe/Oslo"
    bag.send(bag.detail(moved, detail(moved, session={"created_timezone": "Asia/Tokyo"})))
    assert bag.sessions()[first["session_id"]]["timezone"] == "Asia/Tokyo"
