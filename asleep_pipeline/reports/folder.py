"""A folder with all reports of a week or a month.

```
users.parquet   organisations.parquet
organisations/<name>-<hash>.json   organisations/<name>-<hash>.html
users/<hash>.html                  only if asked for
```

The same published file gives the same content.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from asleep_pipeline.reports.bulk import write_organisations, write_users
from asleep_pipeline.reports.content import explained, organisation_report, user_report
from asleep_pipeline.reports.files import hashed, put_folder_aside, readable, report_json
from asleep_pipeline.reports.model import OrganisationReport
from asleep_pipeline.reports.page import page
from asleep_pipeline.reports.period import Period


@dataclass(frozen=True, slots=True)
class Written:
    """What a folder holds.

    Attributes:
        users: Users in `users.parquet`.
        user_pages: Pages of users.
        organisations: The reports of all organisations.
        size_bytes: All files together.
    """

    users: int
    user_pages: int
    organisations: list[OrganisationReport]
    size_bytes: int


def write_reports(
    con: duckdb.DuckDBPyConnection, period: Period, folder: Path, *, user_pages: bool = False
) -> Written:
    """Write the reports of everybody; the folder appears, or is replaced, when all are written.

    Args:
        con: A read-only connection to the published file.
        period: Which week or month.
        folder: Where to.
        user_pages: Whether to write a page for each user, which takes a few seconds each.

    Raises:
        WarehouseError: The published file has no marts, or the folder cannot be written.
    """
    with put_folder_aside(folder) as aside:
        users = write_users(con, period, aside / "users.parquet")
        write_organisations(con, period, aside / "organisations.parquet")
        organisations = [
            organisation_report(con, org_id, period)
            for org_id in _ids(con, "org_id", aside / "organisations.parquet")
        ]
        _write_organisations(organisations, aside / "organisations")
        pages = _write_user_pages(con, period, aside) if user_pages else 0
        size = sum(file.stat().st_size for file in aside.rglob("*") if file.is_file())
    return Written(users, pages, organisations, size)


def _write_organisations(reports: list[OrganisationReport], folder: Path) -> None:
    folder.mkdir()
    for report in reports:
        name = readable(report.subject.org_id)
        (folder / f"{name}.json").write_text(report_json(report), encoding="utf-8")
        (folder / f"{name}.html").write_text(page(report), encoding="utf-8")


def _write_user_pages(con: duckdb.DuckDBPyConnection, period: Period, aside: Path) -> int:
    ids = _ids(con, "user_id", aside / "users.parquet")
    (aside / "users").mkdir()
    for user_id in ids:
        content = page(user_report(con, user_id, period))
        (aside / "users" / f"{hashed(user_id)}.html").write_text(content, encoding="utf-8")
    return len(ids)


def _ids(con: duckdb.DuckDBPyConnection, key: str, file: Path) -> list[str]:
    """Whom a Parquet file of reports names."""
    with explained():
        rows = con.execute(f"SELECT {key} FROM read_parquet($file)", {"file": str(file)}).fetchall()
    return [row[0] for row in rows]
