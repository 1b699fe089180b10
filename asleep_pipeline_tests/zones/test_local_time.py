# ruff: noqa: DTZ001 - wall times are naive by nature
from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pendulum
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.errors import UsageError
from asleep_pipeline.zones.local_time import (
    add_local_time,
    months_between,
    parse_date,
    utc_date,
)
from asleep_pipeline.zones.names import known_zones
from asleep_pipeline.zones.rules import zone_rules

SECOND = timedelta(seconds=1)
ZONES = sorted(known_zones())
ZONED_INSTANTS = st.tuples(
    st.sampled_from(ZONES),
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 12, 31), timezones=st.just(UTC)),
)


def _frame(rows: Iterable[tuple[str | None, datetime | None]]) -> pl.DataFrame:
    schema = pl.Schema({"zone": pl.String(), "at": pl.Datetime("us", "UTC")})
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def _converted(frame: pl.DataFrame) -> pl.DataFrame:
    return add_local_time(
        frame, zone_rules(), instant="at", zone="zone", local="local", offset_min="offset_min"
    )


def _answers(frame: pl.DataFrame) -> list[tuple[datetime | None, int | None]]:
    return _converted(frame).select("local", "offset_min").rows()


def _expected(zone: str, instant: datetime) -> tuple[datetime, int]:
    local = instant.astimezone(ZoneInfo(zone))
    offset = local.utcoffset()
    assert offset is not None
    return local.replace(tzinfo=None, fold=0), int(offset.total_seconds() / 60)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(ZONED_INSTANTS, max_size=60))
def test_any_instant_in_any_zone_agrees_with_the_standard_library(
    rows: list[tuple[str, datetime]],
) -> None:
    """Wall time and offset equal those of `zoneinfo`, row by row, in the order given."""
    assert _answers(_frame(rows)) == [_expected(*row) for row in rows]


def test_every_change_in_every_zone_agrees_one_second_before_at_and_after() -> None:
    """Folds and gaps fall on the right side at each change of each zone from 1970 to 2100."""
    changes = zone_rules().filter(pl.col("utc_from") > datetime(1, 1, 1)).rows()
    rows = [
        (zone, utc_from.replace(tzinfo=UTC) + shift)
        for zone, utc_from, _ in changes
        for shift in (-SECOND, timedelta(), SECOND)
    ]
    assert _answers(_frame(rows)) == [_expected(*row) for row in rows]


def test_a_million_rows_agree_with_pendulum() -> None:
    """A large column keeps its order, and a sample of it equals pendulum's own conversion."""
    rows = 1_000_000
    steps = pl.int_range(rows, eager=True)
    frame = pl.DataFrame({"zone": pl.Series(ZONES).gather(steps * 7919 % len(ZONES))}).with_columns(
        at=pl.lit(_utc("1990-01-01")).dt.cast_time_unit("us")
        + pl.duration(seconds=pl.lit(steps * 104_729 * 7919 % 2_240_000_000))
    )
    converted = _converted(frame)
    assert converted.select("zone", "at").equals(frame)
    for zone, at, local, offset_min in converted.gather_every(997).iter_rows():
        there = pendulum.instance(at).in_timezone(zone)
        assert (local, offset_min) == (there.naive(), there.offset / 60), (zone, at)


