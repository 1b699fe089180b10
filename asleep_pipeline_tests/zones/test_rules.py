# ruff: noqa: DTZ001 - the rules hold naive UTC
from __future__ import annotations

import subprocess
import sys
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import groupby, pairwise
from pathlib import Path

# The zone class in C hides its transitions.
from zoneinfo._zoneinfo import ZoneInfo as ReadableZone  # type: ignore[import-not-found]

import pendulum
import polars as pl
import pytest

from asleep_pipeline.zones.names import is_zone, known_zones, tzdata_version
from asleep_pipeline.zones.rules import zone_rules

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR_PAST = datetime(1, 1, 1)

SHOW_SEOUL = """
import os, pendulum
from asleep_pipeline.zones.names import use_packaged_tzdata
noon = pendulum.datetime(2026, 7, 1, 12)
print(noon.in_timezone("Asia/Seoul").hour, len(pendulum.timezones()) > 500)
use_packaged_tzdata()
use_packaged_tzdata()
print(noon.in_timezone("Asia/Seoul").hour, len(pendulum.timezones()) > 500)
print(repr(os.environ["PYTHONTZPATH"]))
"""


@pytest.fixture
def wrong_system_zones(tmp_path: Path) -> Path:
    seoul = tmp_path / "Asia" / "Seoul"
    seoul.parent.mkdir()
    files = resources.files("tzdata") / "zoneinfo"
    seoul.write_bytes(files.joinpath("America", "Phoenix").read_bytes())
    return tmp_path


def _offsets_by_zone() -> dict[str, list[tuple[datetime, int]]]:
    rows = zone_rules().iter_rows()
    return {tz: [row[1:] for row in group] for tz, group in groupby(rows, lambda row: row[0])}


def _changes_on_file(name: str) -> set[datetime]:
    """Instants from 1970 on at which a zone's own file changes the UTC offset."""
    zone = ReadableZone.no_cache(name)
    offset, changes = zone._tti_before.utcoff, set()
    for second, info in zip(zone._trans_utc, zone._ttinfos, strict=True):
        if info.utcoff != offset and second >= 0:
            changes.add((EPOCH + timedelta(seconds=second)).replace(tzinfo=None))
        offset = info.utcoff
    return changes


def test_rules_have_one_typed_row_a_zone_and_offset() -> None:
    """The rules are the table `tz_rules(tz, utc_from, offset_s)`, naive UTC, sorted, no nulls."""
    rules = zone_rules()
    assert rules.schema == {"tz": pl.String, "utc_from": pl.Datetime("us"), "offset_s": pl.Int32}
    assert rules.null_count().sum_horizontal().item() == 0
    assert rules.equals(rules.sort("tz", "utc_from"))
    assert not rules.select("tz", "utc_from").is_duplicated().any()


def test_every_zone_has_a_rule_for_every_instant() -> None:
    """Each known zone is in the rules, and its first rule starts before any session."""
    first = {tz: rows[0][0] for tz, rows in _offsets_by_zone().items()}
    assert first == dict.fromkeys(known_zones(), FAR_PAST)


def test_each_rule_changes_the_offset() -> None:
    """A zone's neighbouring rules differ, so the table holds nothing that decides nothing."""
    for tz, rows in _offsets_by_zone().items():
        assert all(a[1] != b[1] for a, b in pairwise(rows)), tz


def test_no_change_of_an_offset_is_missed() -> None:
    """Every change that a zone's own file lists since 1970 is in the rules at its exact second."""
    by_zone = _offsets_by_zone()
    for tz in known_zones():
        assert _changes_on_file(tz) <= {utc_from for utc_from, _ in by_zone[tz]}, tz


def test_yearly_rules_go_on_to_2100() -> None:
    """Where daylight saving has no end, both changes of the year 2100 are there."""
    last = [row for row in _offsets_by_zone()["Europe/Paris"] if row[0].year == 2100]
    assert last == [(datetime(2100, 3, 28, 1), 7200), (datetime(2100, 10, 31, 1), 3600)]


def test_the_last_year_is_right_on_every_day() -> None:
    """No zone changes twice between two probes of a rule that goes on: each day has its offset."""
    days = [datetime(2099, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(365)]
    for tz, rows in _offsets_by_zone().items():
        begins, zone = [utc_from for utc_from, _ in rows], pendulum.timezone(tz)
        found = [rows[bisect_right(begins, day.replace(tzinfo=None)) - 1][1] for day in days]
        said = [timedelta(seconds=offset) for offset in found]
        assert said == [day.astimezone(zone).utcoffset() for day in days], tz


def test_rules_are_computed_once_a_process() -> None:
    """Asking again hands back the same frame."""
    assert zone_rules() is zone_rules()


def test_packaged_rules_replace_the_ones_already_in_use(wrong_system_zones: Path) -> None:
    """A zone that pendulum has read from the system before is read anew from the package."""
    run = subprocess.run(
        [sys.executable, "-c", SHOW_SEOUL],
        env={"PYTHONTZPATH": str(wrong_system_zones)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == ["5 True", "21 True", "''"]


def test_tzdata_version_is_the_one_installed() -> None:
    """The version that names a set of rules is the package's, year and release."""
    year, release = tzdata_version().split(".")[:2]
    assert int(year) >= 2026
    assert int(release) >= 1


@pytest.mark.parametrize("name", ["Asia/Seoul", "UTC", "US/Pacific", "Etc/GMT+12", "Asia/Calcutta"])
def test_zone_names_and_aliases_are_known(name: str) -> None:
    """IANA names are zones, old aliases included."""
    assert is_zone(name)


@pytest.mark.parametrize(
    "name", ["", "asia/seoul", "KST", "+09:00", "Asia/Seoul ", "../UTC", "Asia"]
)
def test_other_names_are_no_zones(name: str) -> None:
    """Wrong case, abbreviations, offsets, folders and paths are not zones."""
    assert not is_zone(name)
