"""Quarantine: a session that breaks the contract neither blocks the others nor disappears."""

from __future__ import annotations

from typing import Any

import pytest

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.users import LakeUser
from asleep_pipeline_tests.vendor_answers import Json, Mailbag, detail, envelope, list_item

BAD, GOOD = "20260110230000_aaaaa", "20260111230000_bbbbb"


@pytest.fixture
def bag(shared_lake: Lake, request: pytest.FixtureRequest) -> Mailbag:
    """Answers about a user of the test's own."""
    return Mailbag(shared_lake, user=LakeUser(request.node.name, "default", None))


DETAILS: dict[str, tuple[Json, Json, Json]] = {
    "the answer is about the session that was asked for": ({"id": GOOD}, {}, {}),
    "state is OPEN, CLOSED or COMPLETE": ({"state": "DONE"}, {}, {}),
    "a session ends after its start": ({"end_time": "2026-01-10T22:59:59+00:00"}, {}, {}),
    "a session lasts at most a month": ({"end_time": "2099-12-31T23:59:59+00:00"}, {}, {}),
    "a COMPLETE session has an end": ({"end_time": None}, {}, {}),
    "a moment lies in the years 2000 to 2099": (
        {"start_time": "0001-01-01T00:00:00+09:00"},
        {},
        {},
    ),
    "missing_data_ratio is 0 to 1": ({}, {}, {"missing_data_ratio": -0.5}),
    "sleep_stages holds known stages": ({"sleep_stages": [0, 1, 7]}, {}, {}),
    "breath_stages holds known stages": ({"breath_stages": [0, 9]}, {}, {}),
    "snoring_stages holds known stages": ({"snoring_stages": [2]}, {}, {}),
    "time_in_sleep is 0 to 2.6784e+06": ({}, {"time_in_sleep": -30}, {}),
    "sleep_index is 0 to 100": ({}, {"sleep_index": 101}, {}),
    "waso_count is 0 to 1e+06": ({}, {"waso_count": -1}, {}),
    "wake_ratio is 0 to 1.005": ({}, {"wake_ratio": -0.1}, {}),
    "the detail can be read": ({}, {"time_in_bed": "eight hours"}, {}),
}


@pytest.mark.parametrize("rule", DETAILS)
def test_a_bad_detail_goes_to_quarantine_until_a_sound_one_comes(bag: Mailbag, rule: str) -> None:
    """Its session keeps its list row, without numbers; the next one is untouched."""
    session, stat, result = DETAILS[rule]
    bad, good = list_item(BAD), list_item(GOOD)
    broken = detail(bad, session=session, stat=stat) | result
    bag.send(bag.listing(bad, good), bag.detail(bad, broken), bag.detail(good))
    rows = bag.sessions()
    assert (rows[BAD]["is_quarantined"], rows[BAD]["has_detail"]) == (True, False)
    assert rows[BAD]["time_in_sleep"] is None
    assert (rows[GOOD]["is_quarantined"], rows[GOOD]["time_in_sleep"]) == (False, 22_000)
    (aside,) = bag.quarantine()
    assert (aside["session_id"], aside["rule"], aside["endpoint"]) == (BAD, rule, "get_session")
    assert raw_body(bag, aside["body_sha256"]) == envelope(broken)

    bag.send(bag.detail(bad))
    assert bag.quarantine() == []
    assert (bag.sessions()[BAD]["is_quarantined"], bag.sessions()[BAD]["has_stat"]) == (False, True)


LIST_ROWS: dict[str, Json] = {
    "state is OPEN, CLOSED or COMPLETE": {"state": "DONE"},
    "a session ends after its start": {"session_end_time": "2026-01-10T22:00:00+00:00"},
    "a session lasts at most a month": {"session_end_time": "2099-12-31T23:59:59+00:00"},
    "a COMPLETE session has an end": {"session_end_time": None},
    "time_in_bed is 0 s to a month": {"time_in_bed": -1},
    "last_received_seq_num is a chunk's number": {"last_received_seq_num": -2},
    "a moment lies in the years 2000 to 2099": {"session_start_time": "0001-01-01T00:00:00+09:00"},
}


