"""The roster file: which users there are, since Asleep has no call that lists them.

A CSV file (UTF-8, with a header line) or a Parquet file; only the column `user_id` is required.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass

from asleep_pipeline.errors import UsageError
from asleep_pipeline.settings import ZoneName, nearest
from asleep_pipeline.weekdays import Weekdays

_PROBLEMS_SHOWN = 10


def _check_id(text: str) -> str:
    # Ids travel in HTTP headers and paths.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it should be visible ASCII characters without spaces")
    return text


def _check_birth_year(year: int) -> int:
    if year > datetime.now(UTC).year:
        raise ValueError("it should not lie in the future")
    return year


Id = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_id)]


@dataclass(
    frozen=True,
    slots=True,
    kw_only=True,
    config=ConfigDict(str_strip_whitespace=True, extra="forbid"),
)
class RosterEntry:
    """One user of the roster. `None` is "not known". Bounds of the body data: the API's (create user).

    Attributes:
        user_id: As issued by Asleep.
        org_id: The organisation whose API key the user belongs to.
        timezone: IANA zone, used for nights whose session carries none.
        free_days: ISO weekdays (Monday is 1) without work or school, ascending.
        sleep_need_s: Seconds of sleep a night that the user needs.
        birth_year: Year, from 1900.
        gender: One of the API's five words.
        height_cm: Centimetres, 0 to 300.
        weight_kg: Kilograms, 0 to 1000.
    """

    user_id: Id
    org_id: Id | None = None
    timezone: ZoneName | None = None
    free_days: Weekdays | None = None
    sleep_need_s: Annotated[int, Field(gt=0, le=86_400)] | None = None
    birth_year: Annotated[int, Field(ge=1900), AfterValidator(_check_birth_year)] | None = None
    gender: Literal["male", "female", "non_binary", "other", "prefer_not_to_say"] | None = None
    height_cm: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] | None = None
    weight_kg: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = None


COLUMNS = tuple(RosterEntry.__dataclass_fields__)
_row_reader = TypeAdapter(RosterEntry)

# A row as read, and where it stands: ("line 3", {"user_id": ...}).
PlacedRow = tuple[str, dict[str, Any]]


def read_roster(path: Path) -> list[RosterEntry]:
    """Read and check a whole roster file; in file order.

    Raises:
        UsageError: the file cannot be read, or any row of it cannot be used: up to ten problems, each
            with its line and value. Nothing is returned then.
    """
    rows = _reader_of(path)(path)
    entries: list[RosterEntry] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    for place, row in rows:
        entry, found = _read_row(row)
        if entry and entry.user_id in seen:
            found = [f"user_id {entry.user_id!r} was given in {seen[entry.user_id]} already"]
        elif entry:
            seen[entry.user_id] = place
            entries.append(entry)
        problems += [f"{place}: {problem}" for problem in found]
    if problems:
        raise UsageError(_summary(path, problems), fix="Correct the file; nothing of it was used.")
    if not entries:
        raise _unusable(path, "has no row", "Give one line for each user below the header.")
    return entries


def read_entry(values: Mapping[str, Any]) -> RosterEntry:
    """Read and check one user; a value of None is "not known".

    Raises:
        UsageError: A value cannot be used; names all that cannot.
    """
    entry, problems = _read_row(dict(values))
    if entry is None:
        raise UsageError(
            f"The user cannot be used: {'; '.join(problems)}.", fix="Nothing was changed."
        )
    return entry


def roster_frame(entries: Sequence[RosterEntry]) -> pl.DataFrame:
    """The entries as rows of the lake's `users`, without the columns that nobody has a value in."""
    columns = {name: [getattr(entry, name) for entry in entries] for name in COLUMNS}
    given = {name: values for name, values in columns.items() if set(values) != {None}}
    return pl.DataFrame(given, infer_schema_length=None)


def _reader_of(path: Path) -> Callable[[Path], Iterable[PlacedRow]]:
    readers = {".csv": _csv_rows, ".parquet": _parquet_rows}
    if path.suffix.lower() not in readers:
        raise _unusable(path, "is neither a .csv nor a .parquet file", "Save it as one of these.")
    if not path.is_file():
        raise _unusable(path, "does not exist, or is not a file", "Check its name.")
    return readers[path.suffix.lower()]


def _csv_rows(path: Path) -> Iterator[PlacedRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = [name.strip() for name in next(lines, [])]
            _check_columns(path, header)
            for cells in filter(None, lines):
                _check_width(path, lines.line_num, cells, header)
                yield f"line {lines.line_num}", dict(zip(header, cells, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise _unusable(
            path, f"is not a readable CSV file ({what})", "Save it as UTF-8 CSV."
        ) from None
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror})", "Check its rights.") from None


def _parquet_rows(path: Path) -> Iterator[PlacedRow]:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise _unusable(
            path, f"is not a readable Parquet file ({reason})", "Write it again."
        ) from None
    _check_columns(path, frame.columns)
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        yield f"row {number}", row


def _check_columns(path: Path, names: list[str]) -> None:
    if "user_id" not in names:
        shown = ", ".join(names) or "nothing"
        fix = "Add it; a CSV file separates its columns by commas."
        raise _unusable(path, f"has no column user_id (its header holds {shown})", fix)
    for name in names:
        if name not in COLUMNS:
            hint = nearest(name, COLUMNS) or f"Known are: {', '.join(COLUMNS)}."
            raise _unusable(path, f"has a column {name!r} that is not known", hint)
        if names.count(name) > 1:
            raise _unusable(path, f"has the column {name!r} twice", "Keep one of them.")


def _check_width(path: Path, line: int, cells: list[str], header: list[str]) -> None:
    if len(cells) != len(header):
        what = f"has {len(cells)} values in line {line} and {len(header)} columns"
        raise _unusable(path, what, 'Quote a value that holds a comma, as in "sat,sun".')


def _read_row(row: dict[str, Any]) -> tuple[RosterEntry | None, list[str]]:
    given = {name: value for name, value in row.items() if value is not None and value != ""}
    try:
        return _row_reader.validate_python(given), []
    except ValidationError as error:
        return None, [_problem(detail) for detail in error.errors(include_url=False)]


def _problem(detail: Any) -> str:
    name = detail["loc"][0]
    if detail["type"] == "missing":
        return f"{name} is empty"
    said = str(detail.get("ctx", {}).get("error") or detail["msg"]).replace("Input", "it", 1)
    return f"{name} {detail['input']!r} cannot be used, {said.rstrip('.')}"


def _summary(path: Path, problems: list[str]) -> str:
    shown = problems[:_PROBLEMS_SHOWN]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return "\n  ".join([f"The roster {str(path)!r} cannot be used:", *shown])


def _unusable(path: Path, what: str, fix: str) -> UsageError:
    return UsageError(f"The roster {str(path)!r} {what}.", fix=fix)
