"""`report`: a week or a month of somebody, on stdout or in a file."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

import polars as pl
import pytest

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.reports.files import hashed
from asleep_pipeline_tests.cli.desk import Desk
from asleep_pipeline_tests.reports.story import publish_story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file of a few nights that are easy to add up."""
    return publish_story(tmp_path_factory.mktemp("story"))


@pytest.fixture
def told(desk: Desk, story: Path) -> Desk:
    """A desk with that file."""
    desk.data_dir.mkdir()
    copyfile(story, desk.data_dir / "asleep.duckdb")
    return desk


def test_a_report_is_json_on_stdout(told: Desk) -> None:
    """Of the last whole week that has nights, with and without --json."""
    said = told("report", "user", "ada").data
    assert (said["subject"]["user_id"], said["period"]["key"]) == ("ada", "2026-W47")
    assert said["figures"]["tst_mean_s"] == 27_700
    assert told("report", "user", "ada", "--json").data == said
    assert told("report", "org", "acme").data["figures"]["users"] == 5


@pytest.mark.parametrize(
    ("option", "key", "nights"),
    [(("--week", "2026-W46"), "2026-W46", 4), (("--month", "2026-11"), "2026-11", 14)],
)
def test_another_period_can_be_named(
    told: Desk, option: tuple[str, str], key: str, nights: int
) -> None:
    """A week or a month."""
    said = told("report", "user", "ada", *option).data
    assert (said["period"]["key"], said["nights_observed"]) == (key, nights)


@pytest.mark.parametrize(("command", "subject"), [("user", "ada"), ("org", "acme")])
def test_pages_and_tables_go_into_a_file_without_the_id(
    told: Desk, command: str, subject: str
) -> None:
    """Beside each other in the working directory."""
    stem = f"report-{command}-{hashed(subject)}-2026-W47"
    for ending in ("html", "parquet"):
        said = told("report", command, subject, "--format", ending, "--json").data
        file = told.folder / f"{stem}.{ending}"
        assert said == {"file": str(file), "size_bytes": file.stat().st_size}
    assert (told.folder / f"{stem}.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert pl.read_parquet(told.folder / f"{stem}.parquet").height == 1


def test_the_file_can_be_named(told: Desk) -> None:
    """For JSON as well; what was there is replaced."""
    for _ in range(2):
        said = told("report", "org", "tiny", "--output", "tiny.json")
        assert "tiny.json" in said.out
    assert '"status": "suppressed"' in (told.folder / "tiny.json").read_text(encoding="utf-8")


def test_a_period_without_nights_is_no_error(told: Desk) -> None:
    """The report says so."""
    said = told("report", "user", "hal", "--month", "2020-02")
    assert (said.code, said.data["status"]) == (ExitCode.OK, "no_nights")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("user", "nobody"), "no user 'nobody'"),
        (("org", "nowhere"), "no organisation 'nowhere'"),
        (("user", "ada", "--week", "2026-W54"), "--week"),
        (("user", "ada", "--week", "47"), "such as 2026-W47"),
        (("user", "ada", "--month", "2026-13"), "--month"),
        (("user", "ada", "--week", "2026-W47", "--month", "2026-11"), "week or of a month"),
        (("user", "ada", "--format", "pdf"), "pdf"),
    ],
)
def test_wrong_usage_is_one_sentence(told: Desk, arguments: tuple[str, ...], named: str) -> None:
    """That names what is wrong."""
    said = told("report", *arguments)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert named in said.err


@pytest.mark.parametrize("ending", ["html", "parquet", "json"])
def test_a_place_that_cannot_be_written_is_named(told: Desk, ending: str) -> None:
    """With what to do."""
    said = told("report", "org", "acme", "--format", ending, "--output", "missing/report")
    assert said.code == ExitCode.FAILED
    assert "cannot be written" in said.err


def test_nothing_is_published_yet(desk: Desk) -> None:
    """The way to get a warehouse is told."""
    said = desk("report", "user", "ada")
    assert said.code == ExitCode.FAILED
    assert "asleep-pipeline demo" in said.err