@pytest.mark.parametrize("rule", LIST_ROWS)
def test_a_bad_list_row_goes_to_quarantine_until_a_sound_one_comes(bag: Mailbag, rule: str) -> None:
    """The other rows of the list are read, and a session that is stored already stays as it was."""
    bag.send(bag.listing(list_item(BAD)), bag.detail(list_item(BAD)))
    before = bag.sessions()[BAD]
    bag.send(bag.listing(list_item(BAD, **LIST_ROWS[rule]), list_item(GOOD)))
    assert bag.sessions().keys() == {BAD, GOOD}
    assert bag.sessions()[BAD] == before
    (aside,) = bag.quarantine()
    assert (aside["session_id"], aside["rule"], aside["endpoint"]) == (BAD, rule, "list_sessions")

    bag.send(bag.listing(list_item(BAD), list_item(GOOD)))
    assert bag.quarantine() == []


@pytest.mark.parametrize("session_id", ["20260110230000_a\0b", "", "x" * 257, "a\u202eb"])
def test_what_is_no_id_breaks_no_query(bag: Mailbag, session_id: str) -> None:
    """A NUL would end the catalog's queries, and so the reading of everybody's answers."""
    odd = list_item(GOOD) | {"session_id": session_id}
    for state in ("COMPLETE", "CLOSED"):
        bag.send(bag.listing(odd | {"state": state}, list_item(BAD)), bag.detail(list_item(BAD)))
        (aside,) = bag.quarantine()
        assert (aside["rule"], aside["session_id"]) == ("session_id is an id", None)
        assert aside["value"] == ascii(session_id)[:80]
        assert bag.sessions().keys() == {BAD}
    bag.send(bag.listing(list_item(BAD)))
    assert bag.quarantine() == []


def test_a_bad_list_row_leaves_quarantine_with_its_session(bag: Mailbag) -> None:
    """A listing without it says that the session is gone."""
    bag.send(bag.listing(list_item(BAD, time_in_bed=-1)))
    assert bag.sessions() == {}
    bag.send(bag.listing())
    assert bag.quarantine() == []


def test_a_list_that_cannot_be_read_forgets_nobody(bag: Mailbag) -> None:
    """It is set aside as a whole, until one can be read."""
    bag.send(bag.listing(list_item(GOOD)))
    bag.send(bag.listing(body=envelope({"sleep_session_list": "none"})))
    assert bag.sessions().keys() == {GOOD}
    (aside,) = bag.quarantine()
    assert (aside["rule"], aside["session_id"]) == ("the list can be read", None)
    bag.send(bag.listing(list_item(GOOD)))
    assert bag.quarantine() == []


def test_a_long_value_is_shortened(bag: Mailbag) -> None:
    """Quarantine shows what broke the rule, never a whole night."""
    item = list_item(BAD)
    bag.send(
        bag.listing(item), bag.detail(item, detail(item, session={"sleep_stages": [9, 8] * 99}))
    )
    assert bag.quarantine()[0]["value"] == "[8, 9]"
    bag.send(bag.detail(item, detail(item, session={"state": "x" * 500})))
    assert all(len(aside["value"]) <= 80 for aside in bag.quarantine())


def test_values_at_the_edge_of_a_rule_are_sound(bag: Mailbag) -> None:
    """Zero, a ratio rounded up and a best score are no reason to doubt a night."""
    item = list_item(BAD, time_in_bed=0, last_received_seq_num=0)
    edge: dict[str, Any] = {"sleep_ratio": 1.005, "wake_ratio": 0, "sleep_index": 100}
    bag.send(bag.listing(item), bag.detail(item, detail(item, stat=edge)))
    assert bag.quarantine() == []
    assert bag.sessions()[BAD]["sleep_ratio"] == 1.005


def raw_body(bag: Mailbag, digest: str) -> bytes:
    """The raw answer that quarantine points at."""
    frame = bag.lake.frame("SELECT body FROM raw WHERE body_sha256 = $1", [digest])
    body: bytes = frame["body"][0]
    return body
