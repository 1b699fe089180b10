"""What is looked up in a detail before it is kept."""

from __future__ import annotations

import pytest

from asleep_pipeline.extract.details import session_state


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b'{"result": {"session": {"state": "COMPLETE"}}}', "COMPLETE"),
        (b'{"result": {"session": {"state": null}}}', None),
        (b'{"result": {"session": {"state": "\xed\xa0\x80"}}}', None),
        (b'{"result": {"session": {"state": 7}}}', None),
        (b'{"result":' * 50_000, None),
        (b"", None),
    ],
    ids=["said", "null", "no UTF-8", "no text", "too deep", "empty"],
)
def test_a_state_that_cannot_be_read_stops_nobody(body: bytes, state: str | None) -> None:
    """The answer is kept as it came, and normalising tells what is wrong with it."""
    assert session_state(body) == state
