"""What holds for every chart: it renders anywhere, says what it is, and leaks nothing."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from asleep_pipeline.charts import to_png, to_svg
from asleep_pipeline_tests.charts.frames import CHARTS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=CHARTS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each chart in turn."""
    assert isinstance(request.param, str)
    return request.param


def svg_of(name: str) -> str:
    make, frame = CHARTS[name]
    return to_svg(make(frame), title=f"The {name} & more", description="Nights of <somebody>.")


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_svg_is_one_image_with_a_name(name: str) -> None:
    """A reader of screens meets one image, with its title and description."""
    root = ET.fromstring(svg_of(name))
    title, desc = root[0], root[1]
    assert (root.tag, root.get("role")) == (f"{SVG}svg", "img")
    assert (title.tag, title.text) == (f"{SVG}title", f"The {name} & more")
    assert (desc.tag, desc.text) == (f"{SVG}desc", "Nights of <somebody>.")
    assert (root.get("aria-labelledby"), root.get("aria-describedby")) == (
        title.get("id"),
        desc.get("id"),
    )
    assert not [e for e in root.iter() if e is not root and ("role" in e.attrib)]


def test_svg_stands_alone(name: str) -> None:
    """A page with charts loads nothing and runs nothing."""
    svg = svg_of(name)
    assert re.findall(r"https?://[^\"'\s]+", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<(script|image|use|style|foreignObject)|\bon[a-z]+=|javascript:", svg)


def test_references_lead_to_ids_of_the_same_svg(name: str) -> None:
    """Several charts on one page do not take each other's gradients and clips."""
    svg = svg_of(name)
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= ids
    assert all(i.startswith("chart-") for i in ids)


def test_png_is_small(name: str) -> None:
    """Metadata of a run can carry the picture."""
    make, frame = CHARTS[name]
    png = to_png(make(frame))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 60_000


@pytest.mark.parametrize("nulls", [False, True])
def test_nothing_to_show_is_said(name: str, nulls: bool) -> None:
    """Frames without rows, or without values in them, give a chart that says so."""
    make, frame = CHARTS[name]
    empty = frame.clear(1 if nulls else 0)
    assert texts(to_svg(make(empty), title="t", description="d")) == ["No data"]


def test_only_what_is_drawn_is_in_the_chart(name: str) -> None:
    """A user id in a frame does not get into a page."""
    make, frame = CHARTS[name]
    chart = make(frame.with_columns(user_id=pl.lit("secret")))
    assert "secret" not in chart.to_json()


def test_every_quantity_has_a_tooltip(name: str) -> None:
    """In the dashboard the pointer shows the values."""
    make, frame = CHARTS[name]
    assert '"tooltip"' in make(frame).to_json()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("hypnogram", {"23:00", "04:00", "Awake", "REM", "Light", "Deep"}),
        ("hypnogram, 2 levels", {"23:00", "Awake", "Asleep"}),
        ("stage_stack", {"2 Mar", "Duration (h)", "Awake", "REM", "Light", "Deep", "Asleep"}),
        ("bed_to_wake", {"22:00", "00:00", "08:00", "2 Mar", "Free day", "Local time"}),
        ("raster", {"12:00", "21:00", "00:00", "09:00", "2 Mar", "Asleep", "Nap"}),
        ("calendar", {"Mon", "Sun", "2 Mar", "Sleep (h)"}),
        ("score_parts", {"Efficiency", "36.0 of 40", "none of 25", "26.2 of 35"}),
        ("trend", {"Sleep (h)", "Sleep", "Spread", "Target", "2 Mar"}),
        ("trend, clock", {"23:00", "23:30", "Bedtime (local time)"}),
        ("distribution", {"A & <b>", "Night shift", "Sleep (h)", "Share of the group (%)"}),
        ("transition_matrix", {"From stage", "To stage", "1,803", "86%", "14%"}),
        ("quality_bars", {"Good", "Fair", "Poor", "2 Mar", "16 Mar", "100%"}),
    ],
)
def test_labels_are_readable_text(name: str, wanted: set[str]) -> None:
    """Axes carry units, clock times and dates; legends carry words."""
    assert wanted <= set(texts(svg_of(name)))
