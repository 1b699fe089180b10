"""Charts as SVG, PNG and Markdown."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import altair as alt
import vl_convert

from asleep_pipeline.charts import calendar, png_markdown, quality_bars, to_png, to_svg
from asleep_pipeline_tests.charts.frames import DAYS, QUALITY


def pixels(png: bytes) -> bytes:
    """What the picture shows, unpacked; every chunk's checksum is checked."""
    packed, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        packed += data if kind == b"IDAT" else b""
        at += length + 12
    return zlib.decompress(packed)


def test_scale_gives_pixels() -> None:
    """A picture for dense screens has more of them."""
    sizes = [
        struct.unpack_from(">II", to_png(quality_bars(QUALITY, width=300), scale=s), 16)
        for s in (1.0, 2.0)
    ]
    assert sizes == [(300, 200), (600, 400)]


def test_packing_changes_no_pixel() -> None:
    """The smaller file shows the same picture."""
    chart = quality_bars(QUALITY)
    plain = vl_convert.vegalite_to_png(chart.to_dict(), scale=2.0)
    packed = to_png(chart)
    assert pixels(packed) == pixels(plain)
    assert len(packed) < len(plain) / 2


def test_markdown_carries_the_picture() -> None:
    """The text stays one image, whatever its description."""
    text = png_markdown(b"\x89PNG", "Sleep [h]\nof \\ all")
    found = re.fullmatch(r"!\[(.*)\]\(data:image/png;base64,([\w+/=]+)\)", text)
    assert found is not None
    assert found[1] == r"Sleep \[h\] of \\ all"
    assert base64.b64decode(found[2]) == b"\x89PNG"


def test_same_chart_gives_same_svg() -> None:
    """A report that is made again is the same file."""
    one, two = (to_svg(calendar(DAYS), title="t", description="d") for _ in range(2))
    assert one == two


def test_charts_on_one_page_have_ids_of_their_own() -> None:
    """Two calendars keep their own gradients."""
    ids = [
        set(re.findall(r'\bid="([^"]+)"', to_svg(calendar(DAYS), title=t, description="d")))
        for t in ("one", "two")
    ]
    assert len(ids[0]) == len(ids[1]) > 2
    assert not ids[0] & ids[1]


def test_title_is_text() -> None:
    """No title becomes markup, nor a reference to what was matched."""
    svg = to_svg(calendar(DAYS), title=r"</title><script>\1", description="\\g<0> & \\n")
    assert r"&lt;/title&gt;&lt;script&gt;\1</title>" in svg
    assert r"\g&lt;0&gt; &amp; \n</desc>" in svg


def test_settings_of_the_process_are_left_alone() -> None:
    """A dashboard's own way with data is neither used nor changed, from several threads either."""
    chart = quality_bars(QUALITY)
    wanted = to_svg(chart, title="t", description="d")
    with alt.data_transformers.enable("default", max_rows=1), alt.theme.enable("dark"):
        with ThreadPoolExecutor(3) as threads:
            made = list(threads.map(lambda _: to_svg(chart, title="t", description="d"), range(6)))
        assert alt.data_transformers.options == {"max_rows": 1}
        assert alt.theme.active == "dark"
    assert made == [wanted] * 6
