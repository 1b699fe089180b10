"""The page of sessions in progress: words and figures, without a browser."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from asleep_pipeline.dashboard.pages.live import live_choices, live_organisations, live_page
from asleep_pipeline.dashboard.pages.opening import look
from asleep_pipeline.dashboard.queries import live
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.webhooks.live_table import publish_live
from asleep_pipeline_tests.dashboard.bedtime import ANN, NOW, publish_bedtime
from asleep_pipeline_tests.dashboard.test_pages import descriptions, text


@pytest.fixture(scope="module")
def bedtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of sessions in progress; tests only read it."""
    return publish_bedtime(tmp_path_factory.mktemp("bedtime") / "live.duckdb")


def test_everybody_in_bed(bedtime: Path) -> None:
    """How many, how it is with them, what is missing, and how old the news is."""
    said = text(live_page(bedtime, None, None, NOW))
    assert "Provisional, as webhooks tell it" in said
    assert "In bed 3 not complete" in said
    assert "Asleep 2 by their newest stage Awake 1 by their newest stage" in said
    # 20 of the 130 epochs of ann, bob and fay.
    assert "Not told 15.4 % of the time in bed" in said
    assert "Quiet 1 nothing for 1 h 30 min" in said
    assert "Just complete 1 not published yet" in said
    assert "Newest event 0 s ago" in said


def test_each_of_them(bedtime: Path) -> None:
    """The last to begin comes first, and who is complete is not in bed."""
    said = text(live_page(bedtime, None, None, NOW))
    assert "In bed now: all" in said
    assert "bob acme 23:00 Awake 0 h 00 min 0 min 0 s ago" in said
    assert "ann acme 22:00 Light 0 h 15 min 10 min 40 s ago" in said
    assert "fay duo 21:00 Deep 0 h 05 min 0 min 2 h 25 min ago" in said
    assert said.index("bob acme") < said.index("ann acme") < said.index("fay duo")
    assert "cid" not in said


def test_one_organisation(bedtime: Path) -> None:
    """Only its own are counted and listed."""
    said = text(live_page(bedtime, "duo", None, NOW))
    assert "In bed 1 not complete" in said
    assert "ann" not in said
    assert live_organisations(bedtime) == ["acme", "duo"]
    assert list(live_choices(bedtime, "duo")) == ["The last to begin", "fay, from 21:00 (opaque)"]


def test_stages_so_far(bedtime: Path) -> None:
    """Of who was chosen, else of the last to begin; the chart is told in words."""
    (chosen,) = descriptions(live_page(bedtime, None, ANN, NOW))
    assert chosen == (
        "Stages so far of ann (provisional). In bed from 22:00 UTC, session 20261126220000_aaaaa: "
        "0 h 15 min asleep so far, now Light, 10 min not told, newest event 40 s ago."
    )
    (last,) = descriptions(live_page(bedtime, None, None, NOW))
    assert "of bob" in last
    (guessed,) = descriptions(live_page(bedtime, "duo", None, NOW))
    assert "In bed at the latest from 21:00 UTC" in guessed


def test_gaps_are_drawn_as_gaps(bedtime: Path) -> None:
    """What was not told is a stretch of its own, and unknown like what the API does not know."""
    with read_warehouse(bedtime) as con:
        session = live.one_session(con, *ANN)
    assert session
    runs = live.stage_runs(session)
    start = NOW.replace(tzinfo=None, hour=22, minute=0)
    ends = [start + timedelta(minutes=minutes) for minutes in (0, 5, 15, 30, 35)]
    assert runs.equals(
        pl.DataFrame(
            {
                "started_local": ends[:-1],
                "ended_local": ends[1:],
                "stage": ["wake", "unknown", "light", "unknown"],
                "is_told": [True, False, True, True],
            }
        )
    )


def test_a_session_that_has_gone(bedtime: Path) -> None:
    """Who is looked at may get up meanwhile."""
    page = live_page(bedtime, None, ("ann", "another"), NOW)
    assert "That session is over" in text(page)
    assert descriptions(page) == []


def test_nobody_is_followed(tmp_path: Path) -> None:
    """Without the file the page says how sessions get here."""
    path = tmp_path / "live.duckdb"
    said = text(live_page(path, None, None, NOW))
    assert "Nobody is followed yet" in said
    assert "asleep-pipeline webhooks serve" in said
    assert (live_organisations(path), list(live_choices(path, None))) == ([], ["The last to begin"])


def test_nobody_is_in_bed(tmp_path: Path) -> None:
    """An empty file is told from none."""
    path = tmp_path / "live.duckdb"
    publish_live(path, [])
    said = text(live_page(path, None, None, NOW))
    assert "Nobody is in bed" in said
    assert "asleep-pipeline webhooks list" in said


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """What cannot be read is named, with what writes it anew."""
    path = tmp_path / "live.duckdb"
    path.write_bytes(b"no database" * 1000)
    said = text(live_page(path, None, None, NOW))
    assert str(path) in said
    assert "asleep-pipeline webhooks serve" in said


def test_it_needs_no_published_file(tmp_path: Path) -> None:
    """In the first night there is nothing else to look at, and no notice about that."""
    found, above = look(tmp_path / "asleep.duckdb", "live")
    assert found is None
    assert '<a href="?page=live" aria-current="page">In progress</a>' in above
    assert "nothing to show" not in above
