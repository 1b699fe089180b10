"""`SECURITY.md`: every control that it names is tried by a test that there is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = Path(__file__).parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    """A test that is renamed takes the page along."""
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 20
    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"def {test}(" not in (TESTS / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_item_of_the_top_ten_has_a_control() -> None:
    """With at least one test each."""
    rows = [line for line in PAGE.splitlines() if re.match(r"\| API\d", line)]
    assert [row.split()[1] for row in rows] == [f"API{number}" for number in range(1, 11)]
    assert all("::test_" in row for row in rows)
