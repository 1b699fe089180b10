"""Reads a page as strictly as a browser is lenient."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

_VOID: Final = {"meta", "link", "br", "img", "hr", "input"}


@dataclass
class Markup(HTMLParser):
    """A parsed page.

    Attributes:
        elements: Every start tag with its attributes, in order.
        texts: Every text that is not blank, with the tag it stands in.
        faults: Tags that do not match.
    """

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1], data.strip()))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, tag: str) -> list[str]:
        """The texts that stand directly in elements of a name."""
        return [text for name, text in self.texts if name == tag]

    @property
    def references(self) -> list[str]:
        """Whatever a browser would go and get; not places within the page."""
        links = [
            value or ""
            for _, attributes in self.elements
            for name, value in attributes.items()
            if name in {"src", "href", "srcset", "xlink:href", "action", "data", "poster"}
        ]
        styles = re.findall(r"url\(([^)]*)\)|@import", self.rawdata)
        return [link for link in (*links, *styles) if not link.startswith("#")]


def read(page: str) -> Markup:
    """Parse a whole page."""
    markup = Markup()
    markup.feed(page)
    markup.close()
    markup.faults += markup._open
    markup.rawdata = page
    return markup
