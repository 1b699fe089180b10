"""What a person has left in files that are nobody's but the operator's: reports and exports.

Tables lose the person's rows, and pages about the person go. Figures of groups stay: they name nobody.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.lake.engine import quoted
from asleep_pipeline.privacy.scan import scan
from asleep_pipeline.privacy.traces import Traces
from asleep_pipeline.reports.files import hashed

_PAGES: Final = frozenset({".html", ".json"})


def clear(folder: Path, reports: Path, traces: Traces, *, except_for: Sequence[Path]) -> int:
    """Take a person out of tables in files, and remove pages of theirs; how many files there were.

    Args:
        folder: Where to look.
        reports: Folder of the reports, in which every page belongs to somebody or to a group.
        traces: Of the person.
        except_for: Files and folders that are seen to elsewhere.

    Raises:
        ErasureError: It could not be searched.
        OSError: A file cannot be written.
    """
    found = {folder / each.file for each in scan(folder, traces, except_for=except_for)}
    # A page is named by a hash of the person; it may say nothing else that could be looked for.
    pages = {page for page in reports.rglob(f"{hashed(traces.user_id)}.*") if page.is_file()}
    return sum(_clear(file, reports, traces.user_id) for file in sorted(found | pages))


def _clear(file: Path, reports: Path, user_id: str) -> bool:
    if file.suffix == ".parquet":
        return _without_rows(file, user_id)
    if file.suffix == ".csv":
        return _without_lines(file, user_id)
    if file.suffix in _PAGES and file.is_relative_to(reports):
        file.unlink(missing_ok=True)
        return True
    return False


def _without_rows(file: Path, user_id: str) -> bool:
    aside = file.with_name(f"{file.name}.unfinished")
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        names = con.execute(f"DESCRIBE FROM read_parquet({quoted(file)})").fetchall()
        if "user_id" not in {name for name, *_ in names}:
            return False
        con.execute(
            f"COPY (FROM read_parquet({quoted(file)}) WHERE user_id IS DISTINCT FROM $1) "
            f"TO {quoted(aside)} (FORMAT parquet, COMPRESSION zstd)",
            [user_id],
        )
    aside.replace(file)
    return True


def _without_lines(file: Path, user_id: str) -> bool:
    aside = file.with_name(f"{file.name}.unfinished")
    with file.open(encoding="utf-8-sig", newline="") as source:
        lines = csv.reader(source)
        header = next(lines, [])
        if "user_id" not in header:
            return False
        place = header.index("user_id")
        kept: Iterable[list[str]] = (line for line in lines if line[place : place + 1] != [user_id])
        with aside.open("w", encoding="utf-8", newline="") as target:
            csv.writer(target, lineterminator="\n").writerows([header, *kept])
    aside.replace(file)
    return True
