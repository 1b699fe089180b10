"""What stands above the pages, or instead of them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from asleep_pipeline.dashboard.pages.opening import look, page_of
from asleep_pipeline_tests.hand_made import hand_made


def test_a_file_with_nights(tale: Path) -> None:
    """People, nights and dates of the file, and when it was published."""
    found, above = look(tale, "cohorts")
    assert found
    assert "7 people, 84 nights, Mon 2 Nov 2026 to Sun 15 Nov 2026. Published" in above
    assert '<a href="?page=cohorts" aria-current="page">Cohorts</a>' in above
    assert above.count("aria-current") == 1


@pytest.mark.parametrize(
    ("asked", "page"),
    [("quality", "quality"), ("elsewhere", "person"), (None, "person"), (["quality"], "person")],
    ids=["known", "unknown", "none", "twice"],
)
def test_page_of_an_address(asked: object, page: str) -> None:
    """An address without a page that there is opens the first one."""
    assert page_of(asked) == page


def test_no_file(tmp_path: Path) -> None:
    """Without a file, the page says how to load nights."""
    found, above = look(tmp_path / "asleep.duckdb", "person")
    assert found is None
    assert "There is nothing to show yet" in above
    assert "asleep-pipeline demo" in above
    assert "asleep-pipeline backfill" in above
    assert "asleep-pipeline users import" in above


def test_no_nights(tmp_path: Path) -> None:
    """A file without nights is told from no file, with the same advice."""
    with hand_made(tmp_path) as made:
        made.publish()
        found, above = look(made.path, "person")
    assert found is None
    assert "There are no nights yet" in above
    assert "asleep-pipeline demo" in above


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """What cannot be opened is named, with how to publish it again."""
    path = tmp_path / "asleep.duckdb"
    path.write_text("not a database" * 1000)
    found, above = look(path, "person")
    assert found is None
    assert str(path) in above
    assert "asleep-pipeline rebuild" in above


def test_a_file_of_another_release(tmp_path: Path) -> None:
    """A file without the tables of this release is not shown half."""
    path = tmp_path / "asleep.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE load_info AS SELECT now() AS published_at")
    found, above = look(path, "person")
    assert found is None
    assert "asleep-pipeline rebuild" in above
