"""The roster file: what is read from it, and that a bad one is refused whole."""

from __future__ import annotations

import csv
import dataclasses
import re
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.errors import UsageError
from asleep_pipeline.roster import COLUMNS, RosterEntry, read_roster
from asleep_pipeline.zones.names import known_zones

IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
ENTRIES = st.builds(
    RosterEntry,
    user_id=IDS,
    org_id=IDS,
    timezone=st.none() | st.sampled_from(sorted(known_zones())),
    free_days=st.none()
    | st.sets(st.integers(1, 7), min_size=1).map(lambda days: tuple(sorted(days))),
    sleep_need_s=st.none() | st.integers(1, 86_400),
    birth_year=st.none() | st.integers(1900, 2026),
    gender=st.none() | st.sampled_from(["male", "female", "non_binary", "other"]),
    height_cm=st.none() | st.floats(0, 300),
    weight_kg=st.none() | st.floats(0, 1000),
)
ROSTERS = st.lists(ENTRIES, min_size=1, max_size=8, unique_by=lambda entry: entry.user_id)


def write_csv(path: Path, entries: list[RosterEntry]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, COLUMNS)
        lines.writeheader()
        for entry in entries:
            days = ",".join(map(str, entry.free_days)) if entry.free_days else None
            lines.writerow(dataclasses.asdict(entry) | {"free_days": days})
    return path


def write_parquet(path: Path, entries: list[RosterEntry]) -> Path:
    types: dict[str, pl.DataType] = {
        "user_id": pl.String(),
        "org_id": pl.String(),
        "timezone": pl.String(),
        "free_days": pl.List(pl.Int8()),
        "sleep_need_s": pl.Int32(),
        "birth_year": pl.Int16(),
        "gender": pl.String(),
        "height_cm": pl.Float64(),
        "weight_kg": pl.Float64(),
    }
    pl.DataFrame([dataclasses.asdict(entry) for entry in entries], schema=types).write_parquet(path)
    return path


def roster(folder: Path, text: str) -> Path:
    path = folder / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_roster(path)
    assert path.name in caught.value.problem
    assert caught.value.fix
    return str(caught.value)


@given(ROSTERS)
def test_csv_gives_back_what_was_written(entries: list[RosterEntry]) -> None:
    """A roster written as CSV is read as the same entries, in order."""
    with tempfile.TemporaryDirectory() as folder:
        assert read_roster(write_csv(Path(folder, "roster.csv"), entries)) == entries


@given(ROSTERS)
def test_parquet_gives_back_what_was_written(entries: list[RosterEntry]) -> None:
    """A roster written as Parquet is read as the same entries, in order."""
    with tempfile.TemporaryDirectory() as folder:
        assert read_roster(write_parquet(Path(folder, "roster.PARQUET"), entries)) == entries


def test_user_id_is_enough(tmp_path: Path) -> None:
    """A file of user ids alone is a roster; it says nothing else of anybody."""
    entries = read_roster(roster(tmp_path, "\ufeffuser_id\r\n G-1 \r\n\r\nG-2\r\n"))
    assert entries == [RosterEntry(user_id="G-1"), RosterEntry(user_id="G-2")]
    assert entries[0].org_id is None
    assert entries[0].timezone is None


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("sat,sun", (6, 7)),
        ("Sunday Saturday", (6, 7)),
        ("7;6", (6, 7)),
        ("6, 7", (6, 7)),
        ("fri", (5,)),
        ("", None),
    ],
)
def test_free_days_are_read_in_many_spellings(
    tmp_path: Path, text: str, days: tuple[int, ...] | None
) -> None:
    """Names and ISO numbers of weekdays are read, in any order and with any separator."""
    entries = read_roster(roster(tmp_path, f'user_id,free_days\nG-1,"{text}"\n'))
    assert entries[0].free_days == days


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("timezone", "Asia/Soul"),
        ("free_days", "8"),
        ("free_days", "someday"),
        ("sleep_need_s", "8h"),
        ("sleep_need_s", "0"),
        ("birth_year", "1899"),
        ("birth_year", "9999"),
        ("gender", "mal"),
        ("height_cm", "nan"),
        ("height_cm", "301"),
        ("weight_kg", "-1"),
        ("org_id", "Größe"),
    ],
)
def test_bad_value_is_named_with_its_line(tmp_path: Path, column: str, value: str) -> None:
    """A value that cannot be used is told with its line and column."""
    said = refused(roster(tmp_path, f"user_id,{column}\nG-1,\nG-2,{value}\n"))
    assert f"line 3: {column} {value!r}" in said


