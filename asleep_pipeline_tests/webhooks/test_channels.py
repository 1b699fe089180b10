"""Channels: the newest changes, and a place in them for each who reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.webhooks.channels import Change, Channel, Position, read_position


def changes(first: int, count: int) -> list[Change]:
    """Changes that events have brought, one each."""
    return [Change(Position(n), "update", b"%d" % n) for n in range(first, first + count)]


def numbers(read: list[Change] | None) -> list[int]:
    """Which events have brought them."""
    assert read is not None
    return [change.position.event for change in read]


@given(st.integers(1, 5), st.lists(st.integers(0, 4), max_size=6), st.integers(0, 30))
def test_whoever_goes_on_misses_nothing(kept: int, counts: list[int], last: int) -> None:
    """After any id, all that came later is read; or nothing, where that is not at hand."""
    channel, written = Channel(Position(3), kept), 3
    for count in counts:
        channel.put(changes(written + 1, count))
        written += count
    place = channel.place_after(Position(last))
    if max(3, written - kept) <= last <= written:
        assert place is not None
        assert numbers(channel.read(place, 100)) == list(range(last + 1, written + 1))
    else:
        assert place is None


def test_a_place_moves_on_by_what_was_read() -> None:
    """Few at a time, or all at once: the order is the same."""
    channel = Channel(Position(0))
    channel.put(changes(1, 5))
    assert numbers(channel.read(0, 2)) == [1, 2]
    assert numbers(channel.read(2, 9)) == [3, 4, 5]
    assert numbers(channel.read(5, 9)) == []
    assert channel.end == (5, Position(5))


def test_a_place_that_has_gone() -> None:
    """Whoever has fallen behind is told so, and not given a part."""
    channel = Channel(Position(0), 2)
    channel.put(changes(1, 2))
    assert numbers(channel.read(0, 9)) == [1, 2]
    channel.put(changes(3, 1))
    assert channel.read(0, 9) is None
    assert numbers(channel.read(1, 9)) == [2, 3]


def test_who_waits_is_woken() -> None:
    """By each change, and not after leaving."""
    channel, woken = Channel(Position(0)), []

    def wake() -> None:
        woken.append(channel.end[0])

    channel.join(wake)
    channel.put(changes(1, 2))
    channel.leave(wake)
    channel.put(changes(3, 1))
    assert woken == [2]


@given(st.integers(0, 10**17), st.integers(0, 10**17))
def test_an_id_names_a_position(event: int, change: int) -> None:
    """What was sent as an id is understood when it comes back."""
    position = Position(event, change)
    assert read_position(str(position)) == position


@pytest.mark.parametrize("text", ["", "x", "-1", "1-", "1-2-3", "1.5", " 1", "²", "9" * 19, "1\n"])
def test_other_ids_name_none(text: str) -> None:
    """Ids that we have not given are told from ours."""
    assert read_position(text) is None