@pytest.mark.parametrize(
    ("zone", "instant", "local", "offset_min"),
    [
        pytest.param(
            "America/Vancouver", "2026-11-21T12:00", "2026-11-21T05:00", -420, id="no-more-winter"
        ),
        pytest.param(
            "Africa/Casablanca", "2026-11-21T12:00", "2026-11-21T12:00", 0, id="back-to-greenwich"
        ),
        pytest.param("Asia/Kolkata", "2026-01-01T00:00", "2026-01-01T05:30", 330, id="half-hour"),
        pytest.param(
            "Asia/Kathmandu", "2026-01-01T00:00", "2026-01-01T05:45", 345, id="three-quarters"
        ),
        pytest.param(
            "Pacific/Chatham", "2026-01-01T00:00", "2026-01-01T13:45", 825, id="chatham-summer"
        ),
        pytest.param(
            "Pacific/Chatham", "2026-07-01T00:00", "2026-07-01T12:45", 765, id="chatham-winter"
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2026-01-01T00:00",
            "2026-01-01T11:00",
            660,
            id="lord-howe-summer",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2026-07-01T00:00",
            "2026-07-01T10:30",
            630,
            id="lord-howe-winter",
        ),
        pytest.param(
            "Australia/Sydney", "2026-12-24T13:00", "2026-12-25T00:00", 660, id="southern-summer"
        ),
        pytest.param(
            "America/Santiago", "2026-07-01T12:00", "2026-07-01T08:00", -240, id="southern-winter"
        ),
        pytest.param("America/St_Johns", "2026-07-01T02:00", "2026-06-30T23:30", -150, id="summer"),
        pytest.param("Asia/Seoul", "2026-07-01T15:00", "2026-07-02T00:00", 540, id="no-dst"),
        pytest.param(
            "Pacific/Kiritimati", "2026-01-01T12:00", "2026-01-02T02:00", 840, id="farthest-east"
        ),
        pytest.param(
            "Etc/GMT+12", "2026-01-01T06:00", "2025-12-31T18:00", -720, id="farthest-west"
        ),
        pytest.param(
            "Pacific/Apia", "2011-12-30T10:00", "2011-12-31T00:00", 840, id="skipped-a-whole-day"
        ),
        pytest.param("UTC", "2026-01-01T06:00", "2026-01-01T06:00", 0, id="utc"),
    ],
)
def test_known_wall_clocks(zone: str, instant: str, local: str, offset_min: int) -> None:
    """Zones that engines get wrong, or that are easily got wrong, have the time of tzdata 2026f."""
    expected = (datetime.fromisoformat(local), offset_min)
    assert _answers(_frame([(zone, _utc(instant))])) == [expected]


def test_an_offset_with_seconds_keeps_the_wall_time_exact() -> None:
    """Monrovia was 44 min 30 s behind until 1972-01-07; only the minutes are cut."""
    change = _utc("1972-01-07T00:44:30")
    rows = [("Africa/Monrovia", change - SECOND), ("Africa/Monrovia", change)]
    assert _answers(_frame(rows)) == [
        (datetime(1972, 1, 6, 23, 59, 59), -44),
        (datetime(1972, 1, 7, 0, 44, 30), 0),
    ]


@pytest.mark.parametrize(
    ("zone", "midnight", "next_midnight", "hours", "offsets"),
    [
        ("America/New_York", "2026-03-08T05:00", "2026-03-09T04:00", 23, (-300, -240)),
        ("America/New_York", "2026-11-01T04:00", "2026-11-02T05:00", 25, (-240, -300)),
        ("Australia/Sydney", "2026-10-03T14:00", "2026-10-04T13:00", 23, (600, 660)),
        ("Australia/Sydney", "2026-04-04T13:00", "2026-04-05T14:00", 25, (660, 600)),
        ("Australia/Lord_Howe", "2026-10-03T13:30", "2026-10-04T13:00", 23.5, (630, 660)),
        ("Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-05T13:30", 24.5, (660, 630)),
    ],
)
def test_days_on_which_the_clock_changes_have_other_than_24_hours(
    zone: str, midnight: str, next_midnight: str, hours: float, offsets: tuple[int, int]
) -> None:
    """From one local midnight to the next, the two offsets tell what the wall clock hides."""
    start, end = _utc(midnight), _utc(next_midnight)
    (first, before), (second, after) = _answers(_frame([(zone, start), (zone, end)]))
    assert first is not None
    assert second is not None
    assert (first.time(), second - first) == (datetime.min.time(), timedelta(days=1))
    assert (before, after) == offsets
    assert end - start == timedelta(hours=hours)


def test_a_repeated_hour_has_two_instants_and_two_offsets() -> None:
    """The two 02:30s of a Berlin autumn night differ in their offset only."""
    instants = [_utc("2026-10-25T00:30"), _utc("2026-10-25T01:30")]
    wall = datetime(2026, 10, 25, 2, 30)
    assert _answers(_frame(("Europe/Berlin", at) for at in instants)) == [(wall, 120), (wall, 60)]


def test_rows_without_a_known_zone_or_an_instant_get_nulls() -> None:
    """Unknown zone, no zone and no instant are null, and the rows beside them are not touched."""
    noon = _utc("2026-07-01T12:00")
    rows = [("Mars/Olympus", noon), ("Asia/Seoul", noon), (None, noon), ("Asia/Seoul", None)]
    seoul = (datetime(2026, 7, 1, 21), 540)
    assert _answers(_frame(rows)) == [(None, None), seoul, (None, None), (None, None)]


def test_an_empty_frame_gets_typed_columns() -> None:
    """No rows in, no rows out, with the types that rows would have."""
    added = _converted(_frame([])).select("local", "offset_min")
    assert added.schema == {"local": pl.Datetime("us"), "offset_min": pl.Int16}


