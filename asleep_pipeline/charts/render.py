"""Rendering: charts as SVG for pages and as PNG for Markdown, without browser and network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import threading
import zlib
from typing import Any, Final
from xml.sax.saxutils import escape

import altair as alt
import vl_convert

from asleep_pipeline.charts.theme import Chart

_ONE_AT_A_TIME: Final = threading.Lock()
_OPENING: Final = re.compile(r"<svg [^>]*?(width=[^>]*)>")
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LENGTH: Final = struct.Struct(">I")
_TAG: Final = re.compile(r"<[^>]+>")
_ROLE: Final = re.compile(r' (?:role="graphics-[a-z]+"|aria-[a-z]+="[^"]*")')
_ID: Final = re.compile(r'(\bid="|url\(#|href="#)([^")]+)')
_DECIMALS: Final = re.compile(r"(\.\d\d)\d+")


def to_svg(chart: Chart, *, title: str, description: str) -> str:
    """An `<svg>` element to put into a page as it stands.

    It holds neither scripts nor references to anything outside, and its ids are its own, so that
    several fit into one page. It scales with its width in CSS.

    Args:
        chart: One of this package.
        title: What it shows, for those who cannot see it; browsers show it as a tooltip.
        description: What is to be seen in it, in a sentence or two.
    """
    spec = _spec(chart)
    digest = hashlib.sha256(json.dumps([title, description, spec]).encode()).hexdigest()
    key = f"chart-{digest[:10]}"
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-labelledby="{key}-title" aria-describedby="{key}-desc" \\1>'
        f'<title id="{key}-title">{_text(title)}</title>'
        f'<desc id="{key}-desc">{_text(description)}</desc>'
    )
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return _OPENING.sub(opening, _tidied(svg, key), count=1)


def to_png(chart: Chart, *, scale: float = 2.0) -> bytes:
    """A PNG file with `scale` pixels for each pixel of the chart."""
    return _packed(vl_convert.vegalite_to_png(_spec(chart), scale=scale, allowed_base_urls=[]))


def png_markdown(png: bytes, alt_text: str) -> str:
    """A Markdown image that carries the PNG in it."""
    said = re.sub(r"([\[\]\\])", r"\\\1", " ".join(alt_text.split()))
    return f"![{said}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"


def _text(said: str) -> str:
    """Escaped for XML, and for the replacement that it goes into."""
    return escape(said).replace("\\", r"\\")


def _tidied(svg: str, key: str) -> str:
    """With ids of its own, hundredths of pixels, and no role beside that of the image."""
    ids: dict[str, str] = {}

    def tidied(tag: re.Match[str]) -> str:
        return _ID.sub(renamed, _ROLE.sub("", _DECIMALS.sub(r"\1", tag[0])))

    def renamed(found: re.Match[str]) -> str:
        # Vega counts on from chart to chart.
        return found[1] + ids.setdefault(found[2], f"{key}-{len(ids)}")

    return _TAG.sub(tidied, svg)


def _spec(chart: Chart) -> dict[str, Any]:
    """With all rows in it, whatever the process has set up for its own charts."""
    with (
        _ONE_AT_A_TIME,  # Altair's settings belong to the process
        alt.data_transformers.enable("default", max_rows=None),
        alt.theme.enable("none"),
    ):
        return chart.to_dict()


def _packed(png: bytes) -> bytes:
    """The same PNG, a third to a fifteenth of the size: it was written for speed."""
    chunks, at = [], len(_SIGNATURE)
    while at < len(png):
        (length,) = _LENGTH.unpack_from(png, at)
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += length + 12
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    kept = {kind: data for kind, data in chunks if kind != b"IEND"}
    kept |= {b"IDAT": zlib.compress(pixels, 9), b"IEND": b""}
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in kept.items())


def _chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return _LENGTH.pack(len(data)) + checked + _LENGTH.pack(zlib.crc32(checked))