def test_bad_value_in_parquet_is_named_with_its_row(tmp_path: Path) -> None:
    """A Parquet file has no lines: its rows are counted from one."""
    path = tmp_path / "roster.parquet"
    pl.DataFrame({"user_id": ["G-1", "G-2"], "height_cm": [170, 1700]}).write_parquet(path)
    assert "row 2: height_cm 1700" in refused(path)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    """Empty lines count, too."""
    assert "line 4" in refused(roster(tmp_path, "user_id,gender\nG-1,\n\nG-2,x\n"))


def test_every_problem_is_told_at_once_but_ten_are_enough(tmp_path: Path) -> None:
    """Problems of many rows come in one message, which stays readable."""
    said = refused(roster(tmp_path, "user_id,gender\n" + "".join(f"G-{n},x\n" for n in range(14))))
    assert said.count("gender 'x'") == 10
    assert "and 4 more" in said


def test_duplicate_user_is_refused(tmp_path: Path) -> None:
    """One user in two lines is refused, and both lines are named."""
    said = refused(roster(tmp_path, "user_id\nG-1\nG-2\nG-1\n"))
    assert re.search(r"line 4: user_id 'G-1' .* line 2", said)


@pytest.mark.parametrize("user_id", ["", "G 1", "G-1\tx", "Gé", "x" * 257])
def test_unusable_user_id_is_refused(tmp_path: Path, user_id: str) -> None:
    """An id that could not travel in an HTTP header is refused with its line."""
    assert "line 2: user_id" in refused(roster(tmp_path, f'user_id,org_id\n"{user_id}",acme\n'))


def test_missing_user_id_column(tmp_path: Path) -> None:
    """Without user_id the header that was found is shown, and the separator explained."""
    said = refused(roster(tmp_path, "user_id;timezone\nG-1;UTC\n"))
    assert "no column user_id" in said
    assert "user_id;timezone" in said
    assert "commas" in said


def test_unknown_column_points_to_the_nearest(tmp_path: Path) -> None:
    """A misspelt column is refused, not ignored, and the right name suggested."""
    assert "'timezone'" in refused(roster(tmp_path, "user_id,time_zone\nG-1,UTC\n"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user_id\n",
        "user_id,user_id\nG-1,G-2\n",
        "user_id,gender\nG-1\n",
        "user_id,free_days\nG-1,sat,sun\n",
        'user_id\n"G-1\n',
    ],
    ids=["empty", "header only", "column twice", "too few", "too many", "open quote"],
)
def test_malformed_csv_is_refused(tmp_path: Path, text: str) -> None:
    """A CSV file that is empty, ragged or broken is one clear sentence."""
    refused(roster(tmp_path, text))


def test_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    """Wrong bytes, another format, a folder and a name without a file are told apart."""
    (tmp_path / "latin.csv").write_bytes("user_id\nGröße\n".encode("latin-1"))
    (tmp_path / "roster.parquet").write_bytes(b"PAR1 not really PAR1")
    (tmp_path / "roster.xlsx").touch()
    (tmp_path / "folder.csv").mkdir()
    assert "UTF-8" in refused(tmp_path / "latin.csv")
    assert "Parquet" in refused(tmp_path / "roster.parquet")
    assert ".csv nor a .parquet" in refused(tmp_path / "roster.xlsx")
    assert "not a file" in refused(tmp_path / "folder.csv")
    assert "does not exist" in refused(tmp_path / "nowhere.csv")