@pytest.mark.parametrize("dtype", [pl.Datetime("us"), pl.Datetime("ms"), pl.Datetime("ms", "UTC")])
def test_naive_instants_and_other_units_are_read_as_utc(dtype: pl.Datetime) -> None:
    """A column without a zone means UTC, and its resolution makes no difference."""
    frame = _frame([("Asia/Seoul", _utc("2026-07-01T12:00"))]).with_columns(
        pl.col("at").cast(dtype)
    )
    assert _answers(frame) == [(datetime(2026, 7, 1, 21), 540)]


def test_rules_in_any_order_and_zones_as_categories_work() -> None:
    """What the lake hands back need not be sorted, and zone columns may be encoded."""
    frame = _frame([("Asia/Seoul", _utc("2026-07-01T12:00"))])
    local = add_local_time(
        frame.with_columns(pl.col("zone").cast(pl.Categorical)),
        zone_rules().reverse(),
        instant="at",
        zone="zone",
        local="local",
        offset_min="offset_min",
    )
    assert local["local"].to_list() == [datetime(2026, 7, 1, 21)]


def test_duckdb_joins_the_same_rules_to_the_same_wall_clock(tmp_path: Path) -> None:
    """The table also serves SQL: DuckDB's ASOF join over it agrees, without a zone of its own."""
    rows = [(zone, _utc("2026-11-21T12:00")) for zone in ZONES]
    frame = _converted(_frame(rows))
    frame.with_columns(pl.col("at").dt.replace_time_zone(None)).write_parquet(tmp_path / "rows")
    zone_rules().write_parquet(tmp_path / "rules")
    different = duckdb.sql(
        """
        FROM read_parquet($rows) AS rows
        ASOF LEFT JOIN read_parquet($rules) AS rules
            ON rows.zone = rules.tz AND rows.at >= rules.utc_from
        SELECT count(*) FILTER (local IS DISTINCT FROM rows.at + to_seconds(offset_s)), count(*)
        """,
        params={"rows": str(tmp_path / "rows"), "rules": str(tmp_path / "rules")},
    )
    assert different.fetchone() == (0, len(ZONES))


@settings(derandomize=True, deadline=None)
@given(st.dates())
def test_a_date_is_read_as_it_is_written(day: date) -> None:
    """The ISO form of any date gives the date back, as a plain date."""
    read = parse_date(day.isoformat())
    assert (read, type(read)) == (day, date)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-02-30",
        "2026-2-3",
        "20260203",
        "2026-W06-2",
        "2026-02-03T00:00",
        "03.02.2026",
    ],
)
def test_anything_but_a_date_is_refused_with_the_way_to_write_it(text: str) -> None:
    """The sentence names what was given and shows the form."""
    with pytest.raises(UsageError) as caught:
        parse_date(text)
    assert caught.value.problem == f"{text!r} is not a date."
    assert caught.value.fix == "Write it as YYYY-MM-DD, like 2026-03-29."


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_dates(text: str) -> None:
    """Any text is either the ISO form of a date or refused."""
    try:
        day = parse_date(text)
    except UsageError:
        return
    assert day.isoformat() == text


def test_months_between_holds_every_month_that_is_touched() -> None:
    """Both ends count, whatever their day, and the year may change."""
    months = months_between(date(2025, 11, 30), date(2026, 2, 1))
    assert months == [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)]
    assert {type(month) for month in months} == {date}


def test_one_day_touches_one_month() -> None:
    """A period of a single day, at the end of a month, is that month alone."""
    assert months_between(date(2026, 1, 31), date(2026, 1, 31)) == [date(2026, 1, 1)]


def test_a_period_that_ends_before_it_starts_is_refused() -> None:
    """An end before its start is a mistake, not an empty period."""
    with pytest.raises(UsageError, match="The end 2026-01-31 is before the start 2026-02-01"):
        months_between(date(2026, 2, 1), date(2026, 1, 31))


def test_utc_date_follows_the_instant_and_not_the_wall() -> None:
    """A bedtime at 00:30 in Seoul belongs to the UTC date before."""
    bedtime = datetime.fromisoformat("2026-03-02T00:30:00+09:00")
    assert utc_date(bedtime) == date(2026, 3, 1)


def test_utc_date_refuses_a_time_without_an_offset() -> None:
    """A naive datetime is no instant, and the machine's zone is not asked."""
    with pytest.raises(UsageError, match="2026-03-02T00:30:00 has no UTC offset"):
        utc_date(datetime(2026, 3, 2, 0, 30))
