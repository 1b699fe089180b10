"""The folder of a period: whole or not there, and the same when written again."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from asleep_pipeline.reports.files import hashed, put_folder_aside, readable
from asleep_pipeline.reports.folder import write_reports
from asleep_pipeline_tests.reports.story import ORGANISATIONS, WEEK

PEOPLE = [who for people in ORGANISATIONS.values() for who in people]


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_folder_holds_tables_and_reports(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Two tables of everybody, JSON and a page of each organisation."""
    written = write_reports(con, WEEK, tmp_path / WEEK.key)
    files = content(tmp_path / WEEK.key)
    assert files.keys() == {
        "users.parquet",
        "organisations.parquet",
        *(f"organisations/{readable(o)}.{end}" for o in ORGANISATIONS for end in ("json", "html")),
    }
    assert (written.users, written.user_pages) == (len(PEOPLE), 0)
    assert [report.status for report in written.organisations] == [
        "measured",
        "suppressed",
        "no_nights",
    ]
    assert written.size_bytes == sum(map(len, files.values()))


def test_written_again_it_is_the_same(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Byte for byte; nothing of before or in between is left."""
    folder = tmp_path / WEEK.key
    write_reports(con, WEEK, folder)
    before = content(folder)
    (folder / "leftover").write_text("old", encoding="utf-8")
    write_reports(con, WEEK, folder)
    assert content(folder) == before
    assert {path.name for path in tmp_path.iterdir()} == {WEEK.key, ".lock"}


def test_pages_of_users_carry_no_id_in_their_names(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A page for each, if asked for."""
    written = write_reports(con, WEEK, tmp_path / WEEK.key, user_pages=True)
    pages = {path.name for path in (tmp_path / WEEK.key / "users").iterdir()}
    assert pages == {f"{hashed(who)}.html" for who in PEOPLE}
    assert written.user_pages == len(PEOPLE)


def test_a_failure_leaves_the_earlier_folder(tmp_path: Path) -> None:
    """Until all is written, readers see what was there."""
    folder = tmp_path / WEEK.key
    folder.mkdir()
    (folder / "here").touch()

    def fail() -> None:
        with put_folder_aside(folder) as aside:
            (aside / "half").touch()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert [path.name for path in folder.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("org_id", "name"),
    [
        ("Acme Ltd.", "acme-ltd-"),
        ("../../etc/passwd", "etc-passwd-"),
        ("수면", ""),
        ("a" * 300, "a" * 40 + "-"),
    ],
)
def test_names_of_organisations_are_safe(org_id: str, name: str) -> None:
    """To be recognised where that is possible."""
    assert readable(org_id) == f"{name}{hashed(org_id)}"
    assert len(hashed(org_id)) == 12


def test_names_of_organisations_differ() -> None:
    """Also where a file system does not tell upper from lower case."""
    names = [readable(org_id) for org_id in ("acme", "Acme", "acme!", "ACME")]
    assert len({name.lower() for name in names}) == 4
