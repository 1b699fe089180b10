"""Everybody who is compared does the whole job, at a tiny size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.disk import sizes_of
from benchmarks.entrants import DLT, OURS, SCRIPT, Result, check_equal, job_of, race
from benchmarks.job import Job
from benchmarks.vendor import Vendor, vendor

DAYS = 21


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vendor, Job]]:
    """A vendor of one person, and the job of three weeks."""
    now, root = datetime.now(UTC), tmp_path_factory.mktemp("job")
    with vendor(1, now, "pretty") as one:
        job = job_of(one, now, root)
        yield one, replace(job, first=job.last - timedelta(days=DAYS - 1))


@pytest.fixture(scope="module")
def script(asked: tuple[Vendor, Job]) -> Result:
    """What the plain script took."""
    return race(*asked, SCRIPT)


def test_ours_and_the_script_end_with_the_same_sessions_for_as_many_requests(
    asked: tuple[Vendor, Job], script: Result
) -> None:
    """A comparison is of the same work, whatever the form of the JSON."""
    ours = race(*asked, OURS)
    check_equal([script, ours])
    assert ours.requests == script.requests > ours.sessions > 0
    sizes = sizes_of(asked[1].out)
    assert 0 < sizes["script: sessions, Parquet"] < sizes["JSON of the API: details"]
    assert sizes["lake: sessions, Parquet"] > 0


def test_dlt_ends_with_the_same_sessions(asked: tuple[Vendor, Job], script: Result) -> None:
    """The rival is set up to do all of the job."""
    pytest.importorskip("dlt", reason="dlt comes with `make bench` only")
    check_equal([script, race(*asked, DLT)])


def test_different_ends_are_refused(script: Result) -> None:
    """No ratio is printed of work that differs."""
    with pytest.raises(RuntimeError, match="the same sessions"):
        check_equal([script, replace(script, sessions=script.sessions + 1)])


def test_months_cover_the_window_and_end_with_it() -> None:
    """Every month that the window touches is asked for, and none of its future."""
    day = datetime(2026, 1, 5, tzinfo=UTC).date()
    job = Job("", "", Path(), day - timedelta(days=40), day, Path())
    firsts = [(str(first), str(last)) for first, last in job.months()]
    assert firsts == [
        ("2025-11-01", "2025-11-30"),
        ("2025-12-01", "2025-12-31"),
        ("2026-01-01", "2026-01-05"),
    ]
